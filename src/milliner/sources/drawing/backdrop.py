"""The places: building sites, earthworks, streets, halls, rooms and walls, from the sky to the ground."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from milliner.sources.drawing import structures
from milliner.sources.drawing.palette import BRIGHT, CLOTHS, chance, faded, mixed, pick, scaled, varied
from milliner.sources.drawing.pen import Colour, Pen
from milliner.sources.drawing.view import View

_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((96, 150, 212), (196, 218, 236)),
    ((126, 160, 196), (226, 228, 226)),
    ((176, 182, 188), (214, 216, 216)),
    ((146, 154, 164), (192, 194, 194)),
    ((84, 96, 132), (236, 176, 130)),
    ((226, 226, 224), (240, 238, 232)),
    ((40, 50, 78), (110, 110, 130)),
)
_SOILS: tuple[Colour, ...] = (
    (166, 138, 104),
    (134, 112, 88),
    (186, 168, 138),
    (120, 106, 94),
    (150, 110, 80),
)
_PAVINGS: tuple[Colour, ...] = ((120, 120, 122), (148, 146, 142), (96, 96, 100), (170, 166, 158))


def paint_backdrop(image: Image.Image, view: View, rng: np.random.Generator) -> None:
    """Covers the whole image with one kind of place."""
    pick(rng, _PLACES)(image, Pen(image), view, rng)


def _gradient(image: Image.Image, top: float, bottom: float, above: Colour, below: Colour) -> None:
    """Fills the rows between `top` and `bottom` from one colour to the other."""
    first, last = max(0, round(top)), min(image.height, round(bottom))
    if last > first:
        ramp = np.linspace(above[:3], below[:3], last - first).astype(np.uint8)[:, None]
        image.paste(Image.fromarray(ramp).resize((image.width, last - first), Image.Resampling.NEAREST), (0, first))


def _sky(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator) -> None:
    above, below = pick(rng, _SKIES)
    _gradient(image, 0, view.base, varied(rng, above), varied(rng, below))
    if chance(rng, 0.5):
        for _ in range(int(rng.integers(3, 9))):
            x, y = float(rng.uniform(0, view.width)), float(rng.uniform(0, max(view.base, 1)))
            for _ in range(3):
                x += float(rng.uniform(-0.06, 0.06)) * view.width
                pen.ellipse(
                    x,
                    y,
                    view.width * float(rng.uniform(0.05, 0.12)),
                    view.height * 0.025,
                    (255, 255, 255, 60),
                )


def _ground(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator, colour: Colour) -> None:
    near = varied(rng, colour)
    _gradient(image, view.base, view.height, scaled(mixed(near, (200, 200, 200), 0.15), 1.05), scaled(near, 0.85))
    depth = max(view.height - view.base, 1.0)
    for _ in range(int(rng.integers(6, 16))):  # stains, ruts and puddles, flat as the ground is
        place = float(rng.random()) ** 1.5
        y = view.base + place * depth
        size = (0.02 + 0.12 * place) * view.width * float(rng.uniform(0.4, 1.6))
        ink = pick(rng, ((0, 0, 0, 26), (255, 255, 255, 24), (90, 70, 50, 40), (170, 190, 206, 50)))
        pen.ellipse(float(rng.uniform(0, view.width)), y, size, size * 0.16, ink)


def _at_base(pen: Pen, view: View) -> Pen:
    """A pen on the far end of the ground, at the left edge, in head heights of that depth."""
    return pen.at(0, view.base, view.far)


def _across(view: View) -> float:
    return view.width / view.far


def _skyline(pen: Pen, view: View, rng: np.random.Generator) -> None:
    haze = varied(rng, (150, 158, 168))
    x = 0.0
    while x < view.width:
        width = view.width * float(rng.uniform(0.04, 0.14))
        top = view.base - view.height * float(rng.uniform(0.05, 0.3))
        pen.rectangle(x, top, x + width, view.base, scaled(haze, float(rng.uniform(0.85, 1.1))))
        x += width


def _building_site(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator) -> None:
    _sky(image, pen, view, rng)
    if chance(rng, 0.5):
        _skyline(pen, view, rng)
    _ground(image, pen, view, rng, pick(rng, _SOILS + _PAVINGS))
    far, across = _at_base(pen, view), _across(view)
    if chance(rng, 0.6):
        structures.draw_crane(far.at(across * float(rng.uniform(0.1, 0.9)), 0), rng, float(rng.uniform(40, 70)))
    left = across * float(rng.uniform(-0.3, 0.4))
    right = left + across * float(rng.uniform(0.5, 1.0))
    structures.draw_frame_building(far, rng, left, right, int(rng.integers(1, 6)))
    if chance(rng, 0.7):
        structures.draw_scaffold(far, rng, left + 2, left + (right - left) * float(rng.uniform(0.3, 1)), 3)
    if chance(rng, 0.5):
        structures.draw_container(far, rng, across * float(rng.uniform(-0.1, 0.8)), float(rng.uniform(20, 34)))


def _earthworks(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator) -> None:
    _sky(image, pen, view, rng)
    far, across = _at_base(pen, view), _across(view)
    if chance(rng, 0.5):
        _skyline(pen, view, rng)
    for x in rng.uniform(0, across, int(rng.integers(2, 7))):
        structures.draw_tree(far.at(float(x), 0), rng, float(rng.uniform(9, 26)))
    soil = pick(rng, _SOILS)
    _ground(image, pen, view, rng, soil)
    for _ in range(int(rng.integers(1, 4))):
        spot = far.at(across * float(rng.random()), 0.5)
        heap = scaled(varied(rng, soil), float(rng.uniform(0.75, 1.1)))
        structures.draw_mound(spot, rng, heap, float(rng.uniform(8, 26)), float(rng.uniform(4, 12)))
    if chance(rng, 0.8):
        structures.draw_excavator(far.at(across * float(rng.uniform(0.15, 0.85)), 1), rng)
    if chance(rng, 0.5):
        structures.draw_container(far, rng, across * float(rng.uniform(-0.1, 0.8)), float(rng.uniform(20, 34)))


def _street(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator) -> None:
    _sky(image, pen, view, rng)
    _ground(image, pen, view, rng, pick(rng, _PAVINGS))
    far, across = _at_base(pen, view), _across(view)
    x = -float(rng.uniform(0, 10))
    while x < across:
        width = float(rng.uniform(20, 40))
        structures.draw_facade(far, rng, x, x + width, int(rng.integers(2, 5)))
        x += width
    kerb = view.ground(view.far * 1.25)
    pen.rectangle(0, view.base, view.width, kerb, scaled(varied(rng, (170, 166, 160)), 1.0))
    pen.rectangle(0, kerb, view.width, kerb + view.far * 0.4, (110, 108, 106))
    for x in rng.uniform(0, across, int(rng.integers(0, 3))):
        structures.draw_tree(far.at(float(x), 1), rng, float(rng.uniform(14, 24)))
    if chance(rng, 0.6):
        structures.draw_van(far.at(across * float(rng.random()), 2.5), rng)
    line = view.ground(view.far * 2.2)
    for dash in np.arange(0, view.width, view.far * 8):
        pen.rectangle(dash, line, dash + view.far * 4.5, line + view.far * 0.35, (236, 234, 226, 200))


def _hall(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator) -> None:
    wall = varied(rng, pick(rng, ((166, 172, 176), (196, 196, 190), (120, 130, 136), (150, 160, 150))))
    _gradient(image, 0, view.base, scaled(wall, 0.6), wall)
    _ground(image, pen, view, rng, pick(rng, _PAVINGS))
    far, across = _at_base(pen, view), _across(view)
    for x in np.arange(0, across, 2.2):
        far.line([(x, -60), (x, 0)], 0.2, (0, 0, 0, 22))
    if chance(rng, 0.7):
        far.rectangle(0, -27, across, -22.5, (226, 236, 240))
        for x in np.arange(0, across, 6):
            far.line([(x, -27), (x, -22.5)], 0.4, scaled(wall, 0.7))
    for level in (-36.0, -46.0):
        far.rectangle(0, level, across, level + 1, scaled(wall, 0.5))
        far.line([(x, level - 5 * (i % 2)) for i, x in enumerate(np.arange(0, across, 4))], 0.4, scaled(wall, 0.45))
    for x in np.arange(float(rng.uniform(0, 16)), across, 18):
        far.rectangle(x, -32, x + 2.4, -31, (255, 252, 236))
        far.ellipse(x + 1.2, -31, 4.0, 1.6, (255, 252, 230, 60))
    if chance(rng, 0.7):
        left = across * float(rng.uniform(-0.1, 0.5))
        structures.draw_rack(far, rng, left, left + float(rng.uniform(20, 50)))
    _column_row(far, rng, across)


def _column_row(far: Pen, rng: np.random.Generator, across: float) -> None:
    steel = varied(rng, pick(rng, BRIGHT + CLOTHS))
    for x in np.arange(float(rng.uniform(0, 20)), across, 26):
        far.rectangle(x, -60, x + 1.4, 0.4, steel)
        far.rectangle(x + 0.9, -60, x + 1.4, 0.4, (0, 0, 0, 50))


def _room(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator) -> None:
    """Inside a building under construction: plaster, openings, a ladder, cables."""
    wall = varied(rng, pick(rng, (*structures.CONCRETES, (206, 200, 186), (186, 178, 168))))
    _gradient(image, 0, view.base, scaled(wall, 0.85), wall)
    _ground(image, pen, view, rng, pick(rng, _PAVINGS + _SOILS))
    far, across = _at_base(pen, view), _across(view)
    far.rectangle(0, -40, across, -13.5, scaled(wall, 0.62))
    for _ in range(int(rng.integers(1, 4))):
        x, width = across * float(rng.random()), float(rng.uniform(4, 9))
        low = 0.0 if chance(rng, 0.4) else -4.0
        far.rectangle(x, -10, x + width, low, pick(rng, ((206, 222, 236), (60, 58, 60), (236, 236, 228))))
        far.line([(x, -10), (x + width, -10)], 0.6, scaled(wall, 0.7))
    for _ in range(int(rng.integers(1, 5))):
        x = across * float(rng.random())
        far.rectangle(x, -13.5, x + float(rng.uniform(2, 8)), 0, faded(scaled(wall, 0.9), 0.6))
    x = across * float(rng.random())
    for rail in (0.0, 2.0):
        far.line([(x + rail, 0.5), (x + rail + 1.5, -13)], 0.35, (190, 180, 60))
    for rung in range(1, 12):
        far.line([(x + rung * 0.13, -rung), (x + 2 + rung * 0.13, -rung)], 0.25, (190, 180, 60))
    cable = [(across * t, -12.5 + 1.2 * (t * 5 % 1 - 0.5) ** 2) for t in np.linspace(0, 1, 21).tolist()]
    far.line(cable, 0.15, (40, 40, 40))


def _wall(image: Image.Image, pen: Pen, view: View, rng: np.random.Generator) -> None:
    """A wall close behind: bricks, sheets or panels, perhaps with scaffolding."""
    colour = varied(rng, pick(rng, (*structures.BRICKS, *structures.CONCRETES, *CLOTHS[:4], (70, 110, 150))))
    _gradient(image, 0, view.base, scaled(colour, 1.06), scaled(colour, 0.92))
    _ground(image, pen, view, rng, pick(rng, _SOILS + _PAVINGS))
    far, across = _at_base(pen, view), _across(view)
    courses = float(pick(rng, (0.9, 1.6, 6.0)))
    rows = min(60, int(view.base / view.far / courses) + 1)
    for row in range(rows):
        far.line([(0, -row * courses), (across, -row * courses)], 0.12, faded(scaled(colour, 0.72), 0.8))
    for _ in range(min(150, int(rows * across / courses / 5))):
        row, x = int(rng.integers(rows)), float(rng.uniform(0, across))
        ink = (0, 0, 0, 30) if chance(rng, 0.5) else (255, 255, 255, 30)
        far.rectangle(x, -(row + 1) * courses, x + courses * 2.4, -row * courses, ink)
    if chance(rng, 0.5):
        structures.draw_scaffold(far.at(0, 0.6), rng, -2, across + 2, 4)
    if chance(rng, 0.4):
        x = across * float(rng.random())
        far.rectangle(x, -9, x + 5, 0, pick(rng, ((60, 66, 72), (120, 84, 60), (150, 154, 156))))


_PLACES: tuple[Callable[[Image.Image, Pen, View, np.random.Generator], None], ...] = (
    _building_site,
    _building_site,
    _earthworks,
    _street,
    _hall,
    _room,
    _wall,
)
