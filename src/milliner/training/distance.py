"""How far a picture is from everything that a model was trained on: few parameters, found from embeddings.

The Mahalanobis distance to the nearest class mean with one covariance for all classes (Lee et al. 2018,
arXiv:1807.03888) of embeddings scaled to length 1 (Mueller & Hein 2025, arXiv:2505.18032), where the covariance has a
few free directions and is the same in all others (probabilistic principal components, Tipping & Bishop 1999).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.probe.head import product

Floats = NDArray[np.float32]

DIRECTIONS: Final = 16
_PICTURES_A_DIRECTION: Final = 16  # fewer pictures get fewer directions: they would only describe these pictures
_SHRINKAGE: Final = 5  # pictures of the mean over all classes that each class's mean is mixed with
_MOST_PICTURES: Final = 4096  # that it is found from; more do not change it
_LEAST_A_CLASS: Final = 8
_OVERSAMPLING, _ROUNDS = 8, 2  # of the randomised decomposition (Halko et al. 2011, arXiv:0909.4061)
_FLOOR: Final = 1e-6  # of the variance of embeddings of length 1: below it there is only rounding


@dataclass(frozen=True)
class Distance:
    """The distance of an embedding x as a graph of few nodes computes it, u being x / |x| less `centre`.

    It is sqrt(max(0, weight |u|^2 + min over classes of (constant_c + u . linear_c) - |u . directions|^2)). From the
    middle of the pictures the terms are about as large as the distance is, so that single precision is enough.
    """

    centre: Floats
    """[width]"""
    weight: np.float32
    directions: Floats
    """[width, directions]"""
    linear: Floats
    """[width, classes]"""
    constant: Floats
    """[classes]"""

    def __call__(self, embeddings: Floats) -> Floats:
        """[n] distances of [n, width] embeddings, at least 0; only as many numbers count as it was fitted to."""
        return self.of_units(unit_length(embeddings[:, : len(self.linear)]))

    def of_units(self, units: Floats) -> Floats:
        """The same of embeddings that are of length 1."""
        moved = units - self.centre
        nearest = (product(moved, self.linear) + self.constant).min(axis=1)
        own = self.weight * np.square(moved).sum(axis=1)
        discount = np.square(product(moved, self.directions)).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(own + nearest - discount, 0)), np.float32)

    def scaled(self, factor: float) -> "Distance":
        """The distance times a factor over 0."""
        square = np.float32(factor**2)
        directions = self.directions * np.float32(factor)
        return Distance(self.centre, self.weight * square, directions, self.linear * square, self.constant * square)


@dataclass(frozen=True)
class Limit:
    """A distance whose training pictures, out of fold, are 1 away in the quadratic mean, and what is too far."""

    distance: Distance
    largest: float
    """What is farther is refused."""
    refused: float
    """The share of the training pictures, out of fold, that this refuses."""
    pictures: int
    """How many of them this is known from."""

    def metrics(self) -> dict[str, Any]:
        """As they stand in a model's metadata."""
        return {"refused": self.refused, "pictures": self.pictures}


def unit_length(embeddings: Floats) -> Floats:
    """[n, width] embeddings scaled to length 1; of zeros zeros."""
    return np.asarray(embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12), np.float32)


def fit_limit(
    embeddings: Floats, targets: NDArray[np.int64], folds: NDArray[np.int64], classes: int, share: float
) -> Limit:
    """The distance of [n, width] embeddings, and the limit that refuses about `share` of pictures like them.

    `folds`, [n] fold numbers, says which pictures' distances are taken with a distance that was found without them.
    """
    chosen = _some(targets, classes)
    units, targets, folds = unit_length(embeddings[chosen]), targets[chosen], folds[chosen]
    distance = _fit(units, targets, classes)
    found = np.empty(len(targets), np.float64)
    for fold in np.unique(folds):
        out = folds == fold
        found[out] = _fit(units[~out], targets[~out], classes).of_units(units[out])
    scale = max(math.sqrt(float(np.square(found).mean())), _FLOOR)
    found /= scale
    largest = farthest(found, share)
    return Limit(distance.scaled(1 / scale), largest, float((found > largest).mean()), len(found))


