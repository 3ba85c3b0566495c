"""Deals samples out to folds, and picks parts of very many of them; every class stays spread evenly."""

import numpy as np
from numpy.typing import NDArray


def stratified_folds(targets: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """[n] the fold of every sample; each class is dealt out evenly, in an order that the seed decides."""
    random = np.random.default_rng(seed)
    dealt = np.empty(len(targets), np.int64)
    start = 0
    for label in range(int(targets.max()) + 1):
        places = random.permutation(np.flatnonzero(targets == label))
        dealt[places] = (start + np.arange(len(places))) % folds
        start += len(places)  # the next class goes on where this one stopped, so that folds stay equal in size
    return dealt


def grouped_folds(
    targets: NDArray[np.int64], groups: NDArray[np.int64], folds: int, seed: int
) -> NDArray[np.int64] | None:
    """[n] folds that no group straddles; a group of several classes counts for that of its first sample.

    None where they would leave a class out of a fit: its samples, then, belong together too much.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    dealt = stratified_folds(targets[first], folds, seed)[group]
    classes = np.bincount(targets)
    for fold in range(folds):
        left = np.bincount(targets[dealt == fold], minlength=len(classes))
        if len(left) == 0 or (left == classes)[classes > 0].any() or left.sum() == 0:
            return None
    return dealt


def stratified_part(targets: NDArray[np.int64], most: int, least: int, seed: int) -> NDArray[np.int64]:
    """About `most` of the samples' places, ascending: the same share of each class, but `least` of each or all it has.

    All of them where there are no more. The seed decides which; a larger `most` adds to the smaller one's.
    """
    if len(targets) <= most:
        return np.arange(len(targets))
    random = np.random.default_rng(seed)
    share, found = most / len(targets), []
    for label in range(int(targets.max()) + 1):
        own = random.permutation(np.flatnonzero(targets == label))
        found.append(own[: max(least, round(share * len(own)))])
    return np.sort(np.concatenate(found))
