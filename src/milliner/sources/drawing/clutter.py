"""Things that lie and hang about, many of them as round and as bright as helmets. Sizes in head heights."""

import math
from collections.abc import Callable

import numpy as np

from milliner.sources.drawing.head import Head
from milliner.sources.drawing.helmets import HELMETS, draw_helmet
from milliner.sources.drawing.palette import BRIGHT, CLOTHS, chance, faded, pick, scaled, varied
from milliner.sources.drawing.pen import Colour, Pen

_WHITE: Colour = (236, 236, 230)


def _bright(rng: np.random.Generator) -> Colour:
    return varied(rng, pick(rng, BRIGHT))


def _cone(pen: Pen, rng: np.random.Generator) -> None:
    colour = varied(rng, pick(rng, ((238, 96, 32), (244, 120, 30), (214, 60, 40), (238, 200, 40))))
    pen.rectangle(-0.9, -0.2, 0.9, 0.05, scaled(colour, 0.7))
    pen.polygon([(-0.65, -0.2), (-0.14, -2.8), (0.14, -2.8), (0.65, -0.2)], colour)
    pen.polygon([(-0.42, -1.4), (-0.3, -2.0), (0.3, -2.0), (0.42, -1.4)], _WHITE)
    pen.polygon([(0.2, -0.2), (0.05, -2.8), (0.14, -2.8), (0.65, -0.2)], (0, 0, 0, 50))


def _bucket(pen: Pen, rng: np.random.Generator) -> None:
    """A bucket, often upside down."""
    colour = _bright(rng)
    wide, narrow = (0.65, 0.5) if chance(rng, 0.5) else (0.48, 0.65)
    pen.polygon([(-wide, -1.3), (wide, -1.3), (narrow, 0), (-narrow, 0)], colour)
    pen.ellipse(0, 0, narrow, 0.12, colour)
    pen.ellipse(0, -1.3, wide, 0.15, scaled(colour, 0.6 if wide > narrow else 1.1))
    pen.polygon([(wide * 0.4, -1.25), (wide, -1.3), (narrow, 0), (narrow * 0.4, 0)], (0, 0, 0, 50))
    pen.line([(-wide, -1.3), (0, -1.75), (wide, -1.3)], 0.06, (60, 60, 60))


def _drum(pen: Pen, rng: np.random.Generator) -> None:
    colour = _bright(rng) if chance(rng, 0.6) else varied(rng, pick(rng, CLOTHS))
    pen.rectangle(-1.2, -3.8, 1.2, 0, colour)
    pen.ellipse(0, 0, 1.2, 0.3, colour)
    for level in (-1.3, -2.6):
        pen.rectangle(-1.24, level - 0.1, 1.24, level + 0.1, scaled(colour, 0.8))
    pen.rectangle(0.5, -3.8, 1.2, 0.1, (0, 0, 0, 46))
    pen.ellipse(0, -3.8, 1.2, 0.3, scaled(colour, 1.1))


def _ball(pen: Pen, rng: np.random.Generator) -> None:
    """A buoy, a ball or a float on the ground."""
    radius, colour = float(rng.uniform(0.4, 0.8)), _bright(rng)
    pen.ellipse(0.1, 0, radius, 0.15, (0, 0, 0, 60))
    pen.ellipse(0, -radius, radius, radius, colour)
    pen.ellipse(radius * 0.25, -radius * 0.8, radius * 0.7, radius * 0.75, faded(scaled(colour, 0.7), 0.5))
    pen.ellipse(-radius * 0.35, -radius * 1.4, radius * 0.2, radius * 0.16, (255, 255, 255, 150))


def _gas_bottle(pen: Pen, rng: np.random.Generator) -> None:
    """A cylinder with a domed shoulder in a signal colour: a body with something like a helmet on."""
    body, top = varied(rng, pick(rng, CLOTHS)), _bright(rng)
    height = float(rng.uniform(3, 6))
    pen.rectangle(-0.5, -height, 0.5, 0, body)
    pen.ellipse(0, -height, 0.5, 0.55, top)
    pen.rectangle(-0.5, -height, 0.5, -height + 0.6, top)
    pen.rectangle(-0.14, -height - 0.85, 0.14, -height - 0.4, (150, 140, 100))
    pen.rectangle(0.15, -height, 0.5, 0, (0, 0, 0, 44))


