"""Chooses the head's regularisation strength by cross-validation inside the training split."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.progress import Progress, silent
from milliner.probe.class_weights import BALANCED, ClassWeights
from milliner.probe.head import Head, Problem, log_softmax

STRENGTHS: Final = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""Strongest first: each fit starts from the one before."""

MAX_FOLDS: Final = 5

_PATIENCE: Final = 2  # strengths in a row that may be worse than the best before weaker ones are not tried

_MOST_WORK: Final = 200_000  # samples times the heads' columns in one evaluation: a second is some ten of these

_MANY_CLASSES: Final = 50  # from here on two folds, because the time grows with heads times classes

_TOLERANCE: Final = 1e-4  # ten times the final head's: the figures agree to the third digit in half the time


@dataclass(frozen=True)
class Choice:
    """The strength with the lowest cross-validated log loss, and what it gave on the pictures left out."""

    strength: float
    accuracy: float
    log_loss: float
    folds: int
    logits: NDArray[np.float32] = field(repr=False, compare=False)
    """[n, classes] of every picture, by the head that it was left out of."""
    held_out: NDArray[np.int64] = field(repr=False, compare=False)
    """[n] the fold that each was left out in."""

    def metrics(self) -> dict[str, float | int]:
        """As it stands in a model's metadata."""
        return {"accuracy": self.accuracy, "log_loss": self.log_loss, "folds": self.folds}


def choose_strength(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    classes: int,
    seed: int,
    progress: Progress = silent,
    counted: ClassWeights = BALANCED,
) -> Choice:
    """Stratified k-fold over `STRENGTHS` on [n, width] embeddings; every class needs two samples or more.

    Log loss decides, not accuracy, because it still tells good from better where few pictures are wrong. Of very many
    samples some are looked at: on the helmets the best strength is the same from 5 to 150 pictures of each class.
    """
    folds = int(min(MAX_FOLDS if classes <= _MANY_CLASSES else 2, np.bincount(targets, minlength=classes).min()))
    some = stratified_part(targets, _MOST_WORK // (folds * (1 if classes == 2 else classes)), folds, seed)
    if len(some) < len(targets):
        embeddings, targets = embeddings[some], targets[some]
    held_out = stratified_folds(targets, folds, seed)
    parts = [held_out == fold for fold in range(folds)]
    problem = Problem.of(embeddings, targets, classes, parts, counted)
    heads: list[Head] = []
    best, worse = Choice(0.0, 0.0, np.inf, folds, np.zeros((len(targets), classes), np.float32), held_out), 0
    with progress("cross-validate", len(STRENGTHS)) as advance:
        for strength in STRENGTHS:
            heads = problem.fit(strength, heads, _TOLERANCE)
            logits = np.empty((len(targets), classes), np.float32)
            for part, head in zip(parts, heads, strict=True):
                logits[part] = head.logits(embeddings[part])
            found = _measure(strength, logits, targets, held_out)
            best, worse = (found, 0) if found.log_loss < best.log_loss else (best, worse + 1)
            advance()
            if worse == _PATIENCE:
                break
    return best


def _measure(
    strength: float, logits: NDArray[np.float32], targets: NDArray[np.int64], held_out: NDArray[np.int64]
) -> Choice:
    log_loss = -float(log_softmax(logits)[np.arange(len(targets)), targets].mean())
    accuracy = float((logits.argmax(axis=1) == targets).mean())
    return Choice(strength, accuracy, log_loss, int(held_out.max()) + 1, logits, held_out)


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
