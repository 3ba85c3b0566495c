"""The head: L2-regularised multinomial logistic regression, fitted in plain numpy.

Minimises ``mean(w_i * cross_entropy(z_i, y_i)) + strength / 2 * |W|^2`` over W and a free bias, with z = W x + b
and sample weights w_i that give every class the same total. The problem is convex: limited-memory BFGS
(Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 3.5's conditions by backtracking) finds its
one minimum. In the names of scikit-learn's LogisticRegression: C = 1 / (n * strength), class_weight="balanced".
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.probe.class_weights import BALANCED, ClassWeights

Floats = NDArray[np.float64]

_MEMORY: Final = 10  # curvature pairs that are remembered
_ON_ONE_CORE: Final = 2**18  # multiplications that OpenBLAS does not spread over the cores
_LEAST_ROWS, _MOST_ROWS = 8, 64
_MOST_COLUMNS, _MANY_COLUMNS = 12, 128
_MOST_LOGITS: Final = 2**20  # of all heads that are held at once: what memory is used does not grow with the samples
_MOST_PARAMETERS: Final = 2**21  # of the heads that are fitted together: each is remembered some thirty times
_MAX_ITERATIONS: Final = 500
TOLERANCE: Final = 1e-5
"""Largest entry of the gradient at the minimum, in units of the loss."""


@dataclass(frozen=True)
class Head:
    """A linear classifier on embeddings."""

    weight: NDArray[np.float32]
    """[classes, width]"""
    bias: NDArray[np.float32]
    """[classes]"""

    def logits(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, width] embeddings to [n, classes] logits."""
        return np.asarray(embeddings @ self.weight.T + self.bias, np.float32)

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, width] embeddings to [n, classes] probabilities."""
        return np.exp(log_softmax(self.logits(embeddings)))


def log_softmax(logits: NDArray[np.float32], axis: int = -1) -> NDArray[np.float32]:
    """Log of the softmax along an axis, without overflow."""
    shifted = logits - logits.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)), np.float32)


@dataclass(frozen=True)
class Problem:
    """What heads are fitted to: samples, and how much each of them counts for each of the heads."""

    samples: NDArray[np.float32]
    """[n, width] embeddings less their mean: the bias is then nearly independent of the weights, which halves the
    iterations and changes nothing else."""
    centre: NDArray[np.float32]
    """[width] that mean."""
    targets: NDArray[np.int64]
    """[n] class numbers."""
    classes: int
    weights: NDArray[np.float32]
    """[heads, n] 1 in total for each head; 0 for the samples that are left out of its fit."""

    @classmethod
    def of(
        cls,
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        classes: int,
        left_out: Sequence[NDArray[np.bool_]] = (),
        counted: ClassWeights = BALANCED,
    ) -> "Problem":
        """The problem for [n, width] embeddings: a head for each [n] mask of samples to leave out, or one for all.

        The embeddings are copied once; a fit needs little more. Raises ValueError when one is not finite.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            centre = embeddings.mean(axis=0)  # not finite where one of them is not
        if not np.isfinite(centre).all():
            raise ValueError("embeddings must be finite")
        samples = embeddings - centre
        masks = left_out or [np.zeros(len(targets), np.bool_)]
        weights = np.stack([_shares(targets, classes, ~mask, counted) for mask in masks])
        return cls(samples, centre, targets, classes, weights)

    def fit(self, strength: float, start: Sequence[Head] = (), tolerance: float = TOLERANCE) -> list[Head]:
        """The heads, which are the best ones there are; `start` only saves iterations.

        Deterministic. A larger `tolerance` stops earlier. Of two classes one's weights are the other's with the sign
        turned (what both have in common changes no probability and only costs), so that only their difference is
        looked for, in half the time.
        """
        if self.classes > 2:
            return self._fit(self.classes, strength, start, tolerance)
        gaps = [Head(np.diff(head.weight, axis=0), np.diff(head.bias)) for head in start]
        found = self._fit(1, strength / 2, gaps, tolerance)
        return [Head(_both(gap.weight, axis=0), _both(gap.bias, axis=0)) for gap in found]

    def _fit(self, rows: int, strength: float, start: Sequence[Head], tolerance: float) -> list[Head]:
        shape = (len(self.weights), rows, self.samples.shape[1] + 1)
        together = max(1, _MOST_PARAMETERS // (rows * shape[-1]))
        if together < len(self.weights):
            parts = [slice(first, first + together) for first in range(0, len(self.weights), together)]
            problems = [(replace(self, weights=self.weights[part]), start[part]) for part in parts]
            return [head for one, begin in problems for head in one._fit(rows, strength, begin, tolerance)]
        initial = np.zeros(shape)
        for place, head in enumerate(start):
            initial[place, :, :-1], initial[place, :, -1] = head.weight, head.bias + head.weight @ self.centre

        def function(points: Floats) -> tuple[Floats, Floats]:
            losses, gradients = self._losses_and_gradients(points.reshape(shape), strength)
            return losses, gradients.reshape(points.shape)

        found = _minimise(function, initial.reshape(len(initial), -1), tolerance).reshape(shape)
        weights = found[..., :-1].astype(np.float32)
        biases = np.asarray(found[..., -1] - weights @ self.centre, np.float32)
        return [Head(weight, bias) for weight, bias in zip(weights, biases, strict=True)]

    def _losses_and_gradients(self, parameters: Floats, strength: float) -> tuple[Floats, Floats]:
        """[heads] losses and their gradients for [heads, rows, width + 1] parameters; one row stands for two classes.

        All heads are computed at once, because the time goes into reading the samples, and some samples after others.
        """
        heads, rows, _ = parameters.shape
        weight = parameters[..., :-1].astype(np.float32)
        gradient = np.zeros_like(parameters)
        gradient[..., :-1] = strength * weight
        losses = strength / 2 * np.square(weight, dtype=np.float64).sum(axis=(1, 2))
        step = max(_MOST_ROWS, _MOST_LOGITS // (heads * rows))
        for first in range(0, len(self.targets), step):
            part = slice(first, first + step)
            of_truth, residual = self._residual(part, weight, parameters[..., -1:].astype(np.float32))
            turned = _summed_product(residual.reshape(heads * rows, -1), self.samples[part])
            gradient[..., :-1] += turned.reshape(weight.shape)
            gradient[..., -1] += residual.sum(axis=2)
            losses -= (self.weights[:, part] * of_truth).sum(axis=1, dtype=np.float64)
        return losses, gradient

    def _residual(
        self, part: slice, weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of some samples: the log probability of their classes, [heads, some], and what each adds to the gradient
        by its logits, [heads, rows, some].
        """
        heads, rows, width = weight.shape
        targets = self.targets[part]
        places = np.arange(len(targets))
        products = product(self.samples[part], weight.reshape(heads * rows, width).T)
        logits = np.ascontiguousarray(products.T).reshape(heads, rows, -1) + bias
        log_probabilities = log_softmax(_both(logits, axis=1) if rows == 1 else logits, axis=1)
        residual = np.exp(log_probabilities)
        residual[:, targets, places] -= 1
        return log_probabilities[:, targets, places], residual[:, -rows:] * self.weights[:, None, part]


def fit_head(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    classes: int,
    strength: float,
    start: Head | None = None,
    tolerance: float = TOLERANCE,
    counted: ClassWeights = BALANCED,
) -> Head:
    """Fits one head to [n, width] embeddings and [n] class numbers, as `Problem.fit` does."""
    (head,) = Problem.of(embeddings, targets, classes, counted=counted).fit(
        strength, [start] if start else [], tolerance
    )
    return head


def _shares(
    targets: NDArray[np.int64], classes: int, fitted: NDArray[np.bool_], counted: ClassWeights
) -> NDArray[np.float32]:
    """[n] weights that sum to 1 over the samples that are fitted, and are 0 elsewhere."""
    shares = np.zeros(len(targets), np.float32)
    shares[fitted] = counted.of(targets[fitted], classes) / np.float32(fitted.sum())
    return shares


def _both(gap: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The difference of two classes, at 0 of an axis, to the values of both."""
    half = gap / 2
    return np.concatenate([-half, half], axis)


def product(matrix: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """``matrix @ columns``, a few rows and columns at a time where there are not very many columns.

    BLAS would spread the whole over the cores and wait for the slowest, which on a busy machine takes ten times as
    long, and whose sums depend on how many cores there are; few rows are too little for it to spread.
    """
    some = _columns_at_once(*columns.shape)
    if some == 0:
        return matrix @ columns
    found = np.empty((len(matrix), columns.shape[1]), np.float32)
    for first in range(0, columns.shape[1], some):
        group = np.asfortranarray(columns[:, first : first + some])
        count, rows = _blocks(len(matrix), group.size)
        whole = count * rows
        blocks = matrix[:whole].reshape(count, rows, matrix.shape[1]) @ group
        found[:whole, first : first + some] = blocks.reshape(whole, group.shape[1])
        found[whole:, first : first + some] = matrix[whole:] @ group
    return found


def _summed_product(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """``rows @ matrix`` for [few, n] and [n, width], a few of the n at a time, as `product` does it."""
    width = matrix.shape[1]
    some = _columns_at_once(width, len(rows))
    if some == 0:
        return rows @ matrix
    found = np.empty((len(rows), width), np.float32)
    for first in range(0, len(rows), some):
        group = rows[first : first + some]
        count, length = _blocks(len(matrix), len(group) * width)
        whole = count * length
        blocks = np.ascontiguousarray(group[:, :whole].reshape(len(group), count, length).transpose(1, 0, 2))
        products = blocks @ matrix[:whole].reshape(count, length, width)
        found[first : first + some] = products.sum(axis=0) + group[:, whole:] @ matrix[whole:]
    return found


def _columns_at_once(width: int, columns: int) -> int:
    """Of so many columns; 0 where the whole is better left to BLAS."""
    return 0 if columns > _MANY_COLUMNS else min(_MOST_COLUMNS, _ON_ONE_CORE // (_LEAST_ROWS * width))


def _blocks(length: int, size: int) -> tuple[int, int]:
    """How many blocks of how many rows, for that many multiplications a row."""
    rows = min(_MOST_ROWS, _ON_ONE_CORE // size)
    return length // rows, rows


def _minimise(function: Callable[[Floats], tuple[Floats, Floats]], start: Floats, tolerance: float) -> Floats:
    """Limited-memory BFGS with a backtracking line search, from each row of `start` to a minimum of its own.

    `function` gives [rows] values and [rows, parameters] gradients for [rows, parameters] points.
    """
    point = start
    loss, gradient = function(point)
    moving = np.ones(len(point), np.bool_)
    pairs: deque[tuple[Floats, Floats, Floats]] = deque(maxlen=_MEMORY)
    for _ in range(_MAX_ITERATIONS):
        moving &= np.abs(gradient).max(axis=1) > tolerance
        if not moving.any():
            break
        direction = -_inverse_hessian_times(gradient, pairs)
        slope = _dot(direction, gradient)
        step = np.ones(len(point)) if pairs else np.minimum(1.0, 1.0 / np.abs(gradient).sum(axis=1))
        while True:
            new_point = point + step[:, None] * direction
            new_loss, new_gradient = function(new_point)
            too_far = moving & (new_loss > loss + 1e-4 * step * slope) & (step >= 1e-8)
            if not too_far.any():
                break
            step[too_far] /= 2
        moving &= new_loss < loss  # elsewhere single precision has no more to give
        new_point, new_gradient = (
            np.where(moving[:, None], new, old) for new, old in ((new_point, point), (new_gradient, gradient))
        )
        moved, turned = new_point - point, new_gradient - gradient
        curvature = _dot(moved, turned)
        pairs.append((moved, turned, np.divide(1, curvature, out=np.zeros_like(curvature), where=curvature > 0)))
        point, loss, gradient = new_point, np.where(moving, new_loss, loss), new_gradient
    return point


def _inverse_hessian_times(gradient: Floats, pairs: deque[tuple[Floats, Floats, Floats]]) -> Floats:
    """The two-loop recursion over the remembered moves and the gradient's turns along them.

    A pair whose inverse curvature is 0 tells nothing, and changes nothing.
    """
    result, shares = gradient.copy(), []
    for moved, turned, inverse in reversed(pairs):
        share = inverse * _dot(moved, result)
        result -= share[:, None] * turned
        shares.append(share)
    if pairs:
        _, turned, inverse = pairs[-1]
        scale = inverse * _dot(turned, turned)
        result /= np.where(scale > 0, scale, 1)[:, None]
    for (moved, turned, inverse), share in zip(pairs, reversed(shares), strict=True):
        result += moved * (share - inverse * _dot(turned, result))[:, None]
    return result


def _dot(first: Floats, second: Floats) -> Floats:
    """[rows] products of two [rows, parameters]."""
    return np.asarray(np.einsum("rp,rp->r", first, second))