def farthest(distances: NDArray[np.float64], share: float) -> float:
    """The limit that `share` of pictures like these exceed, from [n] distances.

    It is their quantile, where that many exceed it. Fewer pictures cannot say: then it is the upper end of the
    prediction interval of a normal logarithm, and where the farthest lies beyond, the (geometric) middle between
    both, so that one odd picture among them does not open the door to everything.
    """
    if len(distances) * share >= 1:
        return float(np.quantile(distances, 1 - share, method="higher"))
    logarithms = np.log(np.maximum(distances, 1e-3))
    freedom = max(len(distances) - 1, 1)
    spread = max(float(logarithms.std(ddof=1)), 0.05) if len(distances) > 1 else 0.5
    bound = float(logarithms.mean()) + _student(share, freedom) * spread * math.sqrt(1 + 1 / len(distances))
    return math.exp(max(bound, (bound + float(logarithms.max())) / 2))


def _student(share: float, freedom: int) -> float:
    """The upper quantile of Student's distribution (Hill 1970, CACM algorithm 396, its expansion in 1 / freedom)."""
    normal = NormalDist().inv_cdf(1 - share)
    first = (normal**3 + normal) / 4
    second = (5 * normal**5 + 16 * normal**3 + 3 * normal) / 96
    return normal + first / freedom + second / freedom**2


def _fit(units: Floats, targets: NDArray[np.int64], classes: int) -> Distance:
    """The distance to [n, width] embeddings of length 1 of [n] classes; a class without pictures is nowhere."""
    counts = np.bincount(targets, minlength=classes)
    sums = np.zeros((classes, units.shape[1]), np.float32)
    for label in np.flatnonzero(counts):
        sums[label] = units[targets == label].sum(axis=0)
    overall = units.mean(axis=0)
    means = (sums + _SHRINKAGE * overall) / (counts + _SHRINKAGE)[:, None].astype(np.float32)
    residuals = units - means[targets]
    basis, variances, rest = _covariance(residuals)
    return _in_graph_form(overall, means[counts > 0] - overall, basis, variances, rest)


def _covariance(residuals: Floats) -> tuple[Floats, Floats, float]:
    """[width, r] directions of the largest variance, their [r] variances, and the variance in every other one."""
    count, width = residuals.shape
    total = float(np.square(residuals).sum(dtype=np.float64)) / count
    rank = min(DIRECTIONS, max(count // _PICTURES_A_DIRECTION, 1), width - 1)
    columns = min(rank + _OVERSAMPLING, count, width)
    basis, turned = np.random.default_rng(0).standard_normal((width, columns), np.float32), residuals.T.copy()
    for _ in range(_ROUNDS):
        basis = _orthonormal(product(turned, product(residuals, basis)))
    values, vectors = _squared(product(residuals, basis))
    variances = (values[::-1][:rank] / count).astype(np.float32)
    rest = max((total - float(variances.sum())) / (width - rank), _FLOOR / width)
    return product(basis, vectors[:, ::-1][:, :rank]), np.maximum(variances, np.float32(rest)), rest


def _squared(matrix: Floats) -> tuple[NDArray[np.float64], Floats]:
    """The eigenvalues of its product with itself, ascending, and the vectors."""
    values, vectors = np.linalg.eigh(product(matrix.T.copy(), matrix).astype(np.float64))
    return np.maximum(values, 0), vectors.astype(np.float32)


def _orthonormal(columns: Floats) -> Floats:
    """The same space by columns of length 1 that are at right angles, or none where there is nothing in a direction.

    By the small product of the columns with themselves, which no BLAS spreads over the cores.
    """
    values, vectors = _squared(columns)
    there = values > 1e-10 * values[-1]
    lengths = np.sqrt(values, where=there, out=np.ones_like(values))
    return product(columns, vectors * (there / lengths).astype(np.float32))


def _in_graph_form(centre: Floats, means: Floats, basis: Floats, variances: Floats, rest: float) -> Distance:
    """|u - m|^2 / rest less what the free directions count less, with the square written out; from the centre."""
    discount = np.sqrt(np.maximum(1 / rest - 1 / variances, 0)).astype(np.float32)
    directions = basis * discount
    along = product(means, directions)
    linear = 2 * (product(directions, along.T) - means.T / np.float32(rest))
    constant = np.square(means).sum(axis=1) / np.float32(rest) - np.square(along).sum(axis=1)
    weight = np.float32(1 / rest)
    return Distance(centre, weight, directions, np.asarray(linear, np.float32), np.asarray(constant, np.float32))


def _some(targets: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """[m] places of at most so many pictures of each class, in order; which ones is always the same."""
    most = max(_MOST_PICTURES // classes, _LEAST_A_CLASS)
    order = np.random.default_rng(0).permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]
    starts = np.searchsorted(targets[order], targets[order])
    return np.sort(order[np.arange(len(order)) - starts < most])
