"""What bare heads may wear and is no helmet: caps, knitted hats, hoods, scarves, turbans, headphones."""

import math
from collections.abc import Callable

import numpy as np

from milliner.sources.drawing.head import Dome, Head
from milliner.sources.drawing.palette import faded, scaled
from milliner.sources.drawing.pen import Colour, Pen

_QUARTER = math.pi / 2


def _crown(pen: Pen, head: Head, rim: float, height: float, colour: Colour) -> Dome:
    dome = Dome(head, rim, head.width * 1.1, height)
    pen.polygon(dome.shell(), colour)
    return dome


def _cloth_shade(pen: Pen, dome: Dome) -> None:
    pen.polygon(dome.patch(0.35, _QUARTER, 0.0, _QUARTER), (10, 10, 20, 40))


def _cap(pen: Pen, head: Head, colour: Colour, second: Colour, turn: float = 0.0) -> None:
    """A baseball cap: it hugs the skull, has seams and a button, and a visor on one side only."""
    dome = Dome(head, -0.19, head.width * 1.08, 0.4)
    yaw = head.yaw + turn
    angles = np.linspace(yaw - 0.85, yaw + 0.85, 11)
    reach = dome.radius + 0.42 * np.cos(np.linspace(-0.85, 0.85, 11) * 1.3) ** 0.6
    visor = np.stack([reach * np.sin(angles), dome.rim + 0.06 + reach * np.cos(angles) * max(dome.slope, 0.2)], axis=1)
    base = np.array([dome.point(angle, 0.0) for angle in angles[::-1]])
    if math.cos(yaw) < 0:
        pen.polygon(np.concatenate([visor, base]), scaled(second, 0.8))
    pen.polygon(dome.shell(), colour)
    for longitude in (-1.05, 0.0, 1.05):
        angle = math.remainder(yaw + longitude, 2 * math.pi)
        if abs(angle) < 1.4:
            seam = [dome.point(angle, elevation) for elevation in (0.05, 0.5, 1.0, _QUARTER)]
            pen.line(seam, 0.02, scaled(colour, 0.72))
    x, y = dome.point(0.0, _QUARTER)
    pen.ellipse(x, y, 0.05, 0.025, scaled(second, 0.9))
    _cloth_shade(pen, dome)
    if math.cos(yaw) >= 0:
        pen.polygon(np.concatenate([visor, base]), scaled(second, 0.88))
    if math.cos(yaw) > 0.3:
        pen.ellipse(*dome.point(yaw, 0.5), 0.08, 0.07, second)


