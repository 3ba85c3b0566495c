"""Exact tests on counts, and what many of them at once are worth."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ROUNDING: Final = 1e-7  # tables that are as probable as the one that was seen, but for rounding


def mcnemar(only_one: int, only_other: int) -> float:
    """The two-sided p of McNemar's exact test: whether one of two is right more often where just one is.

    Twice the smaller tail of a fair coin thrown once for each such picture (McNemar 1947), at most 1.
    """
    thrown = only_one + only_other
    few = np.arange(min(only_one, only_other) + 1)
    factorials = _log_factorials(thrown)
    logs = factorials[thrown] - factorials[few] - factorials[thrown - few] - thrown * np.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))


def fisher(right: int, wrong: int, right_of_rest: int, wrong_of_rest: int) -> float:
    """The two-sided p of Fisher's exact test (1935) on a table of two by two.

    The tables with the same margins that are at most as probable as this one, together; 1 where a margin is 0.
    """
    part, rest, rights = right + wrong, right_of_rest + wrong_of_rest, right + right_of_rest
    factorials = _log_factorials(part + rest)
    hits = np.arange(max(0, rights - rest), min(part, rights) + 1)

    def choose(whole: int, taken: NDArray[np.int64]) -> Floats:
        return np.asarray(factorials[whole] - factorials[taken] - factorials[whole - taken])

    logs = choose(part, hits) + choose(rest, rights - hits)
    probable = np.exp(logs - logs.max())
    seen = probable[right - hits[0]]
    return min(1.0, float(probable[probable <= seen * (1 + _ROUNDING)].sum() / probable.sum()))


def holm(ps: Sequence[float]) -> list[float]:
    """The p of each of several tests, corrected so that any of them is below a level by chance no more often than one
    alone would be (Holm 1979), whatever they have in common.
    """
    corrected, highest = [1.0] * len(ps), 0.0
    for done, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, ps[place] * (len(ps) - done)))
        corrected[place] = highest
    return corrected


def _log_factorials(most: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
