"""Lays a class activation map over its picture, so that a person sees what the network looked at."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Anchors of matplotlib's "inferno" (CC0): dark to bright, readable in grey and with colour blindness.
_COLOURS: Final = np.array(
    [
        [0, 0, 4],
        [40, 11, 84],
        [101, 21, 110],
        [159, 42, 99],
        [212, 72, 66],
        [245, 125, 21],
        [250, 193, 39],
        [252, 255, 164],
    ],
    np.float32,
)
_STRENGTH: Final = 0.65  # how far the colour may cover the picture where the map is highest


def class_evidence(heatmap: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """One class's logits against the best other class, [classes, h, w] to [h, w]: above 0 the cell speaks for it."""
    others = np.delete(heatmap, label, axis=0).max(axis=0)
    return np.asarray(heatmap[label] - others, np.float32)


def overlay(image: Image.Image, evidence: NDArray[np.float32]) -> Image.Image:
    """Colours an RGB picture by [h, w] evidence: untouched where it is 0 or less, brightest where it is greatest."""
    top = max(float(evidence.max(initial=0.0)), 1e-6)
    share = Image.fromarray(np.asarray((evidence / top).clip(0, 1), np.float32))
    level = np.asarray(share.resize(image.size, Image.Resampling.BICUBIC), np.float32).clip(0, 1)
    anchors = np.linspace(0, 1, len(_COLOURS))
    colour = np.stack([np.interp(level, anchors, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    cover = _STRENGTH * level[..., None]
    mixed = np.asarray(image, np.float32) * (1 - cover) + colour * cover
    return Image.fromarray(mixed.astype(np.uint8))


def to_jpeg(image: Image.Image, side: int | None = None, quality: int = 85) -> bytes:
    """An RGB picture as JPEG bytes, shrunk to at most `side` pixels."""
    if side is not None:
        image = image.copy()
        image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
