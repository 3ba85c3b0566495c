"""What the page says of figures: their names and meanings, where their intervals come from, and who beats whom."""

from collections.abc import Mapping
from typing import Final

from milliner.evaluation.compared import Comparison
from milliner.evaluation.figures import Resampling
from milliner.evaluation.formats import count, pictures

FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "accuracy": ("Accuracy", "the share that is named correctly"),
    "balanced_accuracy": ("Balanced accuracy", "the mean of the classes' recalls: rare ones count as much"),
    "f1": ("F1, mean of classes", "finding and being right together"),
    "roc_auc": ("ROC AUC", "how well it puts the classes in order: 0.5 is chance, 1 perfect"),
    "average_precision": ("Average precision", "how right it stays as more of a class is found"),
    "log_loss": ("Log loss", "how surprised it is by the truth: 0 is perfect"),
    "calibration_error": ("Calibration error", "how far its probabilities are off: 0 is perfect"),
}
"""What the figures of a test set are called, and what they say."""


def resampled(resampling: Resampling, samples: int) -> str:
    """Where the intervals come from."""
    says = "An interval says where the figure would likely lie on other pictures of this kind."
    if resampling.by == "shoots":
        return (
            f"{says} Pictures of one scene are right or wrong together: these {count(samples)} are of "
            f"{count(resampling.groups)} shoots, which is what the intervals go by."
        )
    return says


def versus_words(versus: Comparison) -> str:
    """Which of two models is better, and how sure that is."""
    told = (
        f"{versus.sentence} This one alone names {pictures(versus.only_right)} correctly, the other one alone "
        f"{count(versus.only_other_right)}."
    )
    if versus.left_out:
        told += f" Left out: {pictures(versus.left_out)} that the other one was trained on."
    return told
