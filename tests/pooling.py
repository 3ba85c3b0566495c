"""What an embedding is pooled from, written down a second time."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BELL = 0.7


def centre_weights(height: int, width: int) -> Floats:
    """[height, width] how much each cell counts, with a mean of 1."""
    y, x = ((np.arange(count) + 0.5) / count * 2 - 1 for count in (height, width))
    bell = np.exp(-(y[:, None] ** 2 + x**2) / (2 * _BELL**2))
    return np.asarray(bell / bell.mean(), np.float64)


def mean_cube(features: Floats, weights: Floats | float = 1.0) -> Floats:
    """[n, width] the generalised mean of [n, width, h, w] over the cells."""
    return np.asarray(np.cbrt((np.maximum(features, 0) ** 3 * weights).mean(axis=(2, 3))), np.float64)


def root_mean_square(pooled: Floats) -> Floats:
    """[n, 1]"""
    return np.asarray(np.sqrt((pooled**2).mean(axis=1, keepdims=True)), np.float64)
