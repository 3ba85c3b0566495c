"""Composition: a camera, a place, workers in it, things among them, and the known box of every head."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from PIL import Image

from milliner.sources.drawing.backdrop import paint_backdrop
from milliner.sources.drawing.clutter import CLUTTER
from milliner.sources.drawing.palette import chance, pick, varied
from milliner.sources.drawing.pen import Pen
from milliner.sources.drawing.view import View
from milliner.sources.drawing.wear import apply_wear, encode_jpeg, sample_wear
from milliner.sources.drawing.worker import (
    HEAD_LEVEL,
    Pose,
    Worker,
    draw_worker,
    head_level,
    sample_pose,
    sample_worker,
)

LABELS: Final = ("helmet", "nohelmet")
OVERSAMPLING: Final = 2
"""Scenes are drawn this many times larger and then averaged down, which smooths every edge."""

_SMALLEST, _LARGEST = 8.5, 84.0  # head heights in a picture 320 pixels wide


@dataclass(frozen=True)
class Box:
    """A head in pixels of the picture: `label` is `helmet` where one is worn on it, else `head`."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Scene:
    """One drawn picture as a JPEG file, its class, and its heads."""

    label: str
    encoded: bytes
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class _Placed:
    """Somebody at a place: the middle of the feet is x, the head height there is `unit`."""

    worker: Worker
    pose: Pose
    x: float
    unit: float


def draw_scene(seed: int, label: str, side: int = 320) -> Scene:
    """Draws a square picture of workers who all wear helmets (`helmet`) or all do not (`nohelmet`).

    The same seed, label and side give the same bytes. `seed` is 0 or more, `side` 64 to 2048 pixels; raises
    ValueError otherwise and for other labels. Everything but what is on the heads is drawn from the same
    distributions for both labels.
    """
    if label not in LABELS:
        raise ValueError(f"a scene's label must be one of {', '.join(LABELS)}, not {label!r}")
    if seed < 0:
        raise ValueError(f"a scene's seed must be 0 or more, not {seed}")
    if not 64 <= side <= 2048:
        raise ValueError(f"a scene's side must be 64 to 2048 pixels, not {side}")
    rng = np.random.default_rng([seed, LABELS.index(label)])
    canvas = side * OVERSAMPLING
    main = float(np.clip(math.exp(rng.normal(math.log(60), 0.45)), _SMALLEST + 2, _LARGEST))
    view, people = _cast(rng, canvas, main * canvas / 320, label == "helmet")
    image = Image.new("RGB", (canvas, canvas))
    paint_backdrop(image, view, rng)
    if chance(rng, 0.45):
        image = _out_of_focus(image, int(rng.integers(2, 5)))
    heads = _draw_in_depth(image, view, people, rng)
    _draw_foreground(Pen(image), view, heads, rng)
    wear = sample_wear(rng, main)
    picture = apply_wear(image.reduce(OVERSAMPLING), wear, rng, rng)
    name = "helmet" if label == "helmet" else "head"
    boxes = tuple(Box(name, *(edge / OVERSAMPLING for edge in head)) for head in heads)
    return Scene(label, encode_jpeg(picture, wear.quality, wear.subsampling), boxes)


def _out_of_focus(image: Image.Image, coarseness: int) -> Image.Image:
    """A soft copy: smaller by that factor and back, which is much faster than a blur."""
    return image.reduce(coarseness).resize(image.size, Image.Resampling.BILINEAR)


def _cast(rng: np.random.Generator, canvas: int, main: float, helmeted: bool) -> tuple[View, list[_Placed]]:
    """A camera that shows the main head, and one to four people before it."""
    light = pick(rng, (-1.0, 1.0))
    lead = _placed(rng, canvas, main, 0.1, light, helmeted)
    lead = replace(lead, x=canvas * float(rng.uniform(0.2, 0.8)))
    high = head_level(lead.worker, lead.pose)
    horizon = canvas * float(rng.uniform(0.2, 0.62))
    level = horizon + main * float(rng.uniform(-1.5, 1.6) if chance(rng, 0.7) else rng.uniform(2.0, 8.0))
    level = min(max(level, main * 0.95), canvas - main * 1.0, canvas * 0.66)
    camera = max(high + (level - horizon) / main, 3.5)
    horizon = level - (camera - high) * main  # moves only where the camera would be lower than the hips
    pitch = min(max(0.1 + 0.035 * (camera - HEAD_LEVEL), 0.04), 0.4)
    people = [replace(lead, pose=replace(lead.pose, pitch=pitch))]
    crowd = pick(rng, (0, 0, 1, 1, 1, 2, 2, 3))
    for _ in range(crowd * 4):
        unit = max(main * math.exp(float(rng.uniform(-0.7, 0.05))), _SMALLEST * canvas / 320)
        candidate = _placed(rng, canvas, unit, pitch, light, helmeted)
        if len(people) <= crowd and _fits(candidate, people, horizon, camera, canvas):
            people.append(candidate)
    far = min(person.unit for person in people) * float(rng.uniform(0.22, 0.8))
    return View(canvas, canvas, horizon, camera, far, light, pitch), people


