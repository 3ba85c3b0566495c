"""A pen for flat shapes: it maps a figure's coordinates to pixels and remembers how far its ink reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, ...]
"""RGB, or RGBA where the last number is the opacity 0..255."""
Points = Sequence[Point] | NDArray[np.float64]

_ANGLES: Final = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE: Final = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)

_STEPS: Final = np.arange(5)[:, None] / 5
_CATMULL_ROM: Final = 0.5 * np.hstack(
    [
        -_STEPS + 2 * _STEPS**2 - _STEPS**3,
        2 - 5 * _STEPS**2 + 3 * _STEPS**3,
        _STEPS + 4 * _STEPS**2 - 3 * _STEPS**3,
        -(_STEPS**2) + _STEPS**3,
    ]
)


class Pen:
    """Draws on an RGB image in a frame of its own: origin, length of the unit in pixels, clockwise tilt."""

    def __init__(self, image: Image.Image) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")  # on an RGB image this mode blends translucent ink
        self._origin = np.zeros(2)
        self._reach: list[float] | None = None
        self.unit = 1.0
        self._turn(0.0)

    def _turn(self, tilt: float) -> None:
        self.tilt = tilt
        cosine, sine = self.unit * math.cos(tilt), self.unit * math.sin(tilt)
        self._matrix = np.array([[cosine, sine], [-sine, cosine]])

    def at(self, x: float, y: float, unit: float = 1.0, tilt: float = 0.0) -> Pen:
        """A pen on the same image with its origin at (x, y) of this one, scaled and tilted further."""
        pen = Pen.__new__(Pen)
        pen._draw, pen._reach = self._draw, self._reach
        pen._origin = self.pixels([(x, y)])[0]
        pen.unit = self.unit * unit
        pen._turn(self.tilt + tilt)
        return pen

    def tracked(self) -> Pen:
        """The same pen with a record of its own of how far it (and every pen made from it) drew."""
        pen = self.at(0, 0)
        pen._reach = [math.inf, math.inf, -math.inf, -math.inf]
        return pen

    def reach(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels of all that was drawn since `tracked`."""
        left, top, right, bottom = self._reach or (0.0, 0.0, 0.0, 0.0)
        return left, top, right, bottom

    def pixels(self, points: Points) -> NDArray[np.float64]:
        """[n, 2] points of this frame as pixels of the image."""
        return np.asarray(np.asarray(points, np.float64) @ self._matrix + self._origin)

    def _note(self, pixels: NDArray[np.float64], margin: float) -> None:
        if self._reach is not None:
            left, top, right, bottom = self._reach
            low_x, low_y = (pixels.min(axis=0) - margin).tolist()
            high_x, high_y = (pixels.max(axis=0) + margin).tolist()
            self._reach[:] = [min(left, low_x), min(top, low_y), max(right, high_x), max(bottom, high_y)]

    def polygon(self, points: Points, fill: Colour) -> None:
        """Fills the polygon through the points."""
        pixels = self.pixels(points)
        self._note(pixels, 0.0)
        self._draw.polygon(pixels.ravel().tolist(), fill=fill)

    def blob(self, points: Points, fill: Colour) -> None:
        """Fills the smooth closed curve through the points (a Catmull-Rom spline)."""
        knots = np.asarray(points, np.float64)
        around = np.stack([np.roll(knots, shift, axis=0) for shift in (1, 0, -1, -2)], axis=1)
        self.polygon((_CATMULL_ROM @ around).reshape(-1, 2), fill)

    def ellipse(self, x: float, y: float, half_width: float, half_height: float, fill: Colour) -> None:
        """Fills an ellipse around (x, y)."""
        self.polygon(_CIRCLE * (half_width, half_height) + (x, y), fill)

    def rectangle(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """Fills a rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill)

    def line(self, points: Points, width: float, fill: Colour) -> None:
        """Draws through the points, at least one pixel wide."""
        thickness = max(1, round(width * self.unit))
        pixels = self.pixels(points)
        self._note(pixels, thickness / 2)
        self._draw.line(pixels.ravel().tolist(), fill=fill, width=thickness, joint="curve")

    def limb(self, start: Point, end: Point, start_width: float, end_width: float, fill: Colour) -> None:
        """Fills a tapering stroke with round ends."""
        across = np.array([start[1] - end[1], end[0] - start[0]])
        across = across / max(float(np.hypot(*across)), 1e-9)
        first, second = across * start_width / 2, across * end_width / 2
        begin, finish = np.array(start), np.array(end)
        self.polygon(np.stack([begin + first, finish + second, finish - second, begin - first]), fill)
        self.ellipse(*start, start_width / 2, start_width / 2, fill)
        self.ellipse(*end, end_width / 2, end_width / 2, fill)
