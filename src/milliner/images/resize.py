"""How a picture becomes the square of pixels that a network sees: one policy, saved in the model file."""

from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from milliner.images.decode import decode, pixels

DEFAULT_SIZE: Final = 384
"""Pixels a side; chosen by cross-validation on training lists, see benchmarks/RESULTS.md."""

MAX_SIZE: Final = 2048

_FILTERS: Final = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class ResizePolicy:
    """The whole picture squeezed to a square, so that nothing at its edges is lost.

    Both filters average over the area they shrink (antialiasing), so that the same scene from a small and
    from a large photograph comes out alike.
    """

    size: int
    """Pixels a side, 32 to 2048."""
    filter: str = "bilinear"
    """`bilinear` or `bicubic`."""

    def __post_init__(self) -> None:
        if not 32 <= self.size <= MAX_SIZE:
            raise ValueError(f"the network's side must be 32 to 2048 pixels, not {self.size}")
        if self.filter not in _FILTERS:
            raise ValueError(f"filter must be one of {', '.join(_FILTERS)}, not {self.filter!r}")

    def load(self, encoded: bytes) -> NDArray[np.uint8]:
        """Decodes and resizes a picture file to uint8 RGB [size, size, 3]; raises UnreadableImageError."""
        return self.apply(decode(encoded, shrink_to=self.size))

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resizes an RGB image to uint8 [size, size, 3]."""
        return pixels(image.resize((self.size, self.size), _FILTERS[self.filter]))

    def finer(self, times: int) -> Self:
        """The same with so many times the pixels a side, as far as `MAX_SIZE` allows."""
        return replace(self, size=self.size * min(times, MAX_SIZE // self.size))

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        return {"mode": "squeeze", "size": self.size, "filter": self.filter}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads `to_json`'s shape; raises ValueError on anything else."""
        known = isinstance(value, dict) and value.keys() == {"mode", "size", "filter"} and value["mode"] == "squeeze"
        if not known or not isinstance(value["size"], int) or not isinstance(value["filter"], str):
            raise ValueError("the resize policy is not one that this version knows")
        return cls(value["size"], value["filter"])
