"""Which labels the other pictures contradict: cross-validated probabilities, judged by each class's own threshold.

Every picture is judged by heads that were fitted without it and without what looks like it. A class's threshold is
the mean probability that its own pictures have for it; a picture is suspect where another class's probability
reaches that class's threshold and is the highest that does (confident learning: C. Northcutt, L. Jiang, I. Chuang,
"Confident Learning: Estimating Uncertainty in Dataset Labels", 2021).
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.progress import Progress
from milliner.curation.groups import components

FEWEST: Final = 5
"""Pictures, or groups of lookalikes, that a class needs so that its labels can be judged."""

_FOLDS: Final = 5
_CHOSEN_ON: Final = 4000  # pictures by which the head's strength is chosen
_TOLERANCE: Final = 1e-4
_ROUNDS: Final = 2


def judge_labels(
    vectors: NDArray[np.float32], targets: NDArray[np.int64], groups: NDArray[np.int64], progress: Progress
) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Probabilities [n, classes], and [n] the class that each picture should rather have, -1 where its own stands.

    Judged twice: the second time without the suspects of the first, which had taught the heads what is wrong.
    None where there is one class, or one with too few pictures.

    Args:
        vectors: [n, width] embeddings.
        targets: [n] class numbers, every one of which occurs.
        groups: [n] the number of the group of lookalikes that each belongs to, from 0 without gaps.
        progress: told of the fits.
    """
    folds = _grouped_folds(targets, groups)
    if int(targets.max()) == 0 or folds is None:
        return None
    suspect = np.full(len(targets), -1, np.int64)
    for _ in range(_ROUNDS):
        probabilities = _out_of_fold(vectors, targets, folds, suspect >= 0, progress)
        suspect = suspects(probabilities, targets)
    return probabilities, suspect


def _out_of_fold(
    vectors: NDArray[np.float32],
    targets: NDArray[np.int64],
    folds: NDArray[np.int64],
    left_out: NDArray[np.bool_],
    progress: Progress,
) -> NDArray[np.float32]:
    """[n, classes] each picture's probabilities by a head that has not seen its fold, nor what is left out."""
    from milliner.probe.choose import choose
    from milliner.probe.head import Problem

    classes = int(targets.max()) + 1
    some = np.random.default_rng(0).permutation(np.flatnonzero(~left_out))[:_CHOSEN_ON]
    if np.bincount(targets[some], minlength=classes).min() < FEWEST:
        some = np.arange(len(targets))  # so many classes that every picture counts
    choice = choose(vectors[some], targets[some], classes, 0, progress)
    parts = [folds == fold for fold in range(_FOLDS)]
    heads = Problem.of(vectors, targets, classes, [part | left_out for part in parts]).fit(
        choice.strength, tolerance=_TOLERANCE
    )
    found = np.empty((len(targets), classes), np.float32)
    for part, head in zip(parts, heads, strict=True):
        found[part] = head.probabilities(vectors[part])
    return found


def suspects(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n] the class that each picture should rather have; -1 where its own stands."""
    classes = probabilities.shape[1]
    thresholds = np.array([probabilities[targets == label, label].mean() for label in range(classes)])
    reaching = np.where(probabilities >= thresholds, probabilities, -1)
    best = reaching.argmax(axis=1)
    return np.where((reaching.max(axis=1) >= 0) & (best != targets), best, -1)


def _grouped_folds(targets: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """[n] folds that no group straddles and over which each class is spread evenly; None where one is too small.

    A group of several classes counts for the class of its first picture.
    """
    from milliner.probe.folds import stratified_folds

    _, first = np.unique(groups, return_index=True)
    label_of_group = targets[first]
    if np.bincount(label_of_group, minlength=int(targets.max()) + 1).min() < FEWEST:
        return None
    return stratified_folds(label_of_group, _FOLDS, seed=0)[groups]


def group_numbers(files: Sequence[str], links: Iterable[tuple[str, str]]) -> NDArray[np.int64]:
    """[n] a number for each file, the same for files that links join, over however many others."""
    group_of = {file: number for number, group in enumerate(components(files, links)) for file in group}
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(group_of[file], len(numbers)) for file in files], np.int64)