def _bollard(pen: Pen, rng: np.random.Generator) -> None:
    """A post with a ball, a globe lamp or a dome on it, up to a person's height."""
    height, radius = float(rng.uniform(3, 7.5)), float(rng.uniform(0.35, 0.6))
    cap = _bright(rng)
    pen.rectangle(-0.16, -height, 0.16, 0, varied(rng, pick(rng, CLOTHS)))
    pen.ellipse(0, -height - radius * 0.8, radius, radius, cap)
    pen.ellipse(-radius * 0.3, -height - radius * 1.1, radius * 0.3, radius * 0.25, (255, 255, 255, 120))


def _round_sign(pen: Pen, rng: np.random.Generator) -> None:
    colour, height = _bright(rng), float(rng.uniform(4.5, 9))
    pen.line([(0, 0), (0, -height)], 0.2, (130, 132, 134))
    pen.ellipse(0, -height, 0.95, 0.95, colour if chance(rng, 0.6) else (196, 30, 34))
    pen.ellipse(0, -height, 0.68, 0.68, _WHITE if chance(rng, 0.5) else colour)
    pen.rectangle(-0.35, -height - 0.12, 0.35, -height + 0.12, pick(rng, ((20, 20, 24), _WHITE, (30, 70, 160))))


def _triangle_sign(pen: Pen, rng: np.random.Generator) -> None:
    pen.line([(0, 0), (0, -2.6)], 0.18, (110, 112, 114))
    pen.polygon([(-1.2, -2.2), (1.2, -2.2), (0, -4.4)], (200, 36, 34))
    pen.polygon([(-0.8, -2.45), (0.8, -2.45), (0, -3.9)], pick(rng, (_WHITE, (244, 206, 40))))
    pen.line([(0, -3.5), (0, -2.8)], 0.2, (24, 24, 24))


def _barrier(pen: Pen, rng: np.random.Generator) -> None:
    colour = pick(rng, ((206, 44, 36), (240, 120, 30), (40, 90, 170)))
    width = float(rng.uniform(4, 9))
    for x in (-width * 0.45, width * 0.45):
        pen.rectangle(x - 0.15, -4.2, x + 0.15, 0, (120, 120, 120))
        pen.rectangle(x - 0.7, -0.3, x + 0.7, 0.05, (60, 60, 62))
    for top in (-4.2, -2.2):
        pen.rectangle(-width / 2, top, width / 2, top + 0.85, _WHITE)
        for x in np.arange(-width / 2, width / 2 - 0.9, 1.8):
            pen.polygon([(x, top + 0.85), (x + 0.9, top + 0.85), (x + 1.2, top), (x + 0.3, top)], colour)


def _pallet(pen: Pen, rng: np.random.Generator) -> None:
    """Blocks, sacks or boards stacked on a pallet."""
    goods = varied(rng, pick(rng, ((164, 88, 64), (170, 168, 162), (190, 150, 100), (214, 206, 190), (120, 130, 140))))
    rows, width = int(rng.integers(2, 6)), float(rng.uniform(3.5, 5.5))
    pen.rectangle(-width / 2 - 0.2, -0.6, width / 2 + 0.2, 0, (150, 116, 76))
    for row in range(rows):
        top = -0.6 - 0.75 * (row + 1)
        pen.rectangle(-width / 2, top, width / 2, top + 0.75, scaled(goods, float(rng.uniform(0.88, 1.08))))
        pen.line([(-width / 2, top), (width / 2, top)], 0.06, scaled(goods, 0.65))
    pen.rectangle(width / 4, -0.6 - 0.75 * rows, width / 2, -0.6, (0, 0, 0, 40))


def _pipes(pen: Pen, rng: np.random.Generator) -> None:
    """A pile of pipes seen from their ends: round, and often bright."""
    colour, radius = (_bright(rng) if chance(rng, 0.6) else (150, 148, 144)), float(rng.uniform(0.4, 0.8))
    for row in range(3):
        for index in range(4 - row):
            x, y = (index - (3 - row) / 2) * 2.05 * radius, -radius - row * 1.75 * radius
            pen.ellipse(x, y, radius, radius, scaled(colour, 0.95))
            pen.ellipse(x, y, radius * 0.72, radius * 0.72, scaled(colour, 0.35))