def _placed(rng: np.random.Generator, canvas: int, unit: float, pitch: float, light: float, helmeted: bool) -> _Placed:
    worker, pose = sample_worker(rng, helmeted), sample_pose(rng, pitch, light)
    return _Placed(worker, pose, canvas * float(rng.uniform(0.06, 0.94)), unit)


def _fits(candidate: _Placed, others: list[_Placed], horizon: float, camera: float, canvas: int) -> bool:
    """Whether the head is inside the picture and no one in front hides it, nor it anyone's head behind."""
    level = horizon + (camera - head_level(candidate.worker, candidate.pose)) * candidate.unit
    room = 0.9 * candidate.unit
    if not (room < level < canvas - room and room < candidate.x < canvas - room):
        return False
    return all(
        abs(candidate.x - other.x) > 1.5 * max(candidate.unit, other.unit) + 0.3 * min(candidate.unit, other.unit)
        for other in others
    )


def _draw_in_depth(
    image: Image.Image, view: View, people: list[_Placed], rng: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """Draws people and clutter from the back to the front; the heads' boxes in pixels, within the image."""
    pen = Pen(image)
    order = sorted(people, key=lambda person: person.unit)
    things = [(float(rng.uniform(view.far, order[-1].unit * 1.15)), pick(rng, CLUTTER)) for _ in range(_count(rng))]
    heads: list[tuple[float, float, float, float]] = []
    for person in order:
        for unit, thing in sorted((item for item in things if item[0] <= person.unit), key=lambda item: item[0]):
            thing(pen.at(float(rng.uniform(0, view.width)), view.ground(unit), unit), rng)
        things = [item for item in things if item[0] > person.unit]
        spot = pen.at(person.x, view.ground(person.unit), person.unit)
        left, top, right, bottom = draw_worker(spot, person.worker, person.pose)
        heads.append((max(left, 0.0), max(top, 0.0), min(right, view.width), min(bottom, view.height)))
    for unit, thing in things:  # nearer than everybody: only where it hides no head
        x = float(rng.uniform(0, view.width))
        if all(abs(x - (head[0] + head[2]) / 2) > 2.5 * unit for head in heads):
            thing(pen.at(x, view.ground(unit), unit), rng)
    return heads


def _count(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 5))


def _draw_foreground(
    pen: Pen, view: View, heads: list[tuple[float, float, float, float]], rng: np.random.Generator
) -> None:
    """Rails, poles and netting close to the camera, beside the heads or thinly across them."""
    lowest = max(head[3] for head in heads)
    if chance(rng, 0.15) and lowest < view.height * 0.75:
        top = float(rng.uniform(lowest + 0.05 * view.height, view.height * 0.95))
        colour = varied(rng, pick(rng, ((200, 60, 40), (236, 150, 40), (120, 124, 126), (60, 110, 80))))
        pen.rectangle(0, top, view.width, top + view.height * 0.03, colour)
        pen.rectangle(0, top + view.height * 0.09, view.width, top + view.height * 0.11, colour)
    if chance(rng, 0.2):
        x = float(rng.uniform(0, view.width))
        narrowest = min(head[2] - head[0] for head in heads)
        width = min(view.width * float(rng.uniform(0.008, 0.03)), narrowest * 0.3)
        pen.rectangle(x, 0, x + width, view.height, varied(rng, (140, 142, 146)))
        pen.rectangle(x + width * 0.6, 0, x + width, view.height, (0, 0, 0, 60))
    if chance(rng, 0.1):
        for y in np.arange(0, view.height, view.height / 26):
            pen.line([(0, y), (view.width, y + view.height * 0.02)], 1.5, (220, 120, 50, 90))
