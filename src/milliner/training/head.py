"""The head: L2-regularised multinomial logistic regression, fitted in plain numpy.

Minimises ``mean(w_i * cross_entropy(z_i, y_i)) + strength / 2 * |W|^2`` over W and a free bias, with z = W x + b
and sample weights w_i that give every class the same total. The problem is convex: limited-memory BFGS
(Nocedal & Wright, Numerical Optimization, 2nd ed., algorithms 7.4 and 3.5's conditions by backtracking) finds its
one minimum. In the names of scikit-learn's LogisticRegression: C = 1 / (n * strength), class_weight="balanced".
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MEMORY: Final = 10  # curvature pairs that are remembered
_FEW_COLUMNS: Final = 4
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


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise log of the softmax, without overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), np.float32)


def balanced_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """A weight for each sample, mean 1, so that every class counts the same in total."""
    counts = np.bincount(targets, minlength=classes)
    return np.asarray(len(targets) / (np.count_nonzero(counts) * counts[targets]), np.float32)


def fit_head(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    classes: int,
    strength: float,
    start: Head | None = None,
    tolerance: float = TOLERANCE,
) -> Head:
    """Fits a head to [n, width] embeddings and [n] class numbers; `start` only saves iterations.

    Deterministic. A larger `tolerance` stops earlier. Raises ValueError when an embedding is not finite.
    """
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings must be finite")
    centre = embeddings.mean(axis=0)
    samples = embeddings - centre  # the bias is then nearly independent of the weights, which halves the iterations
    weights = balanced_weights(targets, classes) / np.float32(len(targets))
    rows = np.arange(len(targets))

    def loss_and_gradient(parameters: Floats) -> tuple[float, Floats]:
        weight = parameters[:, :-1].astype(np.float32)
        log_probabilities = log_softmax(_product(samples, weight.T) + parameters[:, -1].astype(np.float32))
        residual = np.exp(log_probabilities)
        residual[rows, targets] -= 1
        residual *= weights[:, None]
        gradient = np.empty_like(parameters)
        gradient[:, :-1] = _product(samples.T, residual).T + strength * weight
        gradient[:, -1] = residual.sum(axis=0)
        loss = -float(weights @ log_probabilities[rows, targets]) + strength / 2 * float((weight**2).sum())
        return loss, gradient

    initial = np.zeros((classes, embeddings.shape[1] + 1))
    if start is not None:
        initial[:, :-1], initial[:, -1] = start.weight, start.bias + start.weight @ centre
    found = _minimise(loss_and_gradient, initial, tolerance)
    weight = found[:, :-1].astype(np.float32)
    return Head(weight, np.asarray(found[:, -1] - weight @ centre, np.float32))


def _product(matrix: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """``matrix @ columns``; a few columns go one by one, because BLAS would first copy the whole matrix for them."""
    if columns.shape[1] > _FEW_COLUMNS:
        return matrix @ columns
    return np.stack([matrix @ np.ascontiguousarray(column) for column in columns.T], axis=1)


def _minimise(function: Callable[[Floats], tuple[float, Floats]], start: Floats, tolerance: float) -> Floats:
    """Limited-memory BFGS with a backtracking line search."""
    point = start
    loss, gradient = function(point)
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
    for _ in range(_MAX_ITERATIONS):
        if np.abs(gradient).max() <= tolerance:
            break
        direction = -_inverse_hessian_times(gradient, pairs)
        slope = float((direction * gradient).sum())
        step = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        while True:
            new_point = point + step * direction
            new_loss, new_gradient = function(new_point)
            if new_loss <= loss + 1e-4 * step * slope or step < 1e-8:
                break
            step /= 2
        if new_loss >= loss:
            break  # single precision has no more to give
        moved, turned = new_point - point, new_gradient - gradient
        curvature = float((moved * turned).sum())
        if curvature > 0:
            pairs.append((moved, turned, 1 / curvature))
        point, loss, gradient = new_point, new_loss, new_gradient
    return point


def _inverse_hessian_times(gradient: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> Floats:
    """The two-loop recursion over the remembered moves and the gradient's turns along them."""
    result, shares = gradient.copy(), []
    for moved, turned, inverse in reversed(pairs):
        share = inverse * float((moved * result).sum())
        result -= share * turned
        shares.append(share)
    if pairs:
        moved, turned, inverse = pairs[-1]
        result /= inverse * float((turned * turned).sum())
    for (moved, turned, inverse), share in zip(pairs, reversed(shares), strict=True):
        result += moved * (share - inverse * float((turned * result).sum()))
    return result
