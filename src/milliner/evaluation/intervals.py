"""95 % intervals: of shares by Wilson's formula, of other figures by their spread over resamples.

Resamples cannot draw what a test set lacks: of a flawless one they say that the truth is flawless. Wilson's lower end
for n pictures that are all right is n / (n + z²), the share if z² = 3.84 more pictures had been wrong; `reaching`
gives every figure at least the same doubt. Without it, simulated intervals of areas near 1 hold the truth in four of
five cases instead of nineteen of twenty.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.shares import Z
from milliner.evaluation.figures import Interval
from milliner.evaluation.sums import Floats

DOUBT: Final = Z**2
"""Pictures that a test set might just as well have had besides."""

_ENDS: Final = (0.025, 0.975)


def evidence(right: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """How many independent pictures n pictures in groups are worth for the share that is right; at least 1 of them.

    n over the design effect (Kish 1965): the variance that the share has over whole groups, against that of pictures
    one by one. What cannot be seen in few mistakes is taken for the worst, that groups are right or wrong as a whole.
    """
    sizes = np.bincount(groups)
    sizes, hits = sizes[sizes > 0].astype(np.float64), np.bincount(groups, right)[sizes > 0]
    pictures, share = float(sizes.sum()), float(hits.sum() / sizes.sum())
    worst = float((sizes**2).sum()) / pictures
    if worst == 1:
        return pictures
    few, found = min(share, 1 - share) * pictures, worst
    if few > 0 and len(sizes) > 1:
        of_groups = ((hits - share * sizes) ** 2).sum() * len(sizes) / (len(sizes) - 1)
        found = min(max(1.0, float(of_groups) / (pictures * share * (1 - share))), worst)
    return pictures / ((few * found + DOUBT * worst) / (few + DOUBT))


def spread(values: Floats) -> Interval | None:
    """The middle 95 % of a figure's resamples (Efron 1979), without those that cannot say; None where none can."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, _ENDS)
    return float(low), float(high)


def reaching(interval: Interval | None, *values: float) -> Interval | None:
    """An interval that also holds these values, all of 0 or more."""
    return (min(interval[0], *values), max(interval[1], *values)) if interval else None


def of_mean(values: Floats, ends: list[Interval]) -> Interval:
    """The interval of a mean of independent figures from theirs (Zou & Donner 2008), so that one of many that is
    known badly counts for what it is.
    """
    below = math.sqrt(sum((value - low) ** 2 for value, (low, _) in zip(values, ends, strict=True)))
    above = math.sqrt(sum((high - value) ** 2 for value, (_, high) in zip(values, ends, strict=True)))
    mean = float(np.mean(values))
    return mean - below / len(values), mean + above / len(values)
