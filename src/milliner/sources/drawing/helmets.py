"""Safety helmets: shells of several makes with brims, ridges, vents and what is mounted on them."""

import math
from collections.abc import Callable

import numpy as np

from milliner.sources.drawing.hats import draw_muffs
from milliner.sources.drawing.head import Dome, Head
from milliner.sources.drawing.palette import faded, mixed, scaled
from milliner.sources.drawing.pen import Colour, Pen

_QUARTER = math.pi / 2


def _shell(pen: Pen, dome: Dome, colour: Colour, light: float) -> None:
    """The dome with a shaded and a glossy side."""
    pen.polygon(dome.shell(), colour)
    side = 1.0 if light < 0 else -1.0
    for start, opacity in ((0.25, 0.10), (0.75, 0.16)):
        edges = sorted((side * start, side * _QUARTER))
        pen.polygon(dome.patch(edges[0], edges[1], 0.0, _QUARTER), faded((10, 8, 24), opacity))
    pen.polygon(dome.patch(-_QUARTER, _QUARTER, 0.0, 0.22), (10, 8, 24, 26))
    glint_x, glint_y = dome.point(-side * 0.55, 0.95)
    pen.at(glint_x, glint_y, 1.0, side * 0.5).ellipse(0, 0, dome.radius * 0.26, 0.055, (255, 255, 255, 150))


def _ridges(pen: Pen, dome: Dome, colour: Colour, longitudes: tuple[float, ...], width: float) -> None:
    """Raised ribs that run from the brow over the top to the back."""
    for longitude in longitudes:
        rib = []
        for turn in np.linspace(0.12, math.pi - 0.12, 15):
            elevation = turn if turn <= _QUARTER else math.pi - turn
            angle = dome.head.yaw + (longitude if turn <= _QUARTER else math.pi - longitude)
            if math.cos(angle) > -0.05 or elevation > 1.25:
                rib.append(dome.point(angle, elevation))
        if len(rib) > 1:
            pen.line(np.add(rib, (width * 0.45, width * 0.2)), width, faded(scaled(colour, 0.6), 0.55))
            pen.line(rib, width, mixed(colour, (255, 255, 255), 0.22))


def _brimmed(pen: Pen, dome: Dome, colour: Colour, light: float, peak: float, rim: float) -> None:
    """Brim behind, shell, brim in front, and its shadow on the face."""
    if dome.head.towards > 0:
        shadow = np.add(dome.brim(peak * 0.8, rim * 0.4, 0.08, near=True), (0.0, 0.07))
        pen.polygon(shadow, (20, 10, 10, 70))
    pen.polygon(dome.brim(peak, rim, 0.06, near=False), scaled(colour, 0.72))
    _shell(pen, dome, colour, light)
    pen.polygon(dome.brim(peak, rim, 0.06, near=True), scaled(colour, 0.9))
    edge = dome.brim(peak, rim, 0.06, near=True)[:17]
    pen.line(edge, 0.02, scaled(colour, 0.6))


def _classic(pen: Pen, head: Head, colour: Colour, light: float) -> None:
    dome = Dome(head, -0.2, head.width * 1.35, 0.58)
    _brimmed(pen, dome, colour, light, 0.23, 0.06)
    _ridges(pen, dome, colour, (-0.42, 0.0, 0.42), 0.045)


def _ridged(pen: Pen, head: Head, colour: Colour, light: float) -> None:
    dome = Dome(head, -0.19, head.width * 1.34, 0.6)
    _brimmed(pen, dome, colour, light, 0.2, 0.05)
    _ridges(pen, dome, colour, (0.0,), 0.13)


def _full_brim(pen: Pen, head: Head, colour: Colour, light: float) -> None:
    dome = Dome(head, -0.21, head.width * 1.3, 0.56)
    _brimmed(pen, dome, colour, light, 0.12, 0.17)
    _ridges(pen, dome, colour, (-0.3, 0.3), 0.05)


def _climbing(pen: Pen, head: Head, colour: Colour, light: float) -> None:
    """A round shell without a peak, with vents and always a strap."""
    dome = Dome(head, -0.17, head.width * 1.34, 0.6)
    _brimmed(pen, dome, colour, light, 0.08, 0.035)
    for longitude in (-1.0, -0.5, 0.5, 1.0, 2.2, -2.2):
        angle = math.remainder(head.yaw + longitude, 2 * math.pi)
        if abs(angle) < 1.25:
            pen.line([dome.point(angle, 0.55), dome.point(angle * 0.9, 0.95)], 0.06, scaled(colour, 0.35))
    _strap(pen, head)


def _strap(pen: Pen, head: Head) -> None:
    for side in (-1.2, 1.2):
        if head.visible(side):
            pen.line(
                [head.point(side, -0.1, 1.04), head.point(side * 0.85, 0.25), head.point(0.0, 0.5)],
                0.04,
                (40, 40, 44),
            )


def _lamp(pen: Pen, dome: Dome) -> None:
    pen.line([dome.point(angle, 0.3) for angle in np.linspace(-_QUARTER, _QUARTER, 9)], 0.06, (44, 44, 48))
    if dome.head.towards > 0:
        x, y = dome.point(dome.head.yaw, 0.3)
        pen.ellipse(x, y, 0.1, 0.09, (50, 50, 54))
        pen.ellipse(x, y, 0.065, 0.06, (250, 248, 220))


def _stripe(pen: Pen, dome: Dome, colour: Colour) -> None:
    pen.polygon(dome.patch(-_QUARTER, _QUARTER, 0.3, 0.46), faded(colour, 0.9))


def _badge(pen: Pen, dome: Dome, colour: Colour) -> None:
    if dome.head.towards > 0.2:
        x, y = dome.point(dome.head.yaw, 0.5)
        pen.ellipse(x, y, 0.09, 0.08, colour)


HELMETS: dict[str, Callable[[Pen, Head, Colour, float], None]] = {
    "classic": _classic,
    "ridged": _ridged,
    "full brim": _full_brim,
    "climbing": _climbing,
}
"""Drawing functions by name: pen, head, colour, side of the light (-1 left, 1 right)."""

EXTRAS = ("none", "none", "none", "strap", "lamp", "stripe", "badge", "badge", "muffs")
"""What may be mounted on a helmet; common ones stand more than once."""


def draw_helmet(pen: Pen, head: Head, style: str, colour: Colour, second: Colour, extra: str, light: float) -> None:
    """One of `HELMETS` on the head with one of `EXTRAS`."""
    HELMETS[style](pen, head, colour, light)
    dome = Dome(head, -0.2, head.width * 1.35, 0.58)
    if extra == "lamp":
        _lamp(pen, dome)
    elif extra == "stripe":
        _stripe(pen, dome, second)
    elif extra == "badge":
        _badge(pen, dome, second)
    elif extra == "muffs":
        draw_muffs(pen, head, second)
    elif extra == "strap":
        _strap(pen, head)
