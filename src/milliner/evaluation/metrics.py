"""The figures of a classifier on a test set with their intervals, in plain numpy."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.shares import interval_of_share
from milliner.evaluation.figures import UNDEFINED, ClassFigures, Figure, Interval, Metrics, RecallAt
from milliner.evaluation.intervals import DOUBT, evidence, of_mean, reaching, spread
from milliner.evaluation.resampling import RESAMPLES, each_alone, resamples
from milliner.evaluation.scores import EPSILON, Answered, Scores, mean_of_defined

FALSE_ALARMS: Final = (0.01, 0.05)
"""The shares of false alarms at which recalls are told unless others are asked for."""


def measure(
    probabilities: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    labels: tuple[str, ...],
    *,
    said: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
    at_false_alarms: Sequence[float] = FALSE_ALARMS,
    seed: int = 0,
) -> Metrics:
    """All figures for [n, classes] probabilities and [n] class numbers, n at least 1.

    The same arguments give the same figures to the last bit. Intervals of shares are Wilson's, that of the balanced
    accuracy is put together from them; all others are the middle 95 % of resamples, widened where these cannot see
    (`intervals`). The area under the ROC curve is that of the second class of two, and with more the mean of every
    class against the rest; F1 and average precision are means over the classes that the test set holds.

    Args:
        probabilities: rows that sum to 1.
        targets: true classes.
        labels: the classes' names.
        said: [n] class numbers that were said; by default the most probable, of equally probable ones the first.
        groups: [n] numbers of pictures that are right or wrong together, from 0 without gaps; by default each is alone.
        at_false_alarms: shares of false alarms, 0 to 1, at which recalls are told.
        seed: decides the resamples.
    """
    answered = Answered(probabilities, targets, probabilities.argmax(axis=1) if said is None else said, at_false_alarms)
    return _Measured(answered, each_alone(len(targets)) if groups is None else groups, seed).metrics(labels)


def headline(
    probabilities: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    *,
    said: NDArray[np.int64],
    groups: NDArray[np.int64],
    seed: int = 0,
) -> Mapping[str, Figure]:
    """`accuracy`, `roc_auc` and `log_loss` alone, as in `measure`; the groups' numbers may have gaps."""
    together = np.unique(groups, return_inverse=True)[1]
    found = _Measured(Answered(probabilities, targets, said), together, seed)
    return {"accuracy": found.accuracy(), "roc_auc": found.area(), "log_loss": found.log_loss()}


