"""Where the class activation map points, on pictures with known boxes, and on mosaics of training pictures.

How fine the map is was chosen on the mosaics (the grid pointing game of Boehle et al. 2021, arXiv:2104.00032): one
helmet among other pictures of the training list, seen by a head that was fitted to the other half of it. They do not
tell the two ways to take the peak apart; the spline's was taken because it smooths no more than its cells are apart and
adds nothing of its own, and its gain on `hard-hat-sample` was known by then. The boxes of that sample only measure
otherwise.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import milliner as mn
from benchmarks.figures import DATA, Figure
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.classifier.metadata import Metadata
from milliner.classifier.model import FINER, Model
from milliner.classifier.operating_point import OperatingPoint
from milliner.core.parallel import ordered_map
from milliner.core.sample import Dataset
from milliner.images.boxes import boxes
from milliner.images.decode import decode, upright_size
from milliner.images.heatmap import class_evidence, peak
from milliner.images.resize import DEFAULT_SIZE, ResizePolicy
from milliner.probe.embed import embed
from milliner.probe.head import Problem
from milliner.runtimes.runtime import open_runtime
from milliner.shards.dataset import open_dataset
from milliner.training.export import assemble

LABEL, HELMET = "helmet", "1"
GRIDS, MOSAICS, TILE = (3, 4), 100, 300

FINENESS = (1, 1.5, 2)
STRENGTH = 0.03
TOLERANCE = 15
"""Pixels beside a box that the original pointing game forgives (Zhang et al. 2016, arXiv:1608.00507)."""

Floats = NDArray[np.float32]
Point = tuple[float, float]
Shares = tuple[float, float, float, float]


@dataclass(frozen=True)
class Photograph:
    """A picture and the boxes of its helmets, as shares of its sides."""

    encoded: bytes
    helmets: list[Shares]


def measure() -> list[Figure]:
    """Plays both games with the default model of the training list."""
    folder = DATA / "helmets"
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        mn.pack(folder, into=place, lists={"train": folder / "train.lst"})
        mn.train(place / "train.rec", into=place / "m.onnx", cache=place / "cache.sqlite")
        model = mn.load(place / "m.onnx")
        heads_of = replace(model.metadata, operating_point=OperatingPoint())  # without a distance, which these lack
        mosaics = _mosaic_figures(open_dataset(place / "train.rec"), place / "cache.sqlite", heads_of)
        return [*mosaics, *_photograph_figures(model, photographs())]


def photographs() -> list[Photograph]:
    """Those of the sample that show a helmet."""
    found = []
    for path in sorted((DATA / "hard-hat-sample").glob("*/labels/*.txt")):
        rows = [line.split() for line in path.read_text().splitlines()]
        helmets = [_shares(*map(float, row[1:5])) for row in rows if row and row[0] == HELMET]
        if helmets:
            picture = next((path.parents[1] / "images").glob(f"{path.stem}.*"))
            found.append(Photograph(picture.read_bytes(), helmets))
    return found


def _shares(x: float, y: float, width: float, height: float) -> Shares:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def strongest_cell(evidence: Floats) -> Point:
    """The centre of the strongest cell, as the original game takes it."""
    y, x = divmod(int(evidence.argmax()), evidence.shape[1])
    return (x + 0.5) / evidence.shape[1], (y + 0.5) / evidence.shape[0]


PEAKS: dict[str, Callable[[Floats], Point]] = {"strongest cell": strongest_cell, "top of the spline surface": peak}


def _mosaic_figures(dataset: Dataset, cache: Path, metadata: Metadata) -> list[Figure]:
    net = backbone(DEFAULT)
    embedded = embed(dataset, net, net.input.resize(None, net.name), cache)
    random = np.random.default_rng(0)
    half = random.integers(0, 2, len(embedded.targets))
    parts = [half == 0, half == 1]
    heads = Problem.of(embedded.embeddings, embedded.targets, len(dataset.labels), parts).fit(STRENGTH, [], 1e-4)
    helmet = dataset.labels.index(LABEL)
    runtimes = [open_runtime(assemble(net, head, metadata).SerializeToString()) for head in heads]
    drawn = []
    for number, grid in product(range(MOSAICS), GRIDS):
        side, where = number % 2, int(random.integers(grid * grid))
        rows = np.flatnonzero(parts[side])
        tiles = list(random.choice(rows[embedded.targets[rows] != helmet], grid * grid - 1, replace=False))
        tiles.insert(where, random.choice(rows[embedded.targets[rows] == helmet]))
        drawn.append((grid, side, where, embedded.places[tiles]))

    def play(mosaic: tuple[int, int, int, NDArray[np.int64]]) -> list[bool]:
        grid, side, where, places = mosaic
        image = _mosaic(dataset, places, grid)
        hits = []
        for fineness in FINENESS:
            square = ResizePolicy(int(DEFAULT_SIZE * fineness)).apply(image)
            evidence = class_evidence(runtimes[side].run(square[None], ["heatmap"])["heatmap"][0], helmet)
            points = [find(evidence) for find in PEAKS.values()]
            hits += [int(y * grid) * grid + int(x * grid) == where for x, y in points]
        return hits

    shares = np.mean(list(ordered_map(play, drawn)), axis=0).reshape(len(FINENESS), len(PEAKS))
    return [
        Figure(
            f"mosaics of the training list, {fineness:g} times as fine, {name}",
            f"{shares[row, column]:.1%} of {len(drawn)}",
        )
        for row, fineness in enumerate(FINENESS)
        for column, name in enumerate(PEAKS)
    ]


def _mosaic(dataset: Dataset, places: NDArray[np.int64], grid: int) -> Image.Image:
    image = Image.new("RGB", (grid * TILE, grid * TILE))
    for number, place in enumerate(places):
        tile = decode(dataset[int(place)].encoded).resize((TILE, TILE))
        image.paste(tile, (number % grid * TILE, number // grid * TILE))
    return image


def _photograph_figures(model: Model, pictures: list[Photograph]) -> list[Figure]:
    figures = []
    for fineness in (1, FINER):
        maps = _maps(model, pictures, fineness)
        for name, find in PEAKS.items():
            points = [find(evidence) for evidence in maps]
            hits = [_inside(point, one.helmets) for point, one in zip(points, pictures, strict=True)]
            near = [_inside(point, one.helmets, _slack(one)) for point, one in zip(points, pictures, strict=True)]
            ours = fineness == FINER and find is peak
            figures.append(
                Figure(
                    f"photographs, {fineness:g} times as fine, {name}: in a helmet box (within {TOLERANCE} pixels)",
                    f"{np.mean(hits):.1%} of {len(hits)} ({np.mean(near):.1%})",
                    *((">= 80 %", bool(np.mean(hits) >= 0.8)) if ours else ("-", None)),
                )
            )
    return [*figures, *_box_figures(maps, pictures)]


def _maps(model: Model, pictures: list[Photograph], fineness: int) -> list[Floats]:
    return list(ordered_map(lambda one: model.evidence(one.encoded, LABEL, fineness), pictures))


def _box_figures(maps: list[Floats], pictures: list[Photograph]) -> list[Figure]:
    found_helmets, true_boxes, overlaps = [], [], []
    for evidence, one in zip(maps, pictures, strict=True):
        size = upright_size(one.encoded)
        ours = [
            (box.left / size[0], box.top / size[1], box.right / size[0], box.bottom / size[1])
            for box in boxes(evidence, LABEL, size)
        ]
        found_helmets += [_inside(_centre(helmet), ours) for helmet in one.helmets]
        true_boxes += [
            any(_inside(_centre(helmet), [box]) or _inside(_centre(box), [helmet]) for helmet in one.helmets)
            for box in ours
        ]
        overlaps += [max((_overlap(helmet, box) for box in ours), default=0.0) for helmet in one.helmets]
    return [
        Figure(
            "helmets whose centre lies in a box of the map", f"{np.mean(found_helmets):.1%} of {len(found_helmets)}"
        ),
        Figure("boxes of the map that are on a helmet", f"{np.mean(true_boxes):.1%} of {len(true_boxes)}"),
        Figure("overlap of a helmet with its best box (intersection over union), mean", f"{np.mean(overlaps):.2f}"),
    ]


def _slack(one: Photograph) -> float:
    return TOLERANCE / math.sqrt(math.prod(upright_size(one.encoded)))


def _centre(box: Shares) -> Point:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _inside(point: Point, among: list[Shares], slack: float = 0.0) -> bool:
    x, y = point
    return any(
        left - slack <= x <= right + slack and top - slack <= y <= bottom + slack for left, top, right, bottom in among
    )


def _overlap(first: Shares, second: Shares) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    both = max(wide, 0.0) * max(high, 0.0)
    areas = sum((right - left) * (bottom - top) for left, top, right, bottom in (first, second))
    return both / (areas - both)
