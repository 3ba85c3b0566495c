"""The points of the curves that the report draws, in plain numpy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.shares import wilson_interval
from milliner.evaluation.scores import tenths

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationBin:
    """The pictures whose best probability fell into one tenth of 0 to 1."""

    samples: int
    probability: float
    """The mean of the best probabilities."""
    accuracy: float
    """The share that was named correctly."""
    interval: tuple[float, float]
    """The 95 % interval of that share."""


def roc_curve(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """False and true positive rate at every threshold, from (0, 0) to (1, 1).

    Takes [n] scores and [n] truths, of which at least one is positive and one is not.
    """
    hits, alarms = _counts_above(scores, positive)
    return np.r_[0.0, alarms / alarms[-1]], np.r_[0.0, hits / hits[-1]]


def area_under_roc(false_positive_rate: Floats, true_positive_rate: Floats) -> float:
    """The area under a `roc_curve`, 0 to 1; its points are joined by straight lines, so that ties count half."""
    heights = (true_positive_rate[1:] + true_positive_rate[:-1]) / 2
    return float((np.diff(false_positive_rate) * heights).sum())


def precision_recall_curve(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Recall and precision at every threshold, from the highest score down; at least one truth is positive."""
    hits, alarms = _counts_above(scores, positive)
    return hits / hits[-1], hits / (hits + alarms)


def average_precision(recall: Floats, precision: Floats) -> float:
    """The area under the precision-recall steps: each precision counts for the recall that it adds, 0 to 1.

    Joining the points by straight lines would flatter (Davis & Goadrich 2006).
    """
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _counts_above(scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Positives and negatives at or above each distinct score, highest first."""
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]
    hits = np.cumsum(positive[order])[last_of_ties].astype(np.float64)
    return hits, last_of_ties + 1.0 - hits


def calibration(probabilities: NDArray[np.floating[Any]], targets: NDArray[np.int64]) -> list[CalibrationBin]:
    """The tenths of the best probability that hold pictures, lowest first, for [n, classes] probabilities."""
    best = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == targets
    tenth = tenths(best)
    return [_bin(best[tenth == number], correct[tenth == number]) for number in np.unique(tenth)]


def _bin(best: Floats, correct: NDArray[np.bool_]) -> CalibrationBin:
    samples, right = len(best), int(correct.sum())
    return CalibrationBin(samples, float(best.mean()), right / samples, wilson_interval(right, samples))


def calibration_error(bins: list[CalibrationBin]) -> float:
    """How far probability and accuracy lie apart on average, weighted by pictures (Naeini et al. 2015), 0 to 1."""
    samples = sum(each.samples for each in bins)
    return sum(each.samples * abs(each.probability - each.accuracy) for each in bins) / samples
