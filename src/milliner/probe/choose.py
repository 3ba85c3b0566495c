"""Chooses by cross-validation inside the training split: which maps of features the head sees, and its strength.

The maps: the last one alone, or a finer one with it, which finds small things and costs a head more to learn. The finer
one is taken where it lowers the log loss by more than one standard error of the gain ("one-standard-error rule",
Breiman et al. 1984), and only where each class has pictures enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.progress import Progress, silent
from milliner.probe.class_weights import BALANCED, ClassWeights
from milliner.probe.folds import grouped_folds, stratified_folds, stratified_part
from milliner.probe.head import Head, Problem, log_softmax
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.probe.warm_start import WarmStart

STRENGTHS: Final = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
"""Strongest first: each fit starts from the one before."""

_FEW_STRENGTHS: Final = (1e-1, 1e-2, 1e-3)  # of very many classes, whose fits take minutes

MAX_FOLDS: Final = 5

_PATIENCE: Final = 2  # strengths in a row that may be worse than the best before weaker ones are not tried

_MOST_WORK: Final = 200_000  # samples times the heads' columns in one evaluation: a second is some ten of these

_MANY_CLASSES: Final = 50  # from here on two folds, because the time grows with heads times classes

_ENOUGH: Final = 50
"""Pictures that the smallest class must have for a wider head to be tried: 5 and 20 of each class, drawn from the
helmets' training list, taught wider heads less, which so few cannot tell by themselves."""

_LEAST_OF_EACH: Final = 4  # pictures of a class that are looked at where there are very many

_TOLERANCE: Final = 2e-4  # twenty times the final head's: the figures agree to the third digit in half the time


@dataclass(frozen=True)
class Looked:
    """The samples that a choice is made on."""

    rows: NDArray[np.int64]
    """[m] their places among all samples."""
    held_out: NDArray[np.int64]
    """[m] the fold that each is left out in."""
    grouped: bool
    """Whether samples of one group are always left out together."""


@dataclass(frozen=True)
class Choice:
    """The settings with the lowest cross-validated log loss, and what they gave on the samples left out."""

    strength: float
    width: int
    """How many of the embedding's numbers the head sees, from the first one on."""
    accuracy: float
    log_loss: float
    looked: Looked = field(repr=False, compare=False)
    logits: NDArray[np.float32] = field(repr=False, compare=False)
    """[m, classes] of the samples that were looked at, each by the head that it was left out of."""
    losses: NDArray[np.float32] = field(repr=False, compare=False)
    """[m] what they cost."""

    @property
    def folds(self) -> int:
        """In how many parts the samples were left out."""
        return int(self.looked.held_out.max()) + 1

    def metrics(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        return {
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "folds": self.folds,
            "grouped": self.looked.grouped,
            "samples": len(self.looked.rows),
        }


def look_at(targets: NDArray[np.int64], classes: int, seed: int, groups: NDArray[np.int64] | None = None) -> Looked:
    """Which samples are looked at, in which folds; every class needs two samples or more.

    Of very many samples some: on the helmets the best strength is the same from 5 to 150 pictures of each class.
    """
    folds = int(min(MAX_FOLDS if classes <= _MANY_CLASSES else 2, np.bincount(targets, minlength=classes).min()))
    most = _MOST_WORK // (folds * (1 if classes == 2 else classes))
    rows = stratified_part(targets, most, max(folds, _LEAST_OF_EACH), seed)
    some = targets[rows]
    together = None if groups is None else grouped_folds(some, groups[rows], folds, seed)
    held_out = stratified_folds(some, folds, seed) if together is None else together
    return Looked(rows, held_out, together is not None)


def choose(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    classes: int,
    seed: int,
    progress: Progress = silent,
    counted: ClassWeights = BALANCED,
    *,
    widths: Sequence[int] = (),
    groups: NDArray[np.int64] | None = None,
    warm: WarmStart | None = None,
    views: OtherViews = NO_VIEWS,
) -> Choice:
    """Chooses width and strength; log loss decides, since it tells good from better where few are wrong.

    Args:
        embeddings: [n, width].
        targets: [n] class numbers; every class has two samples or more.
        classes: how many there are.
        seed: decides the folds.
        progress: told of the fits.
        counted: how much the samples of each class count.
        widths: the numbers of the embedding that heads may see, narrowest first; all of them where none is given.
        groups: [n] numbers of groups whose samples are left out together, where that leaves enough.
        warm: directions that a head may begin with.
        views: of the same pictures, which heads are fitted to as well.
    """
    looked = look_at(targets, classes, seed, groups)
    tried = tuple(widths) or (embeddings.shape[1],)
    strengths: tuple[float, ...] = STRENGTHS
    if classes > _MANY_CLASSES:
        tried, strengths = tried[:1], _FEW_STRENGTHS
    if np.bincount(targets, minlength=classes).min() < _ENOUGH:
        tried = tried[:1]
    best: Choice | None = None
    with progress("cross-validate", len(tried) * len(strengths)) as advance:
        for width in tried:
            see = partial(_seen, rows=looked.rows, width=width, warm=warm)
            begin = max(0, strengths.index(best.strength) - 1) if best else 0  # wider ones need about as much
            problem = (see(embeddings), views.changed(see), targets[looked.rows], classes)
            found = _strength(*problem, width, looked, counted, strengths[begin:])
            best = found if best is None or clearly_better(found.losses, best.losses) else best
            advance(len(strengths))
    if best is None:
        raise ValueError("there is no width to choose from")
    return best


def _seen(
    embeddings: NDArray[np.float32], rows: NDArray[np.int64], width: int, warm: WarmStart | None
) -> NDArray[np.float32]:
    """What a head is fitted to."""
    seen = embeddings[rows, :width]
    return warm.extended(seen) if warm else seen


def _strength(
    samples: NDArray[np.float32],
    views: OtherViews,
    targets: NDArray[np.int64],
    classes: int,
    width: int,
    looked: Looked,
    counted: ClassWeights,
    strengths: Sequence[float],
) -> Choice:
    """The best of the strengths, strongest first, for [m, columns] samples."""
    parts = [looked.held_out == fold for fold in range(int(looked.held_out.max()) + 1)]
    left_out = [views.repeated(part) for part in parts]
    problem = Problem.of(views.stacked(samples), views.repeated(targets), classes, left_out, counted)
    heads: list[Head] = []
    best: Choice | None = None
    worse = 0
    for strength in strengths:
        heads = problem.fit(strength, heads, _TOLERANCE)
        logits = np.empty((len(targets), classes), np.float32)
        for part, head in zip(parts, heads, strict=True):
            logits[part] = views.changed(itemgetter(part)).logits(head, samples[part])
        losses = -log_softmax(logits)[np.arange(len(targets)), targets]
        accuracy = float((logits.argmax(axis=1) == targets).mean())
        found = Choice(strength, width, accuracy, float(losses.mean()), looked, logits, losses)
        best, worse = (found, 0) if best is None or found.log_loss < best.log_loss else (best, worse + 1)
        if worse == _PATIENCE:
            break
    if best is None:
        raise ValueError("there is no strength to choose from")
    return best


def clearly_better(losses: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Whether [n] losses are lower than others of the same samples by more than one standard error of their gap."""
    gains = others - losses
    return bool(gains.mean() > gains.std() / math.sqrt(len(gains)))
