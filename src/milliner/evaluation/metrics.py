"""The figures of a classifier on a test set, in plain numpy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_Z: Final = 1.959963984540054  # the 97.5 % point of the normal distribution: a two-sided 95 % interval
_EPSILON: Final = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class ClassFigures:
    """One class against the rest; a figure that is not defined is 0."""

    precision: float
    """The share of the pictures called this that are this, 0 to 1."""
    recall: float
    """The share of the pictures that are this that are called this, 0 to 1."""
    f1: float
    """The harmonic mean of precision and recall."""
    support: int
    """How many pictures are this."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "support": self.support}


@dataclass(frozen=True)
class Metrics:
    """How well probabilities fit the truth."""

    samples: int
    accuracy: float
    interval: tuple[float, float]
    """The 95 % interval of the accuracy."""
    roc_auc: float | None
    """None where the test set holds pictures of one class only."""
    log_loss: float
    per_class: Mapping[str, ClassFigures]
    """By label, in the order of the model's classes."""
    confusion: NDArray[np.int64]
    """[classes, classes] counts; a row is a true class, a column the class that was said."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {
            "samples": self.samples,
            "accuracy": {"value": self.accuracy, "interval": list(self.interval)},
            "roc_auc": self.roc_auc,
            "log_loss": self.log_loss,
            "per_class": {label: figures.to_json() for label, figures in self.per_class.items()},
            "confusion": {"labels": list(self.per_class), "matrix": self.confusion.tolist()},
        }


def measure(
    probabilities: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    labels: tuple[str, ...],
    said: NDArray[np.int64] | None = None,
) -> Metrics:
    """All figures for [n, classes] probabilities and [n] class numbers, n at least 1.

    `said`, [n] class numbers, is what an operating point makes of them; the most probable class when left out, of
    equally probable ones the first.
    """
    confusion = confusion_matrix(targets, probabilities.argmax(axis=1) if said is None else said, len(labels))
    correct, samples = int(confusion.trace()), len(targets)
    return Metrics(
        samples=samples,
        accuracy=correct / samples,
        interval=wilson_interval(correct, samples),
        roc_auc=roc_auc(probabilities, targets),
        log_loss=log_loss(probabilities, targets),
        per_class=dict(zip(labels, _per_class(confusion), strict=True)),
        confusion=confusion,
    )


def confusion_matrix(targets: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """[classes, classes] counts for [n] true and [n] said class numbers; rows are the truth."""
    cells = np.bincount(targets * classes + said, minlength=classes * classes)
    return np.asarray(cells.reshape(classes, classes), np.int64)


def wilson_interval(correct: int, samples: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927), both ends in 0 to 1; `samples` is at least 1.

    Unlike the textbook's normal interval it holds for small test sets and for shares near 0 and 1.
    """
    share, square = correct / samples, _Z**2
    centre = (share + square / (2 * samples)) / (1 + square / samples)
    half = _Z * math.sqrt(share * (1 - share) / samples + square / (4 * samples**2)) / (1 + square / samples)
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == samples else min(1.0, centre + half)
    return low, high


def roc_auc(probabilities: NDArray[np.floating[Any]], targets: NDArray[np.int64]) -> float | None:
    """The area under the ROC curve, 0.5 for chance and 1 for a perfect order, from [n, classes] probabilities.

    With two classes that of the second one; with more the plain mean of every class against the rest. A class
    that the test set lacks, or holds alone, is left out; None where no class remains.
    """
    classes = probabilities.shape[1]
    areas = [_area(probabilities[:, label], targets == label) for label in ((1,) if classes == 2 else range(classes))]
    defined = [area for area in areas if area is not None]
    return sum(defined) / len(defined) if defined else None


def _area(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> float | None:
    """The Mann-Whitney statistic: how often a positive outranks a negative, ties counting half (Bamber 1975)."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]  # tied scores share the mean of their ranks
    return (float(rank[positive].sum()) - positives * (positives + 1) / 2) / (positives * negatives)


def log_loss(probabilities: NDArray[np.floating[Any]], targets: NDArray[np.int64]) -> float:
    """The mean of -ln(probability of the truth) over [n, classes], clipped at single precision's epsilon."""
    truth = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return -float(np.log(truth.clip(_EPSILON, 1 - _EPSILON)).mean())


def _per_class(confusion: NDArray[np.int64]) -> list[ClassFigures]:
    right, said, true = confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)
    return [
        ClassFigures(_share(hit, called), _share(hit, there), _share(2 * hit, called + there), there)
        for hit, called, there in zip(right.tolist(), said.tolist(), true.tolist(), strict=True)
    ]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
