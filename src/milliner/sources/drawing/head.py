"""A head seen from any side: the skull's geometry, the face on it, and the domes that hats and helmets are.

Lengths are in head heights, chin to crown. The origin is the middle of the head, y points down.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.sources.drawing.palette import faded, mixed, scaled
from milliner.sources.drawing.pen import Colour, Pen, Point

_LEVELS: Final = np.array([-0.5, -0.46, -0.36, -0.2, -0.05, 0.1, 0.25, 0.38, 0.46, 0.5])
_WIDTHS: Final = np.array([0.0, 0.42, 0.76, 0.97, 1.0, 0.96, 0.86, 0.68, 0.44, 0.0])
_QUARTER: Final = math.pi / 2

FINE: Final = 20.0
"""Pixels a head height from which eyes, nose and mouth are worth their ink."""


@lru_cache(256)
def _breadth(level: float) -> float:
    """The skull's breadth at a level, as part of the greatest; the same few levels come again and again."""
    return float(np.interp(level, _LEVELS, _WIDTHS))


@dataclass(frozen=True)
class Head:
    """How a head is turned: `yaw` 0 faces the camera, pi/2 is a profile, pi the back; `pitch`: from above."""

    yaw: float
    pitch: float
    skin: Colour
    hair: Colour

    @property
    def width(self) -> float:
        """Half the skull's width as seen: a skull is deeper than it is wide."""
        return math.hypot(0.36 * math.cos(self.yaw), 0.43 * math.sin(self.yaw))

    @property
    def towards(self) -> float:
        """1 where the face looks at the camera, -1 where it looks away."""
        return math.cos(self.yaw)

    def point(self, longitude: float, level: float, grow: float = 1.0) -> Point:
        """Where a spot of the head's surface is seen; longitude 0 is the nose."""
        angle = self.yaw + longitude
        radius = self.width * grow * _breadth(level)
        jut = 0.06 * math.sin(self.yaw) if level > 0.05 else 0.0
        depth = radius * math.cos(angle)
        return radius * math.sin(angle) + jut, level * math.cos(self.pitch) + depth * math.sin(self.pitch)

    def visible(self, longitude: float) -> bool:
        """Whether a spot at that longitude is on the near side."""
        return math.cos(self.yaw + longitude) > 0.05

    def outline(self, top: float, bottom: float, grow: float = 1.0) -> NDArray[np.float64]:
        """The silhouette between two levels: [n, 2]."""
        levels = np.linspace(top, bottom, 12)
        widths = np.interp(levels, _LEVELS, _WIDTHS) * self.width * grow
        jut = np.where(levels > 0.05, 0.06 * math.sin(self.yaw), 0.0)
        heights = levels * math.cos(self.pitch)
        right, left = np.stack([jut + widths, heights], 1), np.stack([jut - widths, heights], 1)
        return np.concatenate([right, left[::-1]])

    def band(self, levels: list[float], spans: list[float], grow: float = 1.0) -> NDArray[np.float64]:
        """The seen part of a region around the nose, reaching `spans` radians to both sides at each level."""
        left, right = [], []
        for level, span in zip(levels, spans, strict=True):
            first = min(max(self.yaw - span, -_QUARTER), _QUARTER) - self.yaw
            last = min(max(self.yaw + span, -_QUARTER), _QUARTER) - self.yaw
            left.append(self.point(first, level, grow))
            right.append(self.point(last, level, grow))
        return np.array(left + right[::-1])


