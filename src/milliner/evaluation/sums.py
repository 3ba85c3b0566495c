"""Sums of weights by a number that each picture has."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Adds up the weights of the pictures that share a number, for many rows of weights at once."""

    order: NDArray[np.int64]
    """Pictures by their numbers."""
    starts: NDArray[np.int64]
    """Where in the order each number that occurs begins."""
    present: NDArray[np.int64]
    """These numbers."""
    count: int

    @classmethod
    def of(cls, places: NDArray[np.int64], numbers: NDArray[np.int64], count: int) -> Self:
        """Takes the places of some pictures and their numbers, 0 to `count` - 1."""
        order = np.argsort(numbers, kind="stable")
        present, starts = np.unique(numbers[order], return_index=True)
        return cls(places[order], starts, present, count)

    def __call__(self, weights: Floats) -> Floats:
        """[rows, count] from [rows, pictures]."""
        if not len(self.order):
            return np.zeros((len(weights), self.count))
        sums = np.add.reduceat(weights.take(self.order, axis=1), self.starts, axis=1)
        if len(self.present) == self.count:
            return sums
        spread = np.zeros((len(weights), self.count))
        spread[:, self.present] = sums
        return spread
