"""A 64-bit likeness of a picture, by which near-equal ones are found."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_GRID: Final = (9, 8)
_CELLS: Final = tuple(9 * row + column for row in range(8) for column in range(8))

NEAR: Final = 3
"""Bits by which two likenesses may differ and still be called near-equal: recompressed or resized copies mostly do
by 0 to 3, different photographs by about 32."""


def likeness(image: Image.Image) -> int:
    """The difference hash of a picture, 0 to 2**64 - 1: for each cell of an 8 x 8 grid whether it is brighter than
    its right neighbour (N. Krawetz, "Kind of like that", 2013). Size, compression and tint hardly change it.
    """
    grey = image if image.mode == "L" else image.convert("L")
    small = grey.resize(_GRID, Image.Resampling.BOX).tobytes()
    return int("".join("1" if small[cell] > small[cell + 1] else "0" for cell in _CELLS), 2)


class Likenesses:
    """A growing set of likenesses; 8 bytes each."""

    def __init__(self) -> None:
        self._values: NDArray[np.uint64] = np.empty(1024, np.uint64)
        self._count = 0

    def add(self, value: int) -> None:
        """Adds one."""
        if self._count == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._values[self._count] = value
        self._count += 1

    def nearest(self, value: int) -> int | None:
        """The member that differs least from `value`, if by no more than `NEAR` bits."""
        if not self._count:
            return None
        known = self._values[: self._count]
        distances = np.bitwise_count(known ^ np.uint64(value))
        best = int(distances.argmin())
        return int(known[best]) if distances[best] <= NEAR else None
