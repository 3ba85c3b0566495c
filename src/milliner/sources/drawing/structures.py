"""What stands on sites: concrete frames, scaffolding, cranes, facades, racks, machines. In head heights."""

import math

import numpy as np

from milliner.sources.drawing.palette import BRIGHT, CLOTHS, chance, faded, mixed, pick, scaled, varied
from milliner.sources.drawing.pen import Colour, Pen

CONCRETES: tuple[Colour, ...] = ((176, 172, 164), (150, 148, 144), (196, 190, 178), (132, 128, 124))
BRICKS: tuple[Colour, ...] = ((158, 84, 62), (178, 112, 80), (128, 66, 54), (190, 160, 120))
STOREY = 12.0


def draw_frame_building(pen: Pen, rng: np.random.Generator, left: float, right: float, floors: int) -> None:
    """A shell of slabs and columns with some bays walled up, standing on y = 0."""
    concrete = varied(rng, pick(rng, CONCRETES))
    inside, brick = scaled(concrete, float(rng.uniform(0.35, 0.6))), varied(rng, pick(rng, BRICKS))
    bays = max(1, round((right - left) / 14))
    step = (right - left) / bays
    pen.rectangle(left, -STOREY * floors, right, 0, inside)
    for floor in range(floors):
        bottom = -STOREY * floor
        for bay in range(bays):
            x = left + bay * step
            if chance(rng, 0.3):
                filled = brick if chance(rng, 0.6) else mixed(concrete, inside, 0.4)
                pen.rectangle(x, bottom - STOREY * float(rng.uniform(0.3, 1)), x + step, bottom, filled)
            pen.rectangle(x - 0.6, bottom - STOREY, x + 0.6, bottom, scaled(concrete, 0.92))
        pen.rectangle(left - 1, bottom - STOREY - 0.6, right + 1, bottom - STOREY + 0.7, concrete)
        pen.rectangle(left, bottom - STOREY + 0.7, right, bottom - STOREY + 2.0, (0, 0, 0, 60))
        if chance(rng, 0.5):
            pen.line([(left, bottom - STOREY - 4.5), (right, bottom - STOREY - 4.5)], 0.25, (210, 190, 60))
    for x in np.linspace(left, right, bays * 2):
        pen.line([(x, -STOREY * floors - 3), (x, -STOREY * floors)], 0.15, (110, 80, 64))


def draw_scaffold(pen: Pen, rng: np.random.Generator, left: float, right: float, lifts: int) -> None:
    """Standards, ledgers, boards and some braces; sometimes netting."""
    steel = varied(rng, pick(rng, ((150, 154, 158), (120, 122, 126), (190, 170, 60), (160, 90, 50))))
    lift, bay = 8.5, float(rng.uniform(7, 10))
    if chance(rng, 0.3):
        net = pick(rng, ((60, 130, 80), (70, 110, 160), (210, 214, 210), (220, 120, 40)))
        pen.rectangle(left, -lift * lifts, right, -2, faded(net, 0.55))
    posts = np.arange(left, right + 0.1, bay)
    for level in range(1, lifts + 1):
        pen.rectangle(left, -lift * level - 0.25, right, -lift * level + 0.3, (166, 132, 84))
        pen.line([(left, -lift * level - 4.4), (right, -lift * level - 4.4)], 0.22, steel)
    for index, x in enumerate(posts):
        pen.line([(x, 0), (x, -lift * lifts - 4.5)], 0.32, steel)
        if index + 1 < len(posts) and chance(rng, 0.4):
            low = lift * int(rng.integers(lifts))
            pen.line([(x, -low), (x + bay, -low - lift)], 0.2, scaled(steel, 0.85))


def draw_crane(pen: Pen, rng: np.random.Generator, height: float) -> None:
    """A tower crane with its jib, standing on the origin."""
    colour = varied(rng, pick(rng, BRIGHT))
    side = pick(rng, (-1, 1))
    pen.rectangle(-1.0, -height, -0.7, 0, colour)
    pen.rectangle(0.7, -height, 1.0, 0, colour)
    zigzag = [((-1) ** step * 0.85, -height * step / 24) for step in range(25)]
    pen.line(zigzag, 0.22, colour)
    pen.polygon([(-1, -height), (1, -height), (0, -height - 6)], colour)
    jib = [
        (-side * 12, -height),
        (side * 40, -height),
        (side * 40, -height - 0.8),
        (side * 1.0, -height - 2.2),
    ]
    pen.polygon([*jib, (-side * 12, -height - 1)], faded(colour, 0.75))
    pen.line([(0, -height - 6), (side * 30, -height - 1)], 0.12, (60, 60, 60))
    pen.rectangle(-side * 12 - 1.5, -height - 0.5, -side * 12 + 1.5, -height + 3, (120, 120, 120))
    pen.line([(side * 26, -height), (side * 26, -height * 0.55)], 0.1, (50, 50, 50))


def draw_facade(pen: Pen, rng: np.random.Generator, left: float, right: float, floors: int) -> None:
    """A house front with windows and perhaps a shop below."""
    wall = varied(rng, pick(rng, (*CONCRETES, *BRICKS, (220, 206, 176), (206, 180, 160), (170, 186, 190))))
    glass = pick(rng, ((70, 84, 98), (120, 146, 164), (44, 50, 58)))
    pen.rectangle(left, -STOREY * floors, right, 0, wall)
    pen.rectangle(left, -STOREY * floors - 1, right, -STOREY * floors + 0.5, scaled(wall, 0.8))
    count = max(1, round((right - left) / 9))
    step = (right - left) / count
    for floor in range(floors):
        top = -STOREY * floor - 9.5
        for index in range(count):
            x = left + (index + 0.25) * step
            bottom = top + (9.5 if floor == 0 and chance(rng, 0.3) else 6.0)
            pen.rectangle(x - 0.3, top - 0.3, x + step / 2 + 0.3, bottom + 0.3, scaled(wall, 1.12))
            pen.rectangle(x, top, x + step / 2, bottom, scaled(glass, float(rng.uniform(0.8, 1.2))))
            pen.line([(x + step / 4, top), (x + step / 4, bottom)], 0.2, scaled(wall, 1.1))
    if chance(rng, 0.5):
        awning = varied(rng, pick(rng, BRIGHT + CLOTHS))
        pen.polygon([(left, -10.5), (right, -10.5), (right + 0.5, -8.8), (left - 0.5, -8.8)], awning)


