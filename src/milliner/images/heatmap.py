"""Lays a class activation map over its picture, so that a person sees what the network looked at."""

import io
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from milliner.core.prediction import Box

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
_SAMPLES: Final = 8  # of the surface, along each side of a cell, among which the peak is looked for
_INNER, _OUTER = "white", "black"  # of a box's frame: seen on any picture


def class_evidence(heatmap: NDArray[np.float32], label: int) -> NDArray[np.float32]:
    """One class's logits against the best other class, [classes, h, w] to [h, w]: above 0 the cell speaks for it."""
    others = np.delete(heatmap, label, axis=0).max(axis=0)
    return np.asarray(heatmap[label] - others, np.float32)


def surface(evidence: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """[h, w] cells as a smooth surface of [height, width] samples, by the uniform cubic B-spline over the cells.

    Its weights are nowhere negative and sum to 1, so that it never rises above its highest cell, and a lone high
    cell counts for less than a group of them (De Boor 1978, "A Practical Guide to Splines", chapter IX).
    """
    rows, columns = _spline(evidence.shape[0], height), _spline(evidence.shape[1], width)
    return np.asarray(rows @ evidence.astype(np.float32) @ columns.T, np.float32)


def peak(evidence: NDArray[np.float32]) -> tuple[float, float]:
    """Where the surface over [h, w] cells is highest: x and y as shares of the picture's width and height."""
    height, width = (side * _SAMPLES for side in evidence.shape)
    y, x = divmod(int(surface(evidence, width, height).argmax()), width)
    return (x + 0.5) / width, (y + 0.5) / height


def _spline(cells: int, samples: int) -> NDArray[np.float32]:
    """[samples, cells] weights; cells beyond the edge are as the one at the edge."""
    places = (np.arange(samples, dtype=np.float32) + 0.5) * (cells / samples) - 0.5
    around = np.floor(places).astype(np.int64)[:, None] + np.arange(-1, 3)
    far = np.abs(places[:, None] - around)
    near = 2 / 3 - far**2 + far**3 / 2
    values = np.where(far < 1, near, np.maximum(2 - far, 0) ** 3 / 6)
    weights = np.zeros((samples, cells), np.float32)
    np.add.at(weights, (np.arange(samples)[:, None], around.clip(0, cells - 1)), values)
    return weights


def overlay(image: Image.Image, evidence: NDArray[np.float32]) -> Image.Image:
    """Colours an RGB picture by [h, w] evidence: untouched where it is 0 or less, brightest where it is greatest."""
    level = surface(evidence, *image.size)
    level = (level / max(float(level.max(initial=0.0)), 1e-6)).clip(0, 1)
    anchors = np.linspace(0, 1, len(_COLOURS))
    colour = np.stack([np.interp(level, anchors, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    cover = _STRENGTH * level[..., None]
    mixed = np.asarray(image, np.float32) * (1 - cover) + colour * cover
    return Image.fromarray(mixed.astype(np.uint8))


def outline(image: Image.Image, boxes: Iterable[Box], size: tuple[int, int]) -> Image.Image:
    """A copy with a frame around each box; `size` is that of the picture whose pixels the boxes count."""
    copy = image.copy()
    pen = ImageDraw.Draw(copy)
    thick = max(2, min(image.size) // 150)
    across, down = image.width / size[0], image.height / size[1]
    for box in boxes:
        frame = [box.left * across, box.top * down, box.right * across - 1, box.bottom * down - 1]
        pen.rectangle(frame, outline=_INNER, width=thick)
        pen.rectangle([frame[0] - 1, frame[1] - 1, frame[2] + 1, frame[3] + 1], outline=_OUTER, width=1)
    return copy


def to_jpeg(image: Image.Image, side: int | None = None, quality: int = 85) -> bytes:
    """An RGB picture as JPEG bytes, shrunk to at most `side` pixels."""
    if side is not None:
        image = image.copy()
        image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
