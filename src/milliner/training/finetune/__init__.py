"""Full fine-tuning: every weight of the backbone is trained on, from the linear head's optimum (extra ``[torch]``)."""
