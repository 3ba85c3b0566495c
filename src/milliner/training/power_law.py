"""Fits ``error = a + b * n ** -c`` to measured errors and says what larger n would gain, with its range."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EXPONENTS: Final = np.linspace(0.1, 2.0, 20)
"""The c that are tried; a is 0 to 1, b at least 0."""

_RESAMPLES: Final = 200
_ROUNDS: Final = 3  # of reweighting
_HUBER: Final = 1.345  # standard errors from which on a point weighs less: 95 % efficient where errors are normal


def gains(
    sizes: NDArray[np.int64],
    wrong: NDArray[np.float64],
    variance: NDArray[np.float64],
    now: int,
    then: int,
    seed: int,
) -> tuple[float, float, float]:
    """How much lower the error is at `then` than at `now`: the median of many fitted laws, and their 95 % range.

    They are fitted to resampled pictures, each with its outcomes for all sizes, and the noise of the draws on top.

    Args:
        sizes: [sizes] n.
        wrong: [sizes, pictures] 1 where a picture was judged wrongly, else 0.
        variance: [sizes] of the mean errors; what exceeds chance alone is the noise of the draws.
        now: n that is compared with `then`.
        then: a larger n.
        seed: decides the resampling.
    """
    random = np.random.default_rng(seed)
    pictures = wrong.shape[1]
    error = wrong.mean(axis=1)
    counts = random.multinomial(pictures, np.full(pictures, 1 / pictures), _RESAMPLES)
    noise = np.sqrt(np.maximum(variance - error * (1 - error) / pictures, 0))
    resampled = counts @ wrong.T / pictures + noise * random.standard_normal((_RESAMPLES, len(sizes)))
    law = fit_law(sizes, resampled, variance)
    gain = law[1] * (float(now) ** -law[2] - float(then) ** -law[2])
    low, likely, high = (float(value) for value in np.quantile(gain, [0.025, 0.5, 0.975]))
    return likely, low, high


def fit_law(
    sizes: NDArray[np.int64], errors: NDArray[np.float64], variance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """a, b and c, [laws] each, for [laws, sizes] errors of known [sizes] variance.

    For each c the best a and b are those of a weighted regression with a and b at least 0, where points far off weigh
    less (Huber's weights); the c of the least such loss is taken.
    """
    powers = sizes.astype(np.float64)[None, :] ** -EXPONENTS[:, None]
    scale = np.sqrt(variance)
    weights = np.broadcast_to(1 / variance, (len(errors), len(EXPONENTS), len(sizes)))
    for _ in range(_ROUNDS):
        a, b = _regression(powers, errors[:, None, :], weights)
        off = np.abs(errors[:, None, :] - a[..., None] - b[..., None] * powers) / scale
        weights = np.minimum(1, _HUBER / np.maximum(off, 1e-9)) / variance
    loss = np.where(off <= _HUBER, off**2 / 2, _HUBER * (off - _HUBER / 2)).sum(axis=2)
    best = loss.argmin(axis=1)
    each = np.arange(len(errors))
    return a[each, best], b[each, best], EXPONENTS[best]


def _regression(
    powers: NDArray[np.float64], errors: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The a >= 0 and b >= 0 that are best for ``a + b * powers``, [laws, exponents] each."""
    total, by_error = weights.sum(axis=2), (weights * errors).sum(axis=2)
    first, second = (weights * powers).sum(axis=2), (weights * powers**2).sum(axis=2)
    crossed = (weights * powers * errors).sum(axis=2)
    a = (second * by_error - first * crossed) / (total * second - first**2)
    b = (total * crossed - first * by_error) / (total * second - first**2)
    through_zero = np.maximum(crossed / second, 0)
    flat = np.maximum(by_error / total, 0)
    a, b = np.where(a < 0, 0, a), np.where(a < 0, through_zero, b)
    return np.where(b < 0, flat, a), np.maximum(b, 0)
