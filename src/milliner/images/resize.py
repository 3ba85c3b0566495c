"""How a picture becomes the square of pixels that a network sees: one policy, saved in the model file."""

import math
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from milliner.images.decode import decode, pixels
from milliner.images.views import WHOLE, View

DEFAULT_SIZE: Final = 512
"""Pixels a side. On the helmets' training list accuracy grows up to here in cross-validation, on that of ants and bees
up to 320; see benchmarks/RESULTS.md."""

MAX_SIZE: Final = 2048

ENLARGE: Final = 1.75
"""How many times its longer side a picture may be enlarged, so that the crop of a far head is not blown up until the
network takes it for something else."""

LEAST: Final = 224
"""Pixels a side below which no picture is made smaller for that: what ImageNet's networks were trained at."""

_FILTERS: Final = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class ResizePolicy:
    """The whole picture squeezed to a square, so that nothing at its edges is lost.

    Both filters average over the area they shrink (antialiasing), so that the same scene from a small and
    from a large photograph comes out alike. A picture that would have to be enlarged more than `enlarge` times becomes
    a smaller square.
    """

    size: int
    """Pixels a side, 32 to 2048; of small pictures fewer where `enlarge` says so."""
    filter: str = "bilinear"
    """`bilinear` or `bicubic`."""
    enlarge: float | None = None
    """The most that a picture's longer side is multiplied by, at least 1; None: as much as `size` takes."""
    least: int = 32
    """Pixels a side that every square has, however small the picture; at most `size`."""
    multiple: int = 32
    """Sides between `least` and `size` are multiples of it, since the network's cells are that large."""

    def __post_init__(self) -> None:
        if not 32 <= self.size <= MAX_SIZE:
            raise ValueError(f"the network's side must be 32 to 2048 pixels, not {self.size}")
        if self.filter not in _FILTERS:
            raise ValueError(f"filter must be one of {', '.join(_FILTERS)}, not {self.filter!r}")
        if self.enlarge is not None and not 1 <= self.enlarge <= 64:
            raise ValueError(f"pictures may be enlarged 1 to 64 times, not {self.enlarge}")
        if not 1 <= self.least <= self.size or not 1 <= self.multiple <= self.size:
            raise ValueError("the least side and the step between sides must lie between 1 and the size")

    def side(self, width: int, height: int) -> int:
        """Pixels a side of the square that a picture of these pixels becomes."""
        if self.enlarge is None:
            return self.size
        wanted = math.ceil(max(width, height) * self.enlarge / self.multiple) * self.multiple
        return min(self.size, max(self.least, wanted))

    def load(self, encoded: bytes, view: View = WHOLE) -> NDArray[np.uint8]:
        """Decodes a picture file and resizes a view of it to uint8 RGB [side, side, 3].

        Raises UnreadableImageError.
        """
        return self.apply(view.of(decode(encoded, shrink_to=view.whole(self.size))))

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resizes an RGB image to uint8 [side, side, 3]."""
        side = self.side(image.width, image.height)
        return pixels(image.resize((side, side), _FILTERS[self.filter]))

    def finer(self, times: int) -> Self:
        """The same with so many times the pixels a side, as far as `MAX_SIZE` allows."""
        most = min(times, MAX_SIZE // self.size)
        enlarge = None if self.enlarge is None else self.enlarge * most
        return replace(self, size=self.size * most, enlarge=enlarge, least=self.least * most)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        document: dict[str, Any] = {"mode": "squeeze", "size": self.size, "filter": self.filter}
        if self.enlarge is not None:
            document |= {"enlarge": self.enlarge, "least": self.least, "multiple": self.multiple}
        return document

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads `to_json`'s shape; raises ValueError on anything else."""
        kinds: dict[str, type | tuple[type, ...]] = {
            "size": int,
            "filter": str,
            "enlarge": (int, float),
            "least": int,
            "multiple": int,
        }
        if not isinstance(value, dict) or value.get("mode") != "squeeze" or not {"size", "filter"} <= value.keys():
            raise ValueError("the resize policy is not one that this version knows")
        found = {key: each for key, each in value.items() if key != "mode"}
        if not all(key in kinds and isinstance(each, kinds[key]) for key, each in found.items()):
            raise ValueError("the resize policy is not one that this version knows")
        return cls(**found)
