"""Close crops of heads, by a model of whole scenes: the boxes of `hard-hat-sample`, at twice their size.

The sample only measures. "Blown up" is what a network that sees squares of one size makes of small crops.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import milliner as mn
from benchmarks.figures import DATA, Figure
from milliner.classifier.model import Model
from milliner.images.decode import decode
from milliner.images.resize import DEFAULT_SIZE

LABELS = {"0": "nohelmet", "1": "helmet"}
TIMES = 2.0
"""How much larger than the head's box a crop is."""


@dataclass(frozen=True)
class Crop:
    """A head, and whether it wears a helmet."""

    image: Image.Image
    label: str


def measure() -> list[Figure]:
    """Accuracy on the crops, as training and prediction are, and with every crop blown up to the full size."""
    folder = DATA / "helmets"
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        mn.pack(folder, into=place, lists={"train": folder / "train.lst"})
        mn.train(
            place / "train.rec", into=place / "m.onnx", init={"helmet": "crash helmet"}, cache=place / "cache.sqlite"
        )
        model, found = mn.load(place / "m.onnx"), crops()
    full = (DEFAULT_SIZE, DEFAULT_SIZE)
    large = [Crop(crop.image.resize(full, Image.Resampling.BILINEAR), crop.label) for crop in found]
    shipped, blown_up = _recalls(model, found), _recalls(model, large)
    return [
        Figure(f"{len(found)} crops: bare heads called bare, helmets called helmets", _text(shipped)),
        Figure(f"the same blown up to {DEFAULT_SIZE} pixels", _text(blown_up)),
        Figure("gap in bare heads that small squares close", f"{(shipped[0] - blown_up[0]) / (1 - blown_up[0]):.2f}"),
    ]


def _text(recalls: tuple[float, float]) -> str:
    return f"{recalls[0]:.3f}, {recalls[1]:.3f}"


def _recalls(model: Model, found: list[Crop]) -> tuple[float, float]:
    said = model.predict([crop.image for crop in found])
    right = np.array([prediction.label == crop.label for prediction, crop in zip(said, found, strict=True)])
    bare = np.array([crop.label == "nohelmet" for crop in found])
    return float(right[bare].mean()), float(right[~bare].mean())


def crops() -> list[Crop]:
    """A square about every head of the sample, within its picture."""
    found = []
    for path in sorted((DATA / "hard-hat-sample").glob("*/labels/*.txt")):
        image = decode(next((path.parents[1] / "images").glob(f"{path.stem}.*")).read_bytes())
        for row in (line.split() for line in path.read_text().splitlines()):
            if row and row[0] in LABELS:
                found.append(Crop(_around(image, *map(float, row[1:5])), LABELS[row[0]]))
    return found


def _around(image: Image.Image, x: float, y: float, width: float, height: float) -> Image.Image:
    half = max(width * image.width, height * image.height) * TIMES / 2
    left, top = x * image.width - half, y * image.height - half
    right, bottom = min(image.width, left + 2 * half), min(image.height, top + 2 * half)
    return image.crop((round(max(0, left)), round(max(0, top)), round(right), round(bottom)))
