"""Whether one picture is the other, cut, mirrored, resized, recompressed or toned: both are laid over each other.

A finer perceptual hash than `images.likeness`, for pairs that something else has found suspicious. Each picture is
squeezed to a small grey square. First its windows of many sizes and places are compared with the whole of the other
one, coarsely and all at once; then the best window is moved and stretched until the two agree best, and how well
their fine detail agrees is the score. Two photographs of one scene agree coarsely, and not in the detail.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from milliner.images.decode import opened, upright_grey

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a window, as shares of the picture's sides."""

SAME: Final = 0.85
"""The score from which two pictures are one. Of real photographs, copies that were recompressed, resized, mirrored,
toned or cut to 60 % of their area score 0.93 or more; two photographs of one scene, even of one burst, 0.78 or less."""

_SIDE: Final = 96  # pixels of the square that is kept
_DETAIL: Final = 48  # pixels of the square in which detail is compared
_COARSE: Final = 48  # pixels of the square that windows are cut from
_CELLS: Final = 16  # of the coarse grid that windows begin and end on
_SMALLEST: Final = 11  # cells of a window's side: half the picture's area is left
_GLANCE: Final = 12  # pixels of the square in which windows are compared
_WORTH_MOVING: Final = 0.85  # coarse agreement under which no detail is looked at
_STEPS: Final = (1 / 24, 1 / 48, 1 / 96, 1 / 192)


@dataclass(frozen=True)
class Look:
    """What comparing needs of one picture; some ten kilobytes, and half a megabyte once it was compared."""

    square: Floats
    """[96, 96] grey."""

    @classmethod
    def of(cls, encoded: bytes) -> "Look":
        """Decodes a picture file; raises UnreadableImageError."""
        with opened(encoded) as image:
            grey = upright_grey(image, shrink_to=_SIDE)
        small = grey.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        return cls(np.asarray(small, np.float32))

    @cached_property
    def mirrored(self) -> "Look":
        """The picture in a mirror."""
        return Look(np.ascontiguousarray(self.square[:, ::-1]))

    @cached_property
    def glance(self) -> Floats:
        """[144] the whole picture, coarsely, with mean 0 and length 1."""
        return _unit(_sampled(self.square, _GLANCE, (0, 0, 1, 1)).ravel())

    @cached_property
    def detail(self) -> Floats:
        """[48, 48] the whole picture with its coarse brightness taken out, with mean 0 and length 1."""
        return _detail(_sampled(self.square, _DETAIL, (0, 0, 1, 1)))

    @cached_property
    def windows(self) -> Floats:
        """[windows, 144] each window of `_boxes`, as `glance` is of the whole."""
        cuts = _cuts()
        coarse = self.square.reshape(_COARSE, _SIDE // _COARSE, _COARSE, -1).mean(axis=(1, 3))
        rows = cuts @ coarse
        return _unit((rows[:, None] @ cuts.transpose(0, 2, 1)).reshape(len(cuts) ** 2, _GLANCE**2))


def sameness(first: Look, second: Look) -> float:
    """How well two pictures agree in detail when laid over each other, up to 1; 0 where they differ already coarsely.

    Either may be a part of the other with at least half of its area, and either may be mirrored.
    """
    found: list[tuple[float, Look, Look, Box]] = []
    for whole, part in ((first, second), (first, second.mirrored), (second, first), (second, first.mirrored)):
        agreement = np.einsum("wp,p->w", whole.windows, part.glance)
        place = int(agreement.argmax())
        found.append((float(agreement[place]), whole, part, _boxes()[place]))
    best = 0.0
    for coarse, whole, part, box in sorted(found, key=lambda each: -each[0]):
        if coarse < _WORTH_MOVING or best >= SAME:
            break
        best = max(best, _settle(whole, part, box))
    return best


def _settle(whole: Look, part: Look, box: Box) -> float:
    """Moves the window's edges, one at a time, for as long as the detail agrees better."""
    score = _agreement(whole, part, box)
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            for edge, way in product(range(4), (-step, step)):
                moved = _moved(box, edge, way)
                if _inside(moved) and (found := _agreement(whole, part, moved)) > score:
                    box, score, improved = moved, found, True
    return score


def _moved(box: Box, edge: int, way: float) -> Box:
    left, top, right, bottom = (place + way * (number == edge) for number, place in enumerate(box))
    return left, top, right, bottom


def _agreement(whole: Look, part: Look, box: Box) -> float:
    return float(_detail(_sampled(whole.square, _DETAIL, box)).ravel() @ part.detail.ravel())


def _inside(box: Box) -> bool:
    left, top, right, bottom = box
    least = (_SMALLEST - 1) / _CELLS
    return left >= 0 and top >= 0 and right <= 1 and bottom <= 1 and right - left >= least and bottom - top >= least


def _sampled(square: Floats, side: int, box: Box) -> Floats:
    """[side, side] the mean brightness of the cells of a window.

    In two halves, since BLAS spreads larger products over the cores, where it waits for those that are busy.
    """
    left, top, right, bottom = box
    rows = _means(top, bottom, side).reshape(2, side // 2, _SIDE) @ square
    return np.asarray((rows @ _means(left, right, side).T).reshape(side, side), np.float32)


def _means(start: float, end: float, side: int, pixels: int = _SIDE) -> Floats:
    """[side, pixels] the matrix that averages a stretch of a row's pixels into `side` cells."""
    edges = np.linspace(start * pixels, end * pixels, side + 1, dtype=np.float32)[:, None]
    covered = np.clip(edges - np.arange(pixels, dtype=np.float32), 0, 1)
    return np.asarray((covered[1:] - covered[:-1]) * (side / ((end - start) * pixels)), np.float32)


def _detail(square: Floats) -> Floats:
    """What is left when each pixel's surroundings are taken from it; every part of the picture counts alike."""
    blur = _surroundings()
    fine = square - blur @ square @ blur.T
    strength = np.sqrt(blur @ np.square(fine) @ blur.T)
    return _unit((fine / (strength + 4)).ravel()).reshape(square.shape)


def _unit(rows: Floats) -> Floats:
    """Rows with mean 0 and length 1; what is flat becomes 0."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.asarray(centred / np.maximum(length, 1e-3), np.float32)


@cache
def _surroundings() -> Floats:
    """[48, 48] the matrix that gives each pixel of a row the weighted mean of those around it."""
    places = np.arange(_DETAIL)
    weights = np.exp(-0.5 * np.square((places[:, None] - places) / 2.5))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@cache
def _spans() -> tuple[tuple[float, float], ...]:
    return tuple(
        (start / _CELLS, (start + length) / _CELLS)
        for length in range(_SMALLEST, _CELLS + 1)
        for start in range(_CELLS - length + 1)
    )


@cache
def _boxes() -> tuple[Box, ...]:
    return tuple((left, top, right, bottom) for top, bottom in _spans() for left, right in _spans())


@cache
def _cuts() -> Floats:
    """[spans, 12, 48] `_means` of every span."""
    return np.stack([_means(start, end, _GLANCE, _COARSE) for start, end in _spans()])
