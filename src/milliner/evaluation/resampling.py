"""Draws test sets out of a test set, so that figures can be taken of each and their spread be seen."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.evaluation.scores import CELLS

RESAMPLES: Final = 1000


def resamples(groups: NDArray[np.int64], count: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Blocks of [rows, n] weights, `count` rows in all: how often each picture was drawn.

    Whole groups are drawn, as many as there are, with replacement; pictures of one shoot are right or wrong together,
    and drawn one by one they would look like more evidence than they are.

    Args:
        groups: [n] the group of each picture, numbered from 0 without gaps.
        count: of resamples.
        seed: decides what is drawn.
    """
    random = np.random.default_rng(seed)
    size = int(groups.max()) + 1
    alone = size == len(groups) and bool((groups == np.arange(size)).all())
    rows = max(1, CELLS // len(groups))
    for start in range(0, count, rows):
        part = min(rows, count - start)
        drawn = random.integers(size, size=(part, size)) + (np.arange(part) * size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=part * size).reshape(part, size).astype(np.float64)
        yield times if alone else times[:, groups]


def each_alone(pictures: int) -> NDArray[np.int64]:
    """[pictures] group numbers where none belongs with another."""
    return np.arange(pictures)
