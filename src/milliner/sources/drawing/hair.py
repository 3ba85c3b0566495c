"""Hair: cropped, short, long, tied, curly, receding, or none."""

import math

import numpy as np

from milliner.sources.drawing.head import Head
from milliner.sources.drawing.palette import faded, mixed, scaled
from milliner.sources.drawing.pen import Colour, Pen

HAIRCUTS = ("cropped", "short", "short", "full", "long", "tied", "bun", "afro", "receding", "bald")
"""What a head may wear by nature; common ones stand twice."""


def draw_hair_behind(pen: Pen, head: Head, haircut: str) -> None:
    """The hair that hangs down behind the shoulders of somebody facing the camera."""
    if haircut == "long" and head.towards > -0.3:
        _mane(pen, head)


def draw_hair(pen: Pen, head: Head, haircut: str, crown: bool = True) -> None:
    """The hair on the head; without `crown` only what shows below a hat or a helmet."""
    if haircut == "bald":
        pen.ellipse(-0.08, -0.38, 0.12, 0.05, (255, 255, 255, 60))
        return
    grow = {"cropped": 1.0, "short": 1.06, "full": 1.16, "afro": 1.2, "long": 1.1}.get(haircut, 1.05)
    top = -0.2 if not crown or haircut == "receding" else -0.5 - 0.4 * (grow - 1)
    if haircut == "afro" and crown:
        _afro(pen, head)
    outline = head.outline(max(top, -0.5), 0.3, grow)
    if crown:
        outline[:, 1] = np.where(outline[:, 1] < 0, outline[:, 1] * (1 + 0.6 * (grow - 1)), outline[:, 1])
    pen.polygon(outline, head.hair)
    _bare_face(pen, head, 0.3 if crown and haircut != "receding" else 0.5)
    if haircut == "long" and head.towards <= -0.3:
        _mane(pen, head)
    if crown:
        _strands(pen, head, grow)
        if haircut in ("short", "full", "long") and head.towards > -0.2:
            _fringe(pen, head)
    if haircut in ("tied", "bun"):
        _knot(pen, head, haircut)


def _bare_face(pen: Pen, head: Head, hairline: float) -> None:
    levels = [-hairline, -hairline + 0.1, 0.0, 0.12, 0.26]
    pen.polygon(head.band(levels, [0.6, 0.95, 1.2, 1.25, 1.5]), head.skin)
    if head.towards < 0.2:  # the neck below the hairline
        pen.polygon(head.outline(0.3, 0.5), head.skin)


def _fringe(pen: Pen, head: Head) -> None:
    pen.polygon(head.band([-0.44, -0.34, -0.25], [0.9, 1.0, 0.8], 1.05), head.hair)


def _strands(pen: Pen, head: Head, grow: float) -> None:
    light = mixed(head.hair, (255, 240, 220), 0.16)
    for longitude in (-0.9, -0.2, 0.5):
        low, high = head.point(longitude, -0.34, grow), head.point(longitude * 0.5, -0.46, grow)
        pen.line([low, high], 0.04, faded(light, 0.7))


def _mane(pen: Pen, head: Head) -> None:
    side = head.width * 1.06
    shift = -0.14 * math.sin(head.yaw)
    pen.blob(
        [
            (shift, -0.5),
            (shift + side, -0.15),
            (shift + side * 1.05, 0.5),
            (shift + side * 0.7, 0.85),
            (shift - side * 0.7, 0.85),
            (shift - side * 1.05, 0.5),
            (shift - side, -0.15),
        ],
        scaled(head.hair, 0.85),
    )


def _knot(pen: Pen, head: Head, haircut: str) -> None:
    back_x, back_y = head.point(math.pi, -0.22, 1.15)
    seen = head.towards < 0.5
    if haircut == "bun" and seen:
        pen.ellipse(back_x * 1.15, back_y - 0.12, 0.17, 0.16, scaled(head.hair, 0.9))
    elif seen:
        pen.limb((back_x, back_y), (back_x * 1.3, back_y + 0.75), 0.2, 0.08, scaled(head.hair, 0.9))


def _afro(pen: Pen, head: Head) -> None:
    colour: Colour = head.hair
    for angle in np.linspace(-2.4, 2.4, 13):
        x, y = 0.36 * math.sin(angle) * head.width / 0.38, -0.2 - 0.3 * math.cos(angle)
        pen.ellipse(x, y, 0.19, 0.19, colour)
