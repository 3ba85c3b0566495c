"""Floor 1: the only code that decodes, validates and resizes pictures; the labelled image folder and its ledger."""