def _work_lamp(pen: Pen, rng: np.random.Generator) -> None:
    height, colour = float(rng.uniform(5, 7)), _bright(rng)
    for x in (-1.0, 0.0, 1.0):
        pen.line([(0, -2.5), (x, 0)], 0.14, (50, 50, 52))
    pen.line([(0, -2.5), (0, -height)], 0.16, (60, 60, 62))
    pen.rectangle(-0.75, -height - 1.0, 0.75, -height + 0.1, colour)
    pen.rectangle(-0.55, -height - 0.82, 0.55, -height - 0.1, (255, 252, 226))


def _mixer(pen: Pen, rng: np.random.Generator) -> None:
    colour = _bright(rng)
    for x in (-1.3, 1.3):
        pen.line([(0, -2.4), (x, 0)], 0.25, (60, 60, 62))
    pen.at(0, -3.2, 1, float(rng.uniform(-0.6, 0.6))).blob(
        [(-0.8, -1.8), (0.8, -1.8), (1.6, 0), (1.0, 1.4), (-1.0, 1.4), (-1.6, 0)], colour
    )
    pen.ellipse(1.7, -0.6, 0.6, 0.6, (40, 40, 42))


def _wheelbarrow(pen: Pen, rng: np.random.Generator) -> None:
    colour = _bright(rng)
    pen.polygon([(-2.0, -2.4), (1.6, -2.4), (1.0, -1.0), (-1.0, -1.0)], colour)
    pen.line([(-3.4, -2.0), (1.8, -0.7)], 0.2, (80, 70, 60))
    pen.line([(-1.2, -1.0), (-1.4, 0)], 0.2, (60, 60, 62))
    pen.ellipse(1.8, -0.6, 0.62, 0.62, (36, 36, 38))


def _loose_helmet(pen: Pen, rng: np.random.Generator) -> None:
    colour = _bright(rng)
    head = Head(float(rng.uniform(-math.pi, math.pi)), 0.2, colour, colour)
    # the rim of a helmet on a head lies 0.2 above the middle of the head
    draw_helmet(pen.at(0, 0.18), head, pick(rng, tuple(HELMETS)[:3]), colour, colour, "none", -1.0)


def _table(pen: Pen, rng: np.random.Generator) -> None:
    """A trestle table with papers, a bucket or a helmet that nobody wears."""
    wood = varied(rng, (170, 132, 84))
    for x in (-1.9, 1.9):
        pen.line([(x, -3), (x - 0.4, 0)], 0.2, scaled(wood, 0.7))
        pen.line([(x, -3), (x + 0.4, 0)], 0.2, scaled(wood, 0.7))
    pen.rectangle(-2.6, -3.3, 2.6, -3.0, wood)
    pen.rectangle(-1.6, -3.42, -0.2, -3.3, _WHITE)
    if chance(rng, 0.4):
        _loose_helmet(pen.at(1.1, -3.3), rng)
    else:
        _bucket(pen.at(1.1, -3.3, 0.7), rng)


def _hook_board(pen: Pen, rng: np.random.Generator) -> None:
    """A board on two posts with coats and helmets on its hooks."""
    for x in (-1.8, 1.8):
        pen.line([(x, 0), (x, -7)], 0.22, (120, 100, 76))
    pen.rectangle(-2.2, -7.2, 2.2, -6.2, (160, 130, 90))
    for x in (-1.3, 0.0, 1.3):
        if chance(rng, 0.25):
            _loose_helmet(pen.at(x, -5.9), rng)
        elif chance(rng, 0.5):
            pen.blob(
                [(x - 0.2, -6.4), (x + 0.2, -6.4), (x + 0.6, -3.2), (x - 0.6, -3.2)],
                varied(rng, pick(rng, CLOTHS)),
            )


def _post_rail(pen: Pen, rng: np.random.Generator) -> None:
    for x in (-5, 0, 5):
        pen.line([(x, 0), (x, -4.6)], 0.2, (200, 176, 60))
    for y in (-2.4, -4.5):
        pen.line([(-6, y), (6, y)], 0.16, (200, 176, 60))


CLUTTER: tuple[Callable[[Pen, np.random.Generator], None], ...] = (
    _cone,
    _cone,
    _bucket,
    _bucket,
    _drum,
    _ball,
    _gas_bottle,
    _bollard,
    _round_sign,
    _triangle_sign,
    _barrier,
    _pallet,
    _pallet,
    _pipes,
    _work_lamp,
    _mixer,
    _wheelbarrow,
    _table,
    _hook_board,
    _post_rail,
)
"""Drawing functions, each for something that stands on the pen's origin; common things stand twice."""
