"""How accuracy grows with the number of pictures, measured inside the training split, and what more would buy.

Every picture is judged once for each number of pictures: a quarter of the pictures (with all that belongs together on
one side) is left out, and heads are fitted to 5, 10, 20, ... of each class of the rest, each set holding the one
before. What more pictures would buy is read off an inverse power law, ``error = a + b * n ** -c``, that is fitted to
the errors (C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", 1993).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from milliner.core.shares import interval_of_share
from milliner.probe.class_weights import BALANCED, ClassWeights
from milliner.probe.folds import grouped_folds, stratified_folds, stratified_part
from milliner.probe.head import Head, Problem
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.probe.warm_start import Named
from milliner.training.power_law import gains

SIZES: Final = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Pictures of each class that are tried."""

DRAWS: Final = 4
MORE: Final = 50
"""Pictures of each class that the sentence speaks of."""

_MOST_PICTURES: Final = 10_000  # of a larger dataset as many are looked at
_MOST_WORK: Final = 400_000  # pictures times the heads' columns for one number of pictures: some seconds
_FEWEST_SIZES: Final = 3  # that a law with three parameters is fitted to
_STEP: Final = 1.3  # the last number of pictures, all that there are, must be so much more than the one before
_TOLERANCE: Final = 3e-4  # accuracies agree to a tenth of a point in a third of the time
_NOTICEABLE: Final = 0.0005  # accuracy that is not shown as 0.0 points


