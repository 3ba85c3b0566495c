"""One class's pictures from the highest score down, and what that order gives when pictures weigh differently.

A resample is the same pictures, each as often as it was drawn: a row of weights. So one order serves all resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from milliner.evaluation.sums import Floats, Sums

_ROUNDING: Final = 1e-9  # 0.29 of 100 pictures are 29, not 28.999999999999996


@dataclass(frozen=True)
class Ranked:
    """What an order of pictures gives for each row of weights; NaN where a row has no pictures of one kind."""

    area: Floats
    """[rows] under the ROC curve: how often this class outranks another, ties counting half (Bamber 1975)."""
    precision: Floats
    """[rows] average precision: each precision counts for the recall that it adds. Joining the points by straight
    lines would flatter (Davis & Goadrich 2006)."""
    recalls: Floats
    """[rows, shares] the recall at the lowest threshold whose false alarms keep to each share."""


@dataclass(frozen=True)
class Ranking:
    """The scores at which pictures of the class stand, highest first, and what stands at and between them.

    What scores below all of them is a false alarm that costs nothing, and is not looked at.
    """

    heights: NDArray[np.floating[Any]]
    """The different scores of the pictures of the class, falling."""
    hits: Sums
    """Of the class, by height."""
    alarms: Sums
    """Not of the class: an even number for each gap above a height, the following odd one for the height itself."""

    @classmethod
    def of(cls, scores: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> Self:
        """Ranks [n] scores, of which [n] are of the class; at least one is."""
        rising, place = np.unique(scores[positive], return_inverse=True)
        count = len(rising)
        others = np.flatnonzero(~positive & (scores >= rising[0]))
        right = np.searchsorted(rising, scores[others], side="right")  # how many heights lie at or below each
        at = rising[right - 1] == scores[others]
        return cls(
            heights=rising[::-1],
            hits=Sums.of(np.flatnonzero(positive), count - 1 - place, count),
            alarms=Sums.of(others, 2 * (count - right) + np.where(at, 1, 0), 2 * count),
        )

    def weighed(self, weights: Floats, totals: Floats, shares: Sequence[float]) -> Ranked:
        """The figures for [rows, n] weights that sum to [rows] totals, with the recalls at `shares` of false alarms."""
        new = self.hits(weights)
        hits = np.cumsum(new, axis=1)
        alarms = np.cumsum(self.alarms(weights), axis=1)
        above, reached = alarms[:, 0::2], alarms[:, 1::2]
        positives = hits[:, -1]
        negatives = totals - positives
        with np.errstate(divide="ignore", invalid="ignore"):
            area = 1 - np.einsum("ij,ij->i", new, above + reached) / (2 * positives * negatives)
            precision = np.einsum("ij,ij->i", new, hits / np.maximum(hits + reached, 1)) / positives
            recalls = self._found(hits, reached, negatives, shares) / positives[:, None]
        one_kind = (positives == 0) | (negatives == 0)
        area[one_kind] = precision[one_kind] = recalls[one_kind] = np.nan
        return Ranked(area, precision, recalls)

    def threshold(self, share: float, pictures: int) -> float | None:
        """The lowest height down to which at most this share of the false alarms is raised; None where none is."""
        negatives = pictures - len(self.hits.order)
        reached = np.cumsum(np.bincount(self.alarms_by_number, minlength=self.alarms.count))[1::2]
        borne = int((reached <= share * negatives + _ROUNDING).sum())
        return float(self.heights[borne - 1]) if borne else None

    @property
    def alarms_by_number(self) -> NDArray[np.int64]:
        """The numbers of `alarms`, one for each picture."""
        ends = np.append(self.alarms.starts[1:], len(self.alarms.order))
        return np.repeat(self.alarms.present, ends - self.alarms.starts)

    @staticmethod
    def _found(hits: Floats, reached: Floats, negatives: Floats, shares: Sequence[float]) -> Floats:
        found = np.zeros((len(hits), len(shares)))
        for place, share in enumerate(shares):
            borne = (reached <= share * negatives[:, None] + _ROUNDING).sum(axis=1)
            last = np.take_along_axis(hits, np.maximum(borne - 1, 0)[:, None], axis=1)[:, 0]
            found[:, place] = np.where(borne > 0, last, 0.0)
        return found
