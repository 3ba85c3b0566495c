"""How far a share that was counted may be from the true one."""

import math
from typing import Final

Z: Final = 1.959963984540054  # the 97.5 % point of the normal distribution: a two-sided 95 % interval


def wilson_interval(correct: int, samples: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927), both ends in 0 to 1; `samples` is at least 1.

    Unlike the textbook's normal interval it holds for small test sets and for shares near 0 and 1.
    """
    return interval_of_share(correct / samples, samples)


def interval_of_share(share: float, evidence: float) -> tuple[float, float]:
    """Wilson's interval of a share of 0 to 1 that is worth so many independent pictures, more than 0."""
    doubt = Z**2
    centre = (share + doubt / (2 * evidence)) / (1 + doubt / evidence)
    half = Z * math.sqrt(share * (1 - share) / evidence + doubt / (4 * evidence**2)) / (1 + doubt / evidence)
    low = 0.0 if share <= 0 else min(share, max(0.0, centre - half))
    high = 1.0 if share >= 1 else max(share, min(1.0, centre + half))
    return low, high
