"""Looks at one picture file and says whether it can be trained on."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from milliner.core.errors import UnreadableImageError
from milliner.images.decode import DECODER, opened, upright_grey
from milliner.images.likeness import likeness

MIN_SIDE: Final = 16
"""Pixels; a smaller picture shows nothing that a network could learn from."""

_BLANK_SPREAD: Final = 2.0  # standard deviation in grey levels (0..255) under which a picture shows nothing
_GLANCE: Final = 64  # pixels of the longer side, or somewhat more, at which blankness is judged

RULES: Final = f"rules 2, {MIN_SIDE} pixels, spread {_BLANK_SPREAD}, {DECODER}"
"""What a verdict depends on besides the file; raise the number when `inspect` judges otherwise."""


@dataclass(frozen=True)
class Inspection:
    """The facts of a picture, and why it should be set aside (None when it should not)."""

    width: int | None
    height: int | None
    format: str | None
    reason: str | None
    likeness: int | None = None
    """See `images.likeness`; None for what cannot be decoded."""


def inspect(encoded: bytes) -> Inspection:
    """Decodes a picture in full and judges it: reasons are `decode.opened`'s, ``tiny`` and ``blank``."""
    width = height = kind = None
    try:
        with opened(encoded) as image:
            width, height, kind = image.width, image.height, image.format
            grey = upright_grey(image, shrink_to=_GLANCE)
    except UnreadableImageError as error:
        return Inspection(width, height, kind, error.reason)
    glance = grey.reduce(max(1, max(grey.size) // _GLANCE))
    alike = likeness(glance)
    if min(width, height) < MIN_SIDE:
        return Inspection(width, height, kind, "tiny", alike)
    return Inspection(width, height, kind, "blank" if _spread(glance) < _BLANK_SPREAD else None, alike)


def _spread(grey: Image.Image) -> float:
    """The standard deviation of a picture's grey levels."""
    return float(np.frombuffer(grey.tobytes(), np.uint8).std(dtype=np.float32))
