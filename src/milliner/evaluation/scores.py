"""Every figure of a test set for any weights of its pictures: all ones give the figures, resamples their spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from milliner.core.parallel import ordered_map
from milliner.evaluation.ranking import Ranked, Ranking
from milliner.evaluation.sums import Floats, Sums

EPSILON: Final = float(np.finfo(np.float32).eps)
CELLS: Final = 2**21
"""Weights that are held at once: 16 megabytes."""

_TRIALS: Final = 400
_WORTH_SPREADING: Final = 2**20  # weights; fewer take less time than starting threads

TENTHS: Final = 10
"""Bins of equal width that probabilities are compared with the truth in (as Guo et al. 2017 do, with 15)."""


def losses(probabilities: NDArray[np.floating[Any]], targets: NDArray[np.int64]) -> Floats:
    """[n] -ln(probability of the truth) for [n, classes], clipped at single precision's epsilon."""
    truth = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return np.asarray(-np.log(truth.clip(EPSILON, 1 - EPSILON)), np.float64)


def tenths(best: Floats) -> NDArray[np.int64]:
    """[n] which tenth of 0 to 1 each probability falls into, 0 to 9; the last one includes 1."""
    return np.minimum((best * TENTHS).astype(np.int64), TENTHS - 1)


@dataclass(frozen=True)
class Scores:
    """Figures for each row of weights; NaN where a row cannot say."""

    accuracy: Floats
    """[rows]"""
    balanced_accuracy: Floats
    """[rows] the mean recall of the classes that a row has pictures of."""
    log_loss: Floats
    """[rows]"""
    calibration_error: Floats
    """[rows] how far the best probability and the share that is right lie apart, over `TENTHS` bins (Guo 2017)."""
    f1: Floats
    """[rows, classes]; NaN where nothing is of the class."""
    roc_auc: Floats
    """[rows, classes] each class against the rest."""
    average_precision: Floats
    """[rows, classes]"""
    recalls: Floats
    """[rows, classes, shares] at stated shares of false alarms."""

    @property
    def area(self) -> Floats:
        """[rows] under the ROC curve: that of the second class of two, of more the mean of those that have one."""
        return self.roc_auc[:, 1] if self.roc_auc.shape[1] == 2 else mean_of_defined(self.roc_auc)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, one behind the other."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


class Answered:
    """A test set with what was said of it, ready to be weighed."""

    def __init__(
        self,
        probabilities: NDArray[np.floating[Any]],
        targets: NDArray[np.int64],
        said: NDArray[np.int64],
        shares: Sequence[float] = (),
    ) -> None:
        """Takes [n, classes] probabilities, [n] true and [n] said classes; `shares` are of false alarms."""
        self.probabilities, self.targets, self.said, self.shares = probabilities, targets, said, tuple(shares)
        self.classes = probabilities.shape[1]
        self.best = probabilities.max(axis=1).astype(np.float64)
        self.losses = losses(probabilities, targets)
        self.right = said == targets
        every = np.arange(len(targets))
        self._of_truth = Sums.of(every, targets, self.classes)
        self._of_said = Sums.of(every, said, self.classes)

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def rankings(self) -> dict[int, Ranking]:
        """Of each class that some pictures are and some are not."""
        count = np.bincount(self.targets, minlength=self.classes)
        ranked = np.flatnonzero((count > 0) & (count < len(self)))
        return {label: Ranking.of(self.probabilities[:, label], self.targets == label) for label in ranked.tolist()}

    @cached_property
    def _off(self) -> Floats:
        """[n, tenths] how far each picture's best probability is above what was true, in its bin."""
        off = np.zeros((len(self), TENTHS))
        most_probable = self.probabilities.argmax(axis=1) == self.targets
        off[np.arange(len(self)), tenths(self.best)] = self.best - most_probable
        return off

    def chance_error(self, groups: NDArray[np.int64], seed: int) -> float:
        """What the calibration error of these probabilities stays below in 39 of 40 cases if they are true.

        [n] `groups` are right or wrong together.
        """
        random = np.random.default_rng(seed)
        size, in_tenths = int(groups.max()) + 1, np.eye(TENTHS)[tenths(self.best)]
        rows = max(1, CELLS // len(self))
        found = [
            np.abs((self.best - (random.random((min(rows, _TRIALS - start), size))[:, groups] < self.best)) @ in_tenths)
            for start in range(0, _TRIALS, rows)
        ]
        return float(np.quantile(np.concatenate(found).sum(axis=1), 0.975)) / len(self)

    def weighed(self, weights: Floats) -> Scores:
        """The figures for [rows, n] weights, none of whose rows is all zero."""
        total = weights.sum(axis=1)
        there, said = self._of_truth(weights), self._of_said(weights)
        hits = self._of_truth(weights * self.right)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = hits / there
            f1 = np.where(there > 0, 2 * hits / (there + said), np.nan)
        area, precision, recalls = self._ranked(weights, total)
        return Scores(
            accuracy=(weights @ self.right) / total,
            balanced_accuracy=mean_of_defined(recall),
            log_loss=(weights @ self.losses) / total,
            calibration_error=np.abs(weights @ self._off).sum(axis=1) / total,
            f1=f1,
            roc_auc=area,
            average_precision=precision,
            recalls=recalls,
        )

    def _ranked(self, weights: Floats, total: Floats) -> tuple[Floats, Floats, Floats]:
        rows = len(weights)
        area = np.full((rows, self.classes), np.nan)
        precision, recalls = area.copy(), np.full((rows, self.classes, len(self.shares)), np.nan)

        def weigh(ranking: Ranking) -> Ranked:
            return ranking.weighed(weights, total, self.shares)

        spread = ordered_map if weights.size > _WORTH_SPREADING else map
        for label, ranked in zip(self.rankings, spread(weigh, self.rankings.values()), strict=True):
            area[:, label], precision[:, label], recalls[:, label] = ranked.area, ranked.precision, ranked.recalls
        return area, precision, recalls


def mean_of_defined(values: Floats) -> Floats:
    """[rows] the mean over [rows, classes] of what is not NaN; NaN where all are."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1))
