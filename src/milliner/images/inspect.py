"""Looks at one picture file and says whether it can be trained on, and what is remarkable about it."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from PIL import Image

from milliner.core.errors import UnreadableImageError
from milliner.images.decode import DAMAGE, DECODER, opened, upright_grey
from milliner.images.likeness import likeness

MIN_SIDE: Final = 16
"""Pixels; a smaller picture shows nothing that a network could learn from."""

_BLANK_SPREAD: Final = 2.0  # standard deviation in grey levels (0..255) under which a picture shows nothing
_GLANCE: Final = 64  # pixels of the longer side, or somewhat more, at which blankness is judged
_SHARPNESS_SIDE: Final = 128  # pixels of the longer side at which blur is judged, since networks see pictures small too
_BLURRED_BELOW: Final = 0.68
_LONGEST: Final = 4  # times a side that the other may be

RULES: Final = (
    f"rules 3, {MIN_SIDE} pixels, spread {_BLANK_SPREAD}, sharpness {_BLURRED_BELOW}, 1:{_LONGEST}, {DECODER}"
)
"""What a verdict depends on besides the file; raise the number when `inspect` judges otherwise."""

_SUFFIXES: Final = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
}
_FOREIGN: Final = (".heic", ".heif", ".svg", ".ico", ".psd", ".raw", ".jp2", ".jxl")
_KNOWN_SUFFIXES: Final = {suffix for suffixes in _SUFFIXES.values() for suffix in suffixes} | {*_FOREIGN}


@dataclass(frozen=True)
class Inspection:
    """The facts of a picture, and why it should be set aside (None when it should not)."""

    width: int | None
    height: int | None
    format: str | None
    reason: str | None
    likeness: int | None = None
    """See `images.likeness`; None for what cannot be decoded."""
    notes: tuple[str, ...] = ()
    """Of ``cmyk``, ``16-bit`` and ``animated`` (converted on reading), ``long`` (over 4:1) and ``blurred``."""


def inspect(encoded: bytes) -> Inspection:
    """Decodes a picture in full and judges it: reasons are `decode.opened`'s, ``tiny`` and ``blank``."""
    width = height = kind = None
    try:
        with opened(encoded) as image:
            width, height, kind = image.width, image.height, image.format
            notes = _conversions(image)
            grey = upright_grey(image, shrink_to=_GLANCE)
    except UnreadableImageError as error:
        return Inspection(width, height, kind, error.reason)
    glance = grey.reduce(max(1, max(grey.size) // _GLANCE))
    alike = likeness(glance)
    if min(width, height) < MIN_SIDE:
        return Inspection(width, height, kind, "tiny", alike, notes)
    if _spread(glance) < _BLANK_SPREAD:
        return Inspection(width, height, kind, "blank", alike, notes)
    if max(width, height) > _LONGEST * min(width, height):
        notes = (*notes, "long")
    if sharpness(grey) < _BLURRED_BELOW:
        notes = (*notes, "blurred")
    return Inspection(width, height, kind, None, alike, notes)


def named_wrongly(key: str, kind: str | None) -> bool:
    """Whether a file's name ends like that of another picture format than the one that it is in."""
    suffix = PurePosixPath(key).suffix.lower()
    return kind in _SUFFIXES and suffix in _KNOWN_SUFFIXES and suffix not in _SUFFIXES[kind]


def sharpness(grey: Image.Image) -> float:
    """How fast brightness changes turn into other ones: mean size of the Laplacian over that of the gradient.

    Taken at 128 pixels of the longer side. Photographs have 0.9 to 1.5, close-ups before a blurred background down
    to 0.74; a blur with a standard deviation of 1 % of the longer side brings every one of them below 0.65.
    """
    longer = max(grey.size)
    if longer > _SHARPNESS_SIDE:
        scale = _SHARPNESS_SIDE / longer
        size = (max(3, round(grey.width * scale)), max(3, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.BOX)
    values = np.asarray(grey, np.int16)
    across, down = values[:, 1:] - values[:, :-1], values[1:] - values[:-1]
    laplacian = (across[1:-1, 1:] - across[1:-1, :-1]) + (down[1:, 1:-1] - down[:-1, 1:-1])
    gradient = float(np.abs(across).mean() + np.abs(down).mean())
    return float(np.abs(laplacian).mean()) / max(gradient, 0.1)


def _conversions(image: Image.Image) -> tuple[str, ...]:
    """What decoding changes that a reader of the file might miss afterwards."""
    notes = []
    if image.mode == "CMYK":
        notes.append("cmyk")
    if image.mode.startswith(("I", "F")):
        notes.append("16-bit")
    if image.format != "MPO" and _animated(image):  # phones put a second view of the scene into these
        notes.append("animated")
    return tuple(notes)


def _animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except DAMAGE:
        return False  # whether the first frame is whole shows when it is decoded


def _spread(grey: Image.Image) -> float:
    """The standard deviation of a picture's grey levels."""
    return float(np.frombuffer(grey.tobytes(), np.uint8).std(dtype=np.float32))