class Fit(Protocol):
    """How heads are fitted: what `learning_curve` draws is the curve of this."""

    def __call__(
        self,
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        classes: int,
        left_out: Sequence[NDArray[np.bool_]],
        views: OtherViews,
    ) -> Sequence[Head]:
        """A head for each [n] mask of samples to leave out, from [n, width] embeddings, those of the same pictures'
        other views, and [n] class numbers.
        """
        ...


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy on pictures left out, against the number of pictures of each class that the head was fitted to."""

    pictures_per_class: tuple[int, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    """Lower ends of the accuracies' 95 % intervals."""
    high: tuple[float, ...]
    gain: tuple[float, float, float] | None
    """What 50 more pictures of each class would add to the accuracy, and the 95 % range of that; None where there are
    too few pictures to tell."""
    without_init: tuple[float, ...] | None = None
    """Accuracies of heads of the same settings that begin with nothing, on the same pictures; None where those of the
    curve do so."""

    @property
    def sentence(self) -> str:
        """What 50 more pictures of each class would likely buy."""
        if self.gain is None:
            return "There are too few pictures to tell what more of them would buy."
        likely, low, high = self.gain
        if low < _NOTICEABLE:
            return (
                f"{MORE} more pictures per class would likely buy nothing that can be told from noise "
                f"(at most {max(high, 0.001) * 100:.1f} points of accuracy)."
            )
        return (
            f"{MORE} more pictures per class would likely buy {likely * 100:.1f} points of accuracy "
            f"({low * 100:.1f} to {high * 100:.1f})."
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        columns = {"accuracy": self.accuracy, "low": self.low, "high": self.high}
        columns |= {"without_init": self.without_init} if self.without_init else {}
        return {
            "pictures_per_class": list(self.pictures_per_class),
            **{name: [round(value, 4) for value in values] for name, values in columns.items()},
            "sentence": self.sentence,
        }


def fit_with(strength: float, counted: ClassWeights = BALANCED, named: Named | None = None) -> Fit:
    """Heads of one strength: on the helmets the best one is the same from 5 to 150 pictures of each class."""

    def fit(
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        classes: int,
        left_out: Sequence[NDArray[np.bool_]],
        views: OtherViews,
    ) -> Sequence[Head]:
        warm = named.start(embeddings, targets[~left_out[0]], classes) if named else None
        stacked = views.stacked(embeddings)
        seen, masks = warm.extended(stacked) if warm else stacked, [views.repeated(mask) for mask in left_out]
        heads = Problem.of(seen, views.repeated(targets), classes, masks, counted).fit(strength, tolerance=_TOLERANCE)
        return [warm.folded(head) for head in heads] if warm else heads

    return fit


def learning_curve(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    classes: int,
    fit: Fit,
    seed: int = 0,
    groups: NDArray[np.int64] | None = None,
    without_init: Fit | None = None,
    views: OtherViews = NO_VIEWS,
) -> LearningCurve | None:
    """Measures the curve; None where a class has too few pictures for it, or there are too many classes for the time.

    Args:
        embeddings: [n, width].
        targets: [n] class numbers.
        classes: how many there are; each has a picture at least.
        fit: what is measured, such as `fit_with` a strength.
        seed: decides who is left out and who is drawn.
        groups: [n] the number of the group that each picture belongs to; none is on both sides. Each is alone when
            left out, or where that would leave a class out of a fit.
        without_init: what is measured beside it on the same pictures, where `fit` begins with something.
        views: of the same pictures, which heads are fitted to as well.
    """
    some = stratified_part(targets, _MOST_PICTURES, 2 * SIZES[0], seed)
    if len(some) < len(targets):
        embeddings, targets, views = embeddings[some], targets[some], views.changed(itemgetter(some))
    folds = _folds(targets, None if groups is None else groups[some], seed)
    ranks = np.stack([_ranks(targets, folds != draw, seed + draw) for draw in range(DRAWS)])
    there = min(int(np.bincount(targets[folds != draw], minlength=classes).min()) for draw in range(DRAWS))
    sizes = _sizes(there, classes)
    if not sizes:
        return None
    correct = _outcomes(embeddings, views, targets, classes, fit, folds, ranks, sizes)
    accuracy, variance = correct.mean(axis=1), _variance(correct, folds)
    low, high = _interval(accuracy, variance, len(targets))
    now = int(np.bincount(targets, minlength=classes).min())
    gain = gains(np.array(sizes), 1 - correct, variance, now, now + MORE, seed) if len(sizes) >= _FEWEST_SIZES else None
    plain = None
    if without_init is not None:
        outcomes = _outcomes(embeddings, views, targets, classes, without_init, folds, ranks, sizes)
        plain = tuple(outcomes.mean(axis=1).tolist())
    return LearningCurve(tuple(sizes), tuple(accuracy.tolist()), low, high, gain, plain)


def _sizes(there: int, classes: int) -> list[int]:
    """The numbers of pictures to try where so many are there of the smallest class."""
    columns = DRAWS * (1 if classes == 2 else classes)
    there = min(there, _MOST_WORK // (columns * DRAWS * classes))
    found = [size for size in SIZES if size <= there]
    return [*found, there] if found and there >= _STEP * found[-1] else found


def _folds(targets: NDArray[np.int64], groups: NDArray[np.int64] | None, seed: int) -> NDArray[np.int64]:
    """[n] the draw that leaves each picture out; picture by picture where a class belongs together too much."""
    grouped = None if groups is None else grouped_folds(targets, groups, DRAWS, seed)
    return stratified_folds(targets, DRAWS, seed) if grouped is None else grouped


def _ranks(targets: NDArray[np.int64], usable: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """[n] a picture's place among the usable ones of its class, in an order of chance; beyond all for the others."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    ranks = np.full(len(targets), len(targets), np.int64)
    for label in np.unique(targets):
        own = order[targets[order] == label]
        ranks[own] = np.arange(len(own))
    return ranks


def _outcomes(
    embeddings: NDArray[np.float32],
    views: OtherViews,
    targets: NDArray[np.int64],
    classes: int,
    fit: Fit,
    folds: NDArray[np.int64],
    ranks: NDArray[np.int64],
    sizes: Sequence[int],
) -> NDArray[np.float64]:
    """[sizes, n] 1 where a picture's class was found by a head that so many of each class were fitted to."""
    return np.stack([_judged(embeddings, views, targets, classes, fit, folds, ranks < size) for size in sizes])


def _judged(
    embeddings: NDArray[np.float32],
    views: OtherViews,
    targets: NDArray[np.int64],
    classes: int,
    fit: Fit,
    folds: NDArray[np.int64],
    drawn: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """[n] 1 where a picture's class was found by the head of the draw that left it out; `drawn` is [draws, n]."""
    rows = np.flatnonzero(drawn.any(axis=0))
    left_out = [~mask[rows] for mask in drawn]
    heads = fit(embeddings[rows], targets[rows], classes, left_out, views.changed(itemgetter(rows)))
    correct = np.empty(len(targets))
    for draw, head in enumerate(heads):
        part = folds == draw
        logits = views.changed(itemgetter(part)).logits(head, embeddings[part])
        correct[part] = logits.argmax(axis=1) == targets[part]
    return correct


def _variance(correct: NDArray[np.float64], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """[sizes] of the mean accuracies: by how the draws differ, and not less than chance alone gives.

    The draws are few, so half is borrowed from the mean over all sizes.
    """
    chance = _spread(correct.mean(axis=1), correct.shape[1]) / correct.shape[1]
    by_draw = np.stack([correct[:, folds == draw].mean(axis=1) for draw in range(DRAWS)])
    excess = by_draw.var(axis=0, ddof=1) / DRAWS / chance
    return np.asarray(chance * np.maximum(1, (excess + excess.mean()) / 2))


def _spread(accuracy: NDArray[np.float64], pictures: int) -> NDArray[np.float64]:
    """The variance of one outcome; some also where all were right, since the next picture may not be."""
    return np.asarray(accuracy * (1 - accuracy) + 1 / pictures)


def _interval(
    accuracy: NDArray[np.float64], variance: NDArray[np.float64], pictures: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lower and upper ends of Wilson's, for as many pictures as would give that variance."""
    worth = _spread(accuracy, pictures) / variance
    low, high = zip(*map(interval_of_share, accuracy.tolist(), worth.tolist()), strict=True)
    return low, high
