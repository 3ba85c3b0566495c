"""What workers wear below the head: shirts, jackets, overalls, hi-vis vests. The same for everybody."""

import math
from dataclasses import dataclass

import numpy as np

from milliner.sources.drawing.palette import BRIGHT, CLOTHS, REFLECTIVE, chance, pick, scaled, varied
from milliner.sources.drawing.pen import Colour, Pen

_TAPE: Colour = (222, 224, 220)


@dataclass(frozen=True)
class Outfit:
    """Colours and kinds of clothes."""

    top: Colour
    trousers: Colour
    boots: Colour
    vest: Colour | None
    gloves: Colour | None
    load: Colour
    short_sleeves: bool
    leg_bands: bool
    straps: bool
    """A fall-arrest harness."""


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Work clothes; half of the people wear a hi-vis vest."""
    top = varied(rng, pick(rng, BRIGHT if chance(rng, 0.3) else CLOTHS))
    return Outfit(
        top=top,
        trousers=top if chance(rng, 0.2) else varied(rng, pick(rng, CLOTHS)),
        boots=varied(rng, pick(rng, ((44, 36, 30), (92, 66, 40), (28, 28, 30), (160, 120, 60)))),
        vest=varied(rng, pick(rng, REFLECTIVE), 8) if chance(rng, 0.5) else None,
        gloves=varied(rng, pick(rng, BRIGHT + CLOTHS)) if chance(rng, 0.4) else None,
        load=varied(rng, pick(rng, BRIGHT + CLOTHS)),
        short_sleeves=chance(rng, 0.3),
        leg_bands=chance(rng, 0.25),
        straps=chance(rng, 0.12),
    )


def draw_torso(pen: Pen, outfit: Outfit, build: float, yaw: float, height: float, light: float) -> None:
    """Shoulders to hips on a pen whose origin is between the hips."""
    frontal, sideways = abs(math.cos(yaw)), abs(math.sin(yaw))
    shoulder = build * (0.95 * frontal + 0.5 * sideways)
    waist = build * (0.66 * frontal + 0.52 * sideways)
    outline = [(-0.22, -height - 0.28), (0.22, -height - 0.28), (shoulder, -height + 0.14)]
    outline += [(shoulder * 0.98, -height * 0.6), (waist, -0.3), (waist, 0.32)]
    outline += [
        (-waist, 0.32),
        (-waist, -0.3),
        (-shoulder * 0.98, -height * 0.6),
        (-shoulder, -height + 0.14),
    ]
    pen.blob(outline, outfit.top)
    if outfit.vest is not None:
        _draw_vest(pen, outfit.vest, shoulder * 0.86, waist * 1.05, height, math.cos(yaw))
    elif math.cos(yaw) > 0.3:
        pen.line([(0, -height - 0.15), (0, 0.2)], 0.05, scaled(outfit.top, 0.7))
    if outfit.straps:
        for side in (-1, 1):
            pen.line([(side * shoulder * 0.6, -height), (-side * waist * 0.3, -0.2)], 0.12, (52, 48, 60))
    dark_edge = -light * waist
    pen.polygon(
        [
            (dark_edge, 0.3),
            (-light * shoulder, -height + 0.05),
            (-light * 0.3, -height),
            (-light * 0.25, 0.3),
        ],
        (0, 0, 10, 44),
    )


def _draw_vest(pen: Pen, colour: Colour, shoulder: float, waist: float, height: float, towards: float) -> None:
    body = np.array([(shoulder, -height - 0.08), (shoulder * 1.02, -height * 0.55), (waist, 0.15)])
    neck = [(0.0, -height * 0.7), (0.3, -height - 0.22)] if towards > 0.2 else [(0.25, -height - 0.22)]
    left = body[::-1] * (-1, 1)
    mirrored = [(-x, y) for x, y in neck if x > 0]
    pen.polygon(np.concatenate([mirrored, left[::-1], body[::-1], neck[::-1]]), colour)
    for level in (-height * 0.42, -height * 0.1):
        edge = shoulder + (waist - shoulder) * (1 + level / height)
        pen.rectangle(-edge, level - 0.11, edge, level + 0.11, _TAPE)
    for side in (-1, 1):
        pen.line([(side * shoulder * 0.6, -height - 0.1), (side * shoulder * 0.55, -height * 0.42)], 0.2, _TAPE)
    if towards > 0.2:
        pen.line([(0, -height * 0.7), (0, 0.15)], 0.05, scaled(colour, 0.6))