@dataclass(frozen=True)
class Dome:
    """Half an ellipsoid on a head: the crown of a hat or the shell of a helmet."""

    head: Head
    rim: float
    """Level of its lower edge."""
    radius: float
    height: float

    @property
    def slope(self) -> float:
        """Sine of the pitch; never quite level, so that brims keep a thickness."""
        return max(math.sin(self.head.pitch), 0.1)

    def point(self, angle: float, elevation: float) -> Point:
        """A spot of the shell; angle 0 is towards the camera, elevation pi/2 the top."""
        flat = self.radius * math.cos(elevation)
        # a blunter top than an ellipsoid's: shells are steep at the rim
        rise = self.height * math.sin(elevation) ** 0.85 * math.cos(self.head.pitch)
        return flat * math.sin(angle), self.rim - rise + flat * math.cos(angle) * self.slope

    def patch(self, left: float, right: float, low: float, high: float) -> NDArray[np.float64]:
        """Part of the shell between two angles and two elevations: [n, 2]."""
        angles, elevations = np.linspace(left, right, 7), np.linspace(low, high, 7)
        edge = [self.point(angle, low) for angle in angles]
        edge += [self.point(right, elevation) for elevation in elevations]
        edge += [self.point(angle, high) for angle in angles[::-1]]
        edge += [self.point(left, elevation) for elevation in elevations[::-1]]
        return np.array(edge)

    def shell(self) -> NDArray[np.float64]:
        """The whole seen shell: [n, 2]."""
        arc = np.linspace(_QUARTER, -_QUARTER, 12)
        low = [self.point(angle, 0.0) for angle in arc]
        high = [self.point(-_QUARTER, elevation) for elevation in np.linspace(0, _QUARTER, 8)]
        high += [self.point(_QUARTER, elevation) for elevation in np.linspace(_QUARTER, 0, 8)]
        return np.array(low + high)

    def brim(self, peak: float, rim: float, drop: float, near: bool, turn: float = 0.0) -> NDArray[np.float64]:
        """A brim `rim` wide all round and `peak` wider over the brow, or its near half only: [n, 2]."""
        yaw = self.head.yaw + turn
        angles = np.linspace(-_QUARTER, _QUARTER, 17) if near else np.linspace(-math.pi, math.pi, 33)
        front = np.clip(np.cos(angles - yaw), 0, None) ** 1.6
        radius = self.radius + rim + peak * front
        heights = self.rim + radius * np.cos(angles) * self.slope + drop * front
        outer = np.stack([radius * np.sin(angles), heights], 1)
        if not near:
            return outer
        inner = [self.point(angle, 0.02) for angle in angles[::-1]]
        return np.concatenate([outer, np.array(inner) - (0, 0.035)])


def draw_skull(pen: Pen, head: Head) -> None:
    """The bare skull with ears, in skin."""
    pen.blob(head.outline(-0.5, 0.5), head.skin)
    for side in (-1, 1):
        if math.cos(head.yaw + side * _QUARTER) > -0.35:
            x, y = head.point(side * _QUARTER, 0.04)
            pen.ellipse(x, y, 0.05 + 0.03 * abs(math.sin(head.yaw)), 0.11, scaled(head.skin, 0.88))


def draw_face(pen: Pen, head: Head, beard: bool, glasses: bool, mask: bool) -> None:
    """Eyes, nose, mouth and what may cover them; nothing when the head looks away."""
    if head.towards < -0.25:
        return
    dark = scaled(head.skin, 0.7)
    if beard:
        pen.polygon(head.band([0.14, 0.24, 0.38, 0.5], [1.35, 1.2, 1.1, 0.9], 1.02), head.hair)
    x, y = head.point(0.0, 0.12, 1.0 + 0.25 * abs(math.sin(head.yaw)))
    top = head.point(0.0, -0.04)
    pen.polygon([top, (x - 0.045, y), (x + 0.045, y + 0.01)], scaled(head.skin, 0.86))
    if pen.unit < FINE:
        return
    for side in (-0.42, 0.42):
        if head.visible(side):
            eye_x, eye_y = head.point(side, 0.0)
            pen.ellipse(eye_x, eye_y, 0.055, 0.03, (236, 232, 226))
            pen.ellipse(eye_x, eye_y, 0.026, 0.03, (40, 30, 26))
            pen.line(
                [(eye_x - 0.07, eye_y - 0.075), (eye_x + 0.07, eye_y - 0.08)],
                0.03,
                mixed(head.hair, dark, 0.3),
            )
    if head.visible(0.0):
        mouth = [head.point(longitude, 0.3) for longitude in (-0.3, 0.0, 0.3) if head.visible(longitude)]
        if len(mouth) > 1:
            pen.line(mouth, 0.035, mixed(dark, (150, 50, 50), 0.4))
    if glasses:
        lenses = [head.point(side, -0.02, 1.03) for side in (-0.42, 0.42) if head.visible(side)]
        for lens_x, lens_y in lenses:
            pen.ellipse(lens_x, lens_y, 0.11, 0.08, (30, 34, 40, 170))
        if len(lenses) == 2:
            pen.line(lenses, 0.025, (30, 30, 34))
    if mask:
        pen.polygon(head.band([0.08, 0.2, 0.36, 0.47], [0.95, 1.0, 0.95, 0.8], 1.06), (206, 220, 228))


def draw_light(pen: Pen, head: Head, light: float) -> None:
    """Shade on the side of the head that is away from the light (-1 left, 1 right)."""
    levels = np.linspace(-0.48, 0.48, 9)
    widths = np.interp(levels, _LEVELS, _WIDTHS) * head.width * -light
    edge = np.stack([widths, levels], 1)
    pen.polygon(np.concatenate([edge, (edge * (0.45, 1))[::-1]]), faded((20, 14, 20), 0.16))
    pen.polygon(np.concatenate([edge, (edge * (0.75, 1))[::-1]]), faded((20, 14, 20), 0.14))
