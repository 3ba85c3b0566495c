"""How resolution and pooling were chosen: cross-validation on training lists, never a test list."""

import tempfile
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import milliner as mn
from benchmarks.figures import DATA, Figure
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.classifier.runtime import Runtime
from milliner.core.parallel import ordered_map
from milliner.core.sample import Dataset
from milliner.images.resize import ResizePolicy
from milliner.shards.dataset import open_dataset
from milliner.training.choose import choose_strength

SIZES = (224, 320, 384, 448)
SEEDS = (0, 1, 2)

Floats = NDArray[np.float32]


def _average(features: Floats) -> Floats:
    return np.asarray(features.mean(axis=(1, 2)), np.float32)


def _generalised_mean(features: Floats) -> Floats:
    return np.asarray(np.cbrt((features**3).mean(axis=(1, 2))), np.float32)


def _maximum(features: Floats) -> Floats:
    return np.asarray(features.max(axis=(1, 2)), np.float32)


POOLINGS = {"average": _average, "generalised mean, p = 3": _generalised_mean, "maximum": _maximum}


def measure() -> list[Figure]:
    """Cross-validated accuracy and log loss, means over three seeds, on two training lists."""
    folder = DATA / "helmets"
    with tempfile.TemporaryDirectory() as scratch:
        mn.pack(folder, into=scratch, lists={"train": folder / "train.lst", "test": folder / "test.lst"})
        datasets = {
            "helmets": open_dataset(Path(scratch) / "train.rec"),
            "ants-bees": open_dataset(DATA / "ants-bees" / "train"),
        }
        return [
            figure for (name, dataset), size in product(datasets.items(), SIZES) for figure in _row(name, dataset, size)
        ]


def _row(name: str, dataset: Dataset, size: int) -> list[Figure]:
    start = perf_counter()
    pooled = _pooled(dataset, size)
    rate = len(dataset) / (perf_counter() - start)
    targets = np.asarray(dataset.targets, np.int64)
    figures = []
    for pooling, embeddings in pooled.items():
        found = [choose_strength(embeddings, targets, len(dataset.labels), seed) for seed in SEEDS]
        accuracy = np.mean([choice.accuracy for choice in found])
        log_loss = np.mean([choice.log_loss for choice in found])
        text = f"accuracy {accuracy:.4f}, log loss {log_loss:.4f} ({rate:.0f} images/s)"
        figures.append(Figure(f"{name}, {size} pixels, {pooling}", text))
    return figures


def _pooled(dataset: Dataset, size: int) -> dict[str, Floats]:
    runtime, policy = Runtime(backbone(DEFAULT).onnx_file().read_bytes()), ResizePolicy(size)

    def pool(place: int) -> list[Floats]:
        square = policy.load(dataset[place].encoded)
        features = runtime.run(square[None], ["features"])["features"][0]
        return [pooling(features) for pooling in POOLINGS.values()]

    rows = list(ordered_map(pool, range(len(dataset))))
    return {name: np.stack([row[number] for row in rows]) for number, name in enumerate(POOLINGS)}