def _cap_backwards(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    _cap(pen, head, colour, second, math.pi)


def _beanie(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    """A knitted hat with ribs and a folded edge that covers the ears; a pompom when two-coloured."""
    dome = _crown(pen, head, -0.16, 0.46, colour)
    for angle in np.linspace(-1.3, 1.3, 9):
        rib = [dome.point(angle, elevation) for elevation in (0.1, 0.7, 1.3)]
        pen.line(rib, 0.018, scaled(colour, 0.8))
    _cloth_shade(pen, dome)
    low = [dome.point(angle, 0.0) for angle in np.linspace(-_QUARTER, _QUARTER, 9)]
    fold = np.array(low) * (1.05, 1) + (0, 0.07)
    pen.polygon(np.concatenate([fold, (fold - (0, 0.2))[::-1]]), scaled(colour, 0.86))
    if second != colour:
        x, y = dome.point(0.0, _QUARTER)
        pen.ellipse(x, y - 0.05, 0.12, 0.11, second)


def _slouch(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    """A loose knitted hat that falls to the back."""
    back = -math.sin(head.yaw)
    _crown(pen, head, -0.15, 0.44, colour)
    pen.blob(
        [(-head.width, -0.3), (-0.2 + 0.2 * back, -0.68), (0.2 + 0.3 * back, -0.66), (head.width, -0.3)],
        colour,
    )
    pen.ellipse(0.4 * back, -0.42, 0.2, 0.17, scaled(colour, 0.92))
    pen.polygon(head.outline(-0.26, -0.12, 1.13), scaled(second, 0.8))


def _hood(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    """A hood pulled up: cloth down to the shoulders, open around the face."""
    wide, lean = head.width * 1.32, -0.1 * math.sin(head.yaw)
    knots = [(lean, -0.66), (lean + wide * 0.75, -0.5), (lean + wide, 0.0), (wide * 0.95, 0.45), (0.5, 0.75)]
    knots += [(-0.5, 0.75), (-wide * 0.95, 0.45), (lean - wide, 0.0), (lean - wide * 0.75, -0.5)]
    pen.blob(knots, colour)
    pen.blob([(x * 0.45 - 0.25, y * 0.9) for x, y in knots], faded(scaled(colour, 0.7), 0.35))
    _face_opening(pen, head, scaled(colour, 0.5), 1.08)


def _headscarf(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    """A scarf around the whole head and neck."""
    wide = head.width * 1.16
    knots = [(0.0, -0.6), (wide * 0.75, -0.45), (wide, 0.0), (wide * 0.85, 0.5), (0.62, 0.85)]
    knots += [(-x, y) for x, y in knots[:0:-1]]
    pen.blob(knots, colour)
    for offset in (0.5, 0.62, 0.74):
        pen.line(
            [(-wide * 0.8, offset - 0.1), (0.0, offset), (wide * 0.8, offset - 0.12)],
            0.02,
            scaled(colour, 0.8),
        )
    _face_opening(pen, head, scaled(second, 0.9), 1.02)


def _face_opening(pen: Pen, head: Head, lining: Colour, grow: float) -> None:
    levels = [-0.34, -0.2, 0.0, 0.2, 0.36, 0.47]
    spans = np.array([0.55, 0.9, 1.05, 1.05, 0.9, 0.5])
    if head.towards > -0.3:
        pen.polygon(head.band(levels, list(spans + 0.12), grow), lining)
        pen.polygon(head.band([level * 0.94 for level in levels], list(spans)), head.skin)


def _bucket(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    """A cloth sun hat whose brim hangs down all round."""
    dome = _crown(pen, head, -0.2, 0.36, colour)
    side = dome.radius + 0.17
    top = [dome.point(angle, 0.1) for angle in np.linspace(_QUARTER, -_QUARTER, 9)]
    hem = [(side * math.sin(angle), -0.08 + 0.1 * math.cos(angle)) for angle in np.linspace(-_QUARTER, _QUARTER, 9)]
    pen.polygon(np.array(top + hem), scaled(colour, 0.85))
    pen.line(top, 0.06, second)
    _cloth_shade(pen, dome)


def _turban(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    """Cloth wound in layers."""
    wide = head.width * 1.3
    pen.blob(
        [(-wide, -0.25), (-wide * 0.7, -0.58), (0, -0.72), (wide * 0.7, -0.58), (wide, -0.25), (0, -0.1)],
        colour,
    )
    for step in range(4):
        low = -0.16 - 0.13 * step
        shrink = wide * (0.98 - 0.14 * step)
        pen.line([(-shrink, low - 0.14), (0.05, low), (shrink, low - 0.2)], 0.03, scaled(colour, 0.75))


def _headband(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    pen.polygon(head.outline(-0.32, -0.2, 1.08), colour)


def _headphones(pen: Pen, head: Head, colour: Colour, second: Colour) -> None:
    """Ear defenders on a bow over the hair."""
    if abs(head.towards) > 0.4:
        arc = [(head.width * 1.12 * math.sin(a), 0.02 - 0.56 * math.cos(a)) for a in np.linspace(-1.6, 1.6, 13)]
        pen.line(arc, 0.06, (50, 50, 54))
    else:
        pen.line([(0.0, -0.54), (0.0, 0.0)], 0.07, (50, 50, 54))
    draw_muffs(pen, head, colour)


def draw_muffs(pen: Pen, head: Head, colour: Colour) -> None:
    """The cups of ear defenders."""
    for side in (-_QUARTER, _QUARTER):
        if math.cos(head.yaw + side) > -0.4:
            x, y = head.point(side, 0.03, 1.12)
            pen.ellipse(x, y, 0.06 + 0.08 * abs(math.sin(head.yaw)), 0.17, scaled(colour, 0.9))


HATS: dict[str, Callable[[Pen, Head, Colour, Colour], None]] = {
    "cap": _cap,
    "cap backwards": _cap_backwards,
    "beanie": _beanie,
    "slouch": _slouch,
    "hood": _hood,
    "headscarf": _headscarf,
    "bucket": _bucket,
    "turban": _turban,
    "headband": _headband,
    "headphones": _headphones,
}
"""Drawing functions by name: pen, head, colour, second colour."""
