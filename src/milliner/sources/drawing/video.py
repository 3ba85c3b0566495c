"""A short film from a fixed camera: people with and without helmets walk by, with nobody there in between."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from milliner.images.files import atomic_file, write_atomically
from milliner.sources.drawing.avi import write_avi
from milliner.sources.drawing.backdrop import paint_backdrop
from milliner.sources.drawing.clutter import CLUTTER
from milliner.sources.drawing.palette import chance, pick
from milliner.sources.drawing.pen import Pen
from milliner.sources.drawing.scene import LABELS, OVERSAMPLING
from milliner.sources.drawing.view import View
from milliner.sources.drawing.wear import Wear, apply_wear, encode_jpeg, sample_wear
from milliner.sources.drawing.worker import Pose, Worker, draw_worker, sample_pose, sample_worker

_PASSAGE = 6.0  # seconds from one passage to the next, about
_STEPS_A_SECOND = 1.7


@dataclass(frozen=True)
class Event:
    """A head in view from `start` to `end`, in seconds: `helmet` where it wears one, else `nohelmet`."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class _Walker:
    """Somebody who crosses the picture from `begin` to `finish` (seconds); `way` 1 is rightwards, -1 left."""

    label: str
    worker: Worker
    pose: Pose
    unit: float
    way: int
    begin: float
    finish: float


def write_video(
    path: Path, seed: int = 0, seconds: float = 30.0, fps: int = 10, size: tuple[int, int] = (640, 360)
) -> tuple[Event, ...]:
    """Writes a Motion-JPEG AVI file and, beside it, its events as JSON (`site.avi`: `site.events.json`).

    `size` is width and height in pixels, each 64 to 2048. An event lasts while at least half of a head's
    breadth is inside the picture; events come in the order in which they start and may overlap. The same
    arguments give the same bytes. Raises ValueError for arguments out of range and for more than 2 GiB.
    """
    count = round(seconds * fps)
    if seed < 0 or fps < 1 or count < 1 or not all(64 <= length <= 2048 for length in size):
        raise ValueError("a video needs a seed of 0 or more, a frame or more, and sides of 64 to 2048 pixels")
    rng = np.random.default_rng([seed, len(LABELS)])
    view = _sample_view(rng, size)
    stage = _paint_stage(rng, view)
    walkers = _schedule(rng, view, count / fps)
    wear = sample_wear(rng, view.height * 0.05)
    wear = replace(wear, exposure=max(wear.exposure, 0.85), quality=max(wear.quality, 60))
    seen: dict[int, list[int]] = {}
    with atomic_file(path) as file:
        write_avi(file, _frames(stage, view, walkers, wear, (seed, fps, count), seen), fps, size)
    events = [Event(walkers[index].label, frames[0] / fps, (frames[-1] + 1) / fps) for index, frames in seen.items()]
    events.sort(key=lambda event: (event.start, event.end))
    listing = json.dumps([asdict(event) for event in events], indent=2) + "\n"
    write_atomically(path.with_suffix(".events.json"), listing.encode())
    return tuple(events)


def _sample_view(rng: np.random.Generator, size: tuple[int, int]) -> View:
    """A camera a little above people's heads, its picture in oversampled pixels."""
    width, height = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    unit = height * 0.11
    horizon = height * float(rng.uniform(0.2, 0.3))
    camera = (height * 0.95 - horizon) / unit
    return View(width, height, horizon, camera, unit * float(rng.uniform(0.4, 0.6)), pick(rng, (-1.0, 1.0)), 0.15)


def _paint_stage(rng: np.random.Generator, view: View) -> Image.Image:
    """The place without people."""
    image = Image.new("RGB", (view.width, view.height))
    paint_backdrop(image, view, rng)
    pen = Pen(image)
    for unit in sorted(rng.uniform(view.far, view.far * 1.4, 4).tolist()):
        pick(rng, CLUTTER)(pen.at(float(rng.uniform(0, view.width)), view.ground(unit), unit), rng)
    return image


def _schedule(rng: np.random.Generator, view: View, seconds: float) -> list[_Walker]:
    """Passages in turn by somebody with and somebody without a helmet; every third has company."""
    passages = max(2, round(seconds / _PASSAGE))
    span = seconds / passages
    walkers = []
    for passage in range(passages):
        begin = span * (passage + float(rng.uniform(0.1, 0.2)))
        walkers.append(_sample_walker(rng, view, LABELS[passage % 2], begin, span * 0.62))
        if passage % 3 == 2:
            later = begin + span * float(rng.uniform(0.05, 0.12))
            walkers.append(_sample_walker(rng, view, pick(rng, LABELS), later, span * 0.62))
    return walkers


def _sample_walker(rng: np.random.Generator, view: View, label: str, begin: float, lasts: float) -> _Walker:
    way = 1 if chance(rng, 0.5) else -1
    pose = sample_pose(rng, view.pitch, view.light)
    pose = replace(pose, yaw=way * float(rng.uniform(0.7, 1.7)), step=0.75, crouch=0.0, look=0.0, arms=("hang", "hang"))
    unit = view.height * float(rng.uniform(0.095, 0.112))
    worker = sample_worker(rng, label == "helmet")
    worker = replace(worker, head=replace(worker.head, hat=None))  # the film's events are beyond doubt: no hats
    return _Walker(label, worker, pose, unit, way, begin, begin + lasts)


def _frames(
    stage: Image.Image,
    view: View,
    walkers: list[_Walker],
    wear: Wear,
    run: tuple[int, int, int],
    seen: dict[int, list[int]],
) -> Iterator[bytes]:
    """JPEG frames; `run` is seed, frames a second, frames; `seen` gets the frames of each walker's head."""
    seed, fps, count = run
    nearest_last = sorted(range(len(walkers)), key=lambda index: walkers[index].unit)
    for number in range(count):
        image = stage.copy()
        for index in nearest_last:
            left, right = _draw_walker(image, view, walkers[index], number / fps)
            inside = min(right, view.width) - max(left, 0.0)
            if inside > 0.5 * (right - left) > 0:
                seen.setdefault(index, []).append(number)
        # the same surface in every frame, fresh noise in each
        surface, noise = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2, number])
        yield encode_jpeg(apply_wear(image.reduce(OVERSAMPLING), wear, surface, noise), wear.quality)


def _draw_walker(image: Image.Image, view: View, walker: _Walker, now: float) -> tuple[float, float]:
    """Draws the walker where `now` finds it; the head's left and right, equal when it is not on its way."""
    if not walker.begin <= now < walker.finish:
        return 0.0, 0.0
    done = (now - walker.begin) / (walker.finish - walker.begin)
    margin = 2.5 * walker.unit
    path = done * (view.width + 2 * margin) - margin
    x = path if walker.way > 0 else view.width - path
    pose = replace(walker.pose, stride=walker.pose.stride + math.pi * _STEPS_A_SECOND * now)
    spot = Pen(image).at(x, view.ground(walker.unit), walker.unit)
    left, _, right, _ = draw_worker(spot, walker.worker, pose)
    return left, right