class _Measured:
    """A test set's scores, and those of its resamples."""

    def __init__(self, answered: Answered, groups: NDArray[np.int64], seed: int) -> None:
        self.answered, self.groups, self.seed = answered, groups, seed
        self.confusion = confusion_matrix(answered.targets, answered.said, answered.classes)
        self.support = self.confusion.sum(axis=1)
        self.scores = answered.weighed(np.ones((1, len(answered))))
        self.drawn: Scores | None = None  # a single group would be drawn again and again
        if groups.max() > 0:
            self.drawn = Scores.joined([answered.weighed(block) for block in resamples(groups, RESAMPLES, seed)])
        classes = range(answered.classes)
        self.worth = np.array([self._worth(answered.targets == label) for label in classes])

    def _worth(self, pictures: NDArray[np.bool_]) -> float:
        return evidence(self.answered.right[pictures], self.groups[pictures]) if pictures.any() else 0.0

    def metrics(self, labels: tuple[str, ...]) -> Metrics:
        of_classes = [self.of_class(label) for label in range(len(labels))]
        return Metrics(
            samples=len(self.answered),
            figures={
                "accuracy": self.accuracy(),
                "balanced_accuracy": self.mean("recall", of_classes),
                "f1": self.mean("f1", of_classes),
                "roc_auc": self.area(of_classes),
                "average_precision": self.mean("average_precision", of_classes),
                "log_loss": self.log_loss(),
                "calibration_error": self.calibration_error(),
            },
            per_class=dict(zip(labels, of_classes, strict=True)),
            confusion=self.confusion,
        )

    def accuracy(self) -> Figure:
        share = float(self.scores.accuracy[0])
        return Figure(share, interval_of_share(share, evidence(self.answered.right, self.groups)))

    def area(self, of_classes: Sequence[ClassFigures] = ()) -> Figure:
        classes = range(self.answered.classes)
        if len(classes) == 2:
            return self._area(1)
        return self.mean("roc_auc", of_classes or [self.of_class(label) for label in classes])

    def mean(self, part: str, of_classes: Sequence[ClassFigures]) -> Figure:
        """Over the classes that the test set holds, as far as theirs can be told.

        The resamples see that classes share mistakes, the classes' own intervals what resamples cannot see.
        """
        found = [each.figures[part] for each in of_classes if each.support]
        values = [each.value for each in found if each.value is not None]
        ends = [each.interval for each in found if each.value is not None and each.interval is not None]
        if not values:
            return UNDEFINED
        together = of_mean(np.array(values), ends) if len(ends) == len(values) else None
        if self.drawn is None:
            return Figure(float(np.mean(values)), together)
        means = self.drawn.balanced_accuracy if part == "recall" else mean_of_defined(getattr(self.drawn, part))
        return Figure(float(np.mean(values)), reaching(spread(means), *(together or ())))

    def log_loss(self) -> Figure:
        """Of few mistakes, which make most of it, resamples see too few more: the upper end counts some on top."""
        value, drawn = float(self.scores.log_loss[0]), self._spread("log_loss")
        if drawn is None:
            return Figure(value)
        mistakes = self.answered.losses[~self.answered.right]
        typical = mistakes.mean() if len(mistakes) else -np.log1p(-self.answered.best.clip(0, 1 - EPSILON)).mean()
        tops = self._among(DOUBT, value, float(typical)), self._among(DOUBT / 2, drawn[1], float(typical))
        return Figure(value, reaching(drawn, value, *tops))

    def calibration_error(self) -> Figure:
        """The test set's error lies above the truth's, as those of its resamples lie above its own.

        So the lower end is mirrored, and it is 0 where pictures that are right as often as they should be come out as
        far off by chance (Bröcker & Smith 2007).
        """
        value, drawn = float(self.scores.calibration_error[0]), self._spread("calibration_error")
        if drawn is None:
            return Figure(value)
        low = max(0.0, 2 * value - drawn[1]) if value > self.answered.chance_error(self.groups, self.seed) else 0.0
        return Figure(value, reaching((low, drawn[1]), value, self._among(DOUBT, value, self.answered.best.mean())))

    def _among(self, more: float, mean: float, value: float) -> float:
        """A mean over the pictures, had there been so many more of this value."""
        pictures = len(self.answered)
        return (pictures * mean + more * value) / (pictures + more)

    def of_class(self, label: int) -> ClassFigures:
        there, said = int(self.support[label]), int(self.confusion[:, label].sum())
        hits = int(self.confusion[label, label])
        called = self.answered.said == label
        figures = {
            "precision": _share(hits, said, self._worth(called)),
            "recall": _share(hits, there, float(self.worth[label])),
            "f1": self._f1(label, there + said),
            "roc_auc": self._area(label),
            "average_precision": self._average_precision(label),
        }
        shares = enumerate(self.answered.shares)
        return ClassFigures(there, figures, tuple(self._recall_at(label, place, share) for place, share in shares))

    def _f1(self, label: int, pictures: int) -> Figure:
        value = float(np.nan_to_num(self.scores.f1[0, label]))
        if not self.support[label]:
            return Figure(value)
        doubt = DOUBT * self.support[label] / self.worth[label]
        ends = value * pictures / (pictures + doubt), (value * pictures + 2 * doubt) / (pictures + 2 * doubt)
        return Figure(value, reaching(self._spread("f1", label) or ends, *ends))

    def _area(self, label: int) -> Figure:
        if label not in self.answered.rankings:
            return UNDEFINED
        value = float(self.scores.roc_auc[0, label])
        scarce = min(float(self.worth[label]), self._worth(self.answered.targets != label))
        worst = (scarce * value + DOUBT / 2) / (scarce + DOUBT)  # more pictures, of which it has no idea
        return Figure(value, reaching(self._spread("roc_auc", label), value, worst))

    def _average_precision(self, label: int) -> Figure:
        """Few pictures that rank low, or others that rank high, make most of what it lacks; see `log_loss`."""
        if label not in self.answered.rankings:
            return UNDEFINED
        value, drawn = float(self.scores.average_precision[0, label]), self._spread("average_precision", label)
        chance, worth = float(self.support[label]) / len(self.answered), float(self.worth[label])
        lows = [
            (worth * low + more * chance) / (worth + more)
            for more, low in ((DOUBT, value), (DOUBT / 2, drawn[0] if drawn else value))
        ]
        return Figure(value, reaching(drawn, value, *lows))

    def _recall_at(self, label: int, place: int, share: float) -> RecallAt:
        if label not in self.answered.rankings:
            return RecallAt(share, UNDEFINED, None)
        value = float(self.scores.recalls[0, label, place])
        ends = interval_of_share(value, float(self.worth[label]))
        threshold = self.answered.rankings[label].threshold(share, len(self.answered))
        drawn = self._spread("recalls", label, place) or ends
        return RecallAt(share, Figure(value, reaching(drawn, *ends)), threshold)

    def _spread(self, name: str, *place: int) -> Interval | None:
        return spread(getattr(self.drawn, name)[:, *place]) if self.drawn is not None else None


def _share(part: int, whole: int, worth: float) -> Figure:
    return Figure(part / whole, interval_of_share(part / whole, worth)) if whole else Figure(0.0)


def confusion_matrix(targets: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """[classes, classes] counts for [n] true and [n] said class numbers; rows are the truth."""
    cells = np.bincount(targets * classes + said, minlength=classes * classes)
    return np.asarray(cells.reshape(classes, classes), np.int64)