def draw_container(pen: Pen, rng: np.random.Generator, left: float, length: float) -> None:
    """A site cabin or a shipping container on y = 0."""
    colour = varied(rng, pick(rng, BRIGHT + CLOTHS))
    pen.rectangle(left, -10.5, left + length, 0, colour)
    for x in np.arange(left, left + length, 1.6):
        pen.line([(x, -10), (x, -0.5)], 0.3, faded((0, 0, 0), 0.14))
    if chance(rng, 0.6):
        pen.rectangle(left + length * 0.2, -8, left + length * 0.45, -4, (90, 110, 126))
    pen.rectangle(left + length * 0.65, -9, left + length * 0.82, 0, scaled(colour, 0.75))
    pen.rectangle(left, -10.8, left + length, -10.2, scaled(colour, 0.7))


def draw_excavator(pen: Pen, rng: np.random.Generator) -> None:
    """A tracked digger standing on the origin."""
    colour = varied(rng, pick(rng, BRIGHT))
    side = pick(rng, (-1, 1))
    pen.limb((-6, -1.4), (6, -1.4), 2.8, 2.8, (48, 46, 46))
    pen.rectangle(-5, -7.5, 5, -3, colour)
    cab = sorted((side * 0.5, side * 5.0))
    pen.rectangle(cab[0], -11.5, cab[1], -4.5, scaled(colour, 0.85))
    pen.rectangle(cab[0] + 0.6, -10.8, cab[1] - 0.6, -7.2, (110, 134, 150))
    pen.limb((side * 4, -6), (side * 13, -15), 1.9, 1.4, colour)
    pen.limb((side * 13, -15), (side * 18, -6), 1.4, 1.0, scaled(colour, 0.9))
    bucket = [(side * 17, -6.5), (side * 20, -6), (side * 18.5, -1.5), (side * 15.5, -2.5)]
    pen.polygon(bucket, (70, 68, 66))


def draw_tree(pen: Pen, rng: np.random.Generator, height: float) -> None:
    """A broad tree or a bush standing on the origin."""
    green = varied(rng, pick(rng, ((70, 104, 56), (96, 120, 62), (52, 84, 54), (140, 124, 60))))
    pen.line([(0, 0), (0, -height * 0.5)], height * 0.06, (84, 64, 48))
    for _ in range(7):
        x, y = rng.normal(0, height * 0.17), -height * float(rng.uniform(0.42, 0.85))
        radius = height * float(rng.uniform(0.12, 0.22))
        pen.ellipse(float(x), y, radius, radius * 0.9, scaled(green, float(rng.uniform(0.8, 1.15))))


def draw_rack(pen: Pen, rng: np.random.Generator, left: float, right: float) -> None:
    """Pallet racks with boxes and drums on three levels."""
    steel = varied(rng, pick(rng, ((36, 80, 150), (230, 110, 40), (120, 124, 128), (60, 120, 80))))
    for level in range(3):
        y = -7.0 * level
        x = left
        while x < right - 3:
            width = float(rng.uniform(2, 5))
            if chance(rng, 0.8):
                goods = varied(rng, pick(rng, BRIGHT + CLOTHS + ((186, 146, 96), (196, 158, 110))))
                pen.rectangle(x, y - float(rng.uniform(2, 5.4)), x + width, y, goods)
            x += width + 0.3
        pen.rectangle(left, y - 0.1, right, y + 0.6, (220, 110, 40))
    for x in np.linspace(left, right, max(2, round((right - left) / 12))):
        pen.line([(x, 0.5), (x, -22)], 0.6, steel)


def draw_van(pen: Pen, rng: np.random.Generator) -> None:
    """A parked van, its wheels on y = 0."""
    colour = varied(rng, pick(rng, BRIGHT + CLOTHS))
    side = pick(rng, (-1, 1))
    shape = [(-10, -1.2), (-10, -8.2), (4, -8.4), (7, -5), (10, -4.4), (10.2, -1.2)]
    pen.polygon([(side * x, y) for x, y in shape], colour)
    pen.polygon([(side * x, y) for x, y in [(1.5, -7.6), (3.8, -7.6), (6.2, -5), (1.5, -5)]], (60, 74, 88))
    for x in (-6.5, 6.5):
        pen.ellipse(side * x, -1.4, 1.5, 1.5, (30, 30, 32))
        pen.ellipse(side * x, -1.4, 0.8, 0.8, (150, 150, 152))
    pen.line([(-side * 10, -3.4), (side * 9, -3.4)], 0.2, scaled(colour, 0.7))


def draw_mound(pen: Pen, rng: np.random.Generator, colour: Colour, width: float, height: float) -> None:
    """A heap of soil or gravel on y = 0."""
    turns = np.linspace(math.pi, 0, 12)
    crest = np.abs(np.sin(turns)) * height * rng.uniform(0.75, 1.1, 12)
    points = np.stack([np.cos(turns) * width, -crest], axis=1)
    pen.polygon(points, colour)
    pen.polygon(np.concatenate([points[6:], [[0.1 * width, 0.0]]]), (0, 0, 0, 40))
