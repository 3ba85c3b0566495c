"""What a picture file shows of itself: its size, its shape, how bright it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from milliner.images.decode import decode, opened

_GLANCE: Final = 32  # pixels of the longer side at which brightness is judged


def _size(encoded: bytes) -> str:
    with opened(encoded) as image:
        side = min(image.size)
    return next((name for below, name in _SIZES if side < below), _LARGEST)


def _aspect(encoded: bytes) -> str:
    image = decode(encoded, shrink_to=_GLANCE)
    wide = image.width / image.height
    return next((name for below, name in _ASPECTS if wide < below), "wide")


def _brightness(encoded: bytes) -> str:
    image = decode(encoded, shrink_to=_GLANCE).convert("L")
    image.thumbnail((_GLANCE, _GLANCE))
    grey = float(np.asarray(image).mean())
    return next((name for below, name in _BRIGHTNESSES if grey < below), "bright")


_SIZES: Final = (
    (128, "under 128 pixels"),
    (256, "128 to 255 pixels"),
    (512, "256 to 511 pixels"),
    (1024, "512 to 1023 pixels"),
)
"""Of the shorter side, since that is what a small network sees of a picture."""
_LARGEST: Final = "1024 pixels and more"
_ASPECTS: Final = ((0.8, "tall"), (1.25, "square"))
"""Width over height."""
_BRIGHTNESSES: Final = ((64.0, "dark"), (112.0, "dim"), (160.0, "medium"))
"""The mean grey level, 0 to 255."""

TRAITS: Final[Mapping[str, Callable[[bytes], str]]] = {"size": _size, "aspect": _aspect, "brightness": _brightness}
"""What slices can be made by without a ledger."""

ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "size": (*(name for _, name in _SIZES), _LARGEST),
    "aspect": (*(name for _, name in _ASPECTS), "wide"),
    "brightness": (*(name for _, name in _BRIGHTNESSES), "bright"),
}
"""Their values in the order that they have by nature."""


def traits_of(encoded: bytes, names: Sequence[str]) -> Mapping[str, str]:
    """The values of some of `TRAITS` for one picture file. Raises UnreadableImageError."""
    return {name: TRAITS[name](encoded) for name in names}
