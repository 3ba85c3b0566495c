"""From figures to the geometry of the report's charts; the template draws it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from milliner.evaluation.curves import (
    CalibrationBin,
    Floats,
    area_under_roc,
    average_precision,
    calibration,
    calibration_error,
    precision_recall_curve,
    roc_curve,
)
from milliner.evaluation.figures import Metrics
from milliner.evaluation.formats import share
from milliner.evaluation.result import Answers

MAX_CURVES: Final = 6
"""More than these cannot be told apart by colour and dashes."""


@dataclass(frozen=True)
class Plot:
    """Where the unit square lies in a chart's SVG, in its own units, which are pixels where there is room."""

    left: int
    top: int
    side: int


PLOT: Final = Plot(left=54, top=8, side=270)

_LARGEST_DOT: Final = 9.0
_SMALLEST_DOT: Final = 4.5


@dataclass(frozen=True)
class Series:
    """One curve of a chart."""

    label: str
    figure: str
    """Its area, in words and a number."""
    path: str
    """The `d` of an SVG path."""


@dataclass(frozen=True)
class Dot:
    """One tenth of the probabilities in the calibration chart."""

    x: float
    y: float
    radius: float
    low: float
    high: float
    """The y of the two ends of its 95 % interval."""
    text: str


@dataclass(frozen=True)
class Chart:
    """A square chart whose axes both go from 0 to 1."""

    name: str
    """Unique in the page."""
    title: str
    note: str
    """How to read it."""
    axes: tuple[str, str]
    """What x and y are."""
    series: tuple[Series, ...] = ()
    dots: tuple[Dot, ...] = ()
    guide: bool = False
    """Whether the diagonal means something: chance, or perfect calibration."""

    @property
    def description(self) -> str:
        """What it shows, for those who cannot see it."""
        parts = [f"{each.label}: {each.figure}" for each in self.series] + [dot.text for dot in self.dots]
        return "; ".join(parts) + "." if parts else "Drawn as the threshold moves."


def classes_with_curves(metrics: Metrics) -> list[int]:
    """The classes that some pictures of the test set are and some are not, the lowest F1 first."""
    supports = [figures.support for figures in metrics.per_class.values()]
    f1 = [figures.f1 for figures in metrics.per_class.values()]
    possible = [label for label, support in enumerate(supports) if 0 < support < metrics.samples]
    return sorted(possible, key=lambda label: f1[label])


def charts(answers: Answers, metrics: Metrics) -> list[Chart]:
    """The ROC and precision-recall curves of the weakest classes that have some, and the calibration."""
    classes, labels = sorted(classes_with_curves(metrics)[:MAX_CURVES]), list(metrics.per_class)
    curves = [_roc(answers, classes, labels), _precision_recall(answers, classes, labels)] if classes else []
    return [*curves, _calibration(calibration(answers.probabilities, answers.targets))]


def live_charts() -> tuple[Chart, Chart]:
    """Those that the page's script draws in: the ROC and precision-recall curves of the class that is watched for."""
    return (
        Chart("live-roc", "On its ROC curve", "", ("False positive rate", "True positive rate"), guide=True),
        Chart("live-precision-recall", "On its precision-recall curve", "", ("Recall", "Precision")),
    )


def _roc(answers: Answers, classes: list[int], labels: list[str]) -> Chart:
    series = []
    for label in classes:
        x, y = roc_curve(answers.probabilities[:, label], answers.targets == label)
        series.append(Series(labels[label], f"area {share(area_under_roc(x, y))}", _path(x, y)))
    return Chart(
        name="roc",
        title="ROC",
        note="What each gain in finding a class costs in false alarms. The dashed line is chance.",
        axes=("False positive rate", "True positive rate"),
        series=tuple(series),
        guide=True,
    )


def _precision_recall(answers: Answers, classes: list[int], labels: list[str]) -> Chart:
    series = []
    for label in classes:
        recall, precision = precision_recall_curve(answers.probabilities[:, label], answers.targets == label)
        area = average_precision(recall, precision)
        path = _path(np.repeat(np.r_[0.0, recall], 2)[1:-1], np.repeat(precision, 2))
        series.append(Series(labels[label], f"area {share(area)}", path))
    return Chart(
        name="precision-recall",
        title="Precision and recall",
        note="How many of the pictures called a class are that class, as more of them are found. "
        "The area under the steps is the average precision.",
        axes=("Recall", "Precision"),
        series=tuple(series),
    )


def _calibration(bins: list[CalibrationBin]) -> Chart:
    most = max(each.samples for each in bins)
    error = calibration_error(bins) * 100
    return Chart(
        name="calibration",
        title="Calibration",
        note=f"Whether probabilities can be taken at their word: on the dashed line they can. On average they are off "
        f"by {error:.1f} points. Larger dots stand for more pictures; whiskers are 95\N{NO-BREAK SPACE}% intervals.",
        axes=("Probability of what it said", "Share that was correct"),
        dots=tuple(_dot(each, most) for each in bins),
        guide=True,
    )


def _dot(each: CalibrationBin, most: int) -> Dot:
    low, high = each.interval
    return Dot(
        x=_x(each.probability),
        y=_y(each.accuracy),
        radius=round(max(_SMALLEST_DOT, _LARGEST_DOT * (each.samples / most) ** 0.5), 1),
        low=_y(low),
        high=_y(high),
        text=f"said with probability {each.probability:.2f} on average, {each.accuracy * 100:.1f} % correct, "
        f"{each.samples} pictures",
    )


def _path(x: Floats, y: Floats) -> str:
    """Points of the unit square as an SVG path in half units, so that its length is bounded whatever their number."""
    points = np.round(np.stack([PLOT.left + PLOT.side * x, PLOT.top + PLOT.side * (1 - y)], axis=1) * 2) / 2
    moved = np.r_[True, (np.diff(points, axis=0) != 0).any(axis=1)]
    return "M" + "L".join(f"{left:g},{top:g}" for left, top in points[moved].tolist())


def _x(value: float) -> float:
    return round(PLOT.left + PLOT.side * value, 1)


def _y(value: float) -> float:
    return round(PLOT.top + PLOT.side * (1 - value), 1)
