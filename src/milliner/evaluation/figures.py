"""The values that figures are told by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
"""The lower and upper end of a 95 % interval."""

NAMES: Final[Mapping[str, str]] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1, mean of classes",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}
"""The figures of a test set by their names in JSON, each with what people call it."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval."""

    value: float | None
    """None where the test set cannot say: an area under the curve needs pictures of two classes."""
    interval: Interval | None = None
    """None where nothing can be said of how far the value may be off, as from a single picture."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {"value": self.value, "interval": list(self.interval) if self.interval else None}


UNDEFINED: Final = Figure(None)


@dataclass(frozen=True)
class RecallAt:
    """How much of a class is found where only so many false alarms are borne."""

    false_alarms: float
    """The share of the pictures of other classes that may be called this, 0 to 1."""
    recall: Figure
    """The share of the pictures that are this that are found, 0 to 1."""
    threshold: float | None
    """The least probability that is called this there; None where no threshold keeps to the share."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {"false_alarms": self.false_alarms, "recall": self.recall.to_json(), "threshold": self.threshold}


@dataclass(frozen=True)
class ClassFigures:
    """One class against the rest; precision, recall and F1 that are not defined are 0, without interval."""

    support: int
    """How many pictures are this."""
    figures: Mapping[str, Figure]
    """`precision`, `recall`, `f1`, `roc_auc` and `average_precision`."""
    at_false_alarms: tuple[RecallAt, ...] = ()

    @property
    def precision(self) -> float:
        """The share of the pictures called this that are this, 0 to 1."""
        return self.figures["precision"].value or 0.0

    @property
    def recall(self) -> float:
        """The share of the pictures that are this that are called this, 0 to 1."""
        return self.figures["recall"].value or 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return self.figures["f1"].value or 0.0

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {
            **{name: figure.to_json() for name, figure in self.figures.items()},
            "support": self.support,
            "recall_at_false_alarms": [each.to_json() for each in self.at_false_alarms],
        }


@dataclass(frozen=True)
class Resampling:
    """How the intervals came about."""

    resamples: int
    groups: int
    """What was drawn: groups of pictures of the same shoot, as many as there are pictures where none look alike."""
    by: str
    """`shoots`, or `pictures` where it was not looked for lookalikes or there are none."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {"resamples": self.resamples, "groups": self.groups, "by": self.by}


@dataclass(frozen=True)
class Metrics:
    """How well probabilities fit the truth."""

    samples: int
    figures: Mapping[str, Figure]
    """Those of `NAMES`."""
    per_class: Mapping[str, ClassFigures]
    """By label, in the order of the model's classes."""
    confusion: NDArray[np.int64]
    """[classes, classes] counts; a row is a true class, a column the class that was said."""

    @property
    def accuracy(self) -> float:
        """The share that is named correctly, 0 to 1."""
        return self.figures["accuracy"].value or 0.0

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the accuracy."""
        return self.figures["accuracy"].interval or (0.0, 1.0)

    @property
    def roc_auc(self) -> float | None:
        """None where the test set holds pictures of one class only."""
        return self.figures["roc_auc"].value

    @property
    def log_loss(self) -> float:
        """The mean of -ln(probability of the truth)."""
        return self.figures["log_loss"].value or 0.0

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {
            "samples": self.samples,
            **{name: figure.to_json() for name, figure in self.figures.items()},
            "per_class": {label: figures.to_json() for label, figures in self.per_class.items()},
            "confusion": {"labels": list(self.per_class), "matrix": self.confusion.tolist()},
        }


@dataclass(frozen=True)
class SliceFigures:
    """The pictures that have one value in a column, such as those of one source."""

    column: str
    value: str
    samples: int
    accuracy: Figure
    roc_auc: Figure
    log_loss: Figure
    rest: float | None
    """The accuracy of all other pictures, 0 to 1; None where there are none."""
    p: float
    """Of Fisher's exact test against the rest, after Holm's correction for the number of slices."""

    @property
    def differs(self) -> bool:
        """Whether its accuracy differs from that of the rest by more than chance explains."""
        return self.p < SIGNIFICANT

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {
            "column": self.column,
            "value": self.value,
            "samples": self.samples,
            "accuracy": self.accuracy.to_json(),
            "roc_auc": self.roc_auc.to_json(),
            "log_loss": self.log_loss.to_json(),
            "rest": self.rest,
            "p": self.p,
            "differs": self.differs,
        }


SIGNIFICANT: Final = 0.05
"""Differences with a lower p are told as such."""
