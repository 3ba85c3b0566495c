"""How resolution and pooling were chosen: cross-validation on training lists, never a test list."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np

import milliner as mn
from benchmarks.figures import DATA, Figure
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.backbones.pooling import EVERY, POOLINGS, columns
from milliner.core.sample import Dataset
from milliner.probe.choose import choose
from milliner.probe.embed import embed
from milliner.shards.dataset import open_dataset

SIZES = (224, 320, 384, 448, 512, 640)
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class _Trial:
    """One setting on one training list, means over the seeds."""

    dataset: str
    size: int
    pooling: str
    samples: int
    accuracy: float
    log_loss: float
    rate: float

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.samples)

    def figure(self) -> Figure:
        text = f"accuracy {self.accuracy:.4f}, log loss {self.log_loss:.4f} ({self.rate:.0f} images/s)"
        return Figure(f"{self.dataset}, {self.size} pixels, {self.pooling}", text)


def measure() -> list[Figure]:
    """Cross-validated accuracy and log loss on two training lists, and what the rule makes of them."""
    folder = DATA / "helmets"
    with tempfile.TemporaryDirectory() as scratch:
        mn.pack(folder, into=scratch, lists={"train": folder / "train.lst", "test": folder / "test.lst"})
        datasets = {
            "helmets": open_dataset(Path(scratch) / "train.rec"),
            "ants-bees": open_dataset(DATA / "ants-bees" / "train"),
        }
        trials = [
            trial
            for (name, dataset), size in product(datasets.items(), SIZES)
            for trial in _try(name, dataset, size, Path(scratch))
        ]
    rule = (
        "the smallest size within one standard error of the best accuracy on every list; of those, the least log loss"
    )
    return [*(trial.figure() for trial in trials), Figure(rule, _chosen(trials))]


def _chosen(trials: list[_Trial]) -> str:
    best = {
        name: max((t for t in trials if t.dataset == name), key=lambda t: t.accuracy)
        for name in ("helmets", "ants-bees")
    }
    settings: dict[tuple[int, str], list[_Trial]] = {}
    for trial in trials:
        settings.setdefault((trial.size, trial.pooling), []).append(trial)
    good = {
        setting: sum(trial.log_loss for trial in found)
        for setting, found in settings.items()
        if all(t.accuracy >= best[t.dataset].accuracy - best[t.dataset].standard_error for t in found)
    }
    size, pooling = min(good, key=lambda setting: (setting[0], good[setting]))
    return f"{size} pixels, {pooling}"


def _try(name: str, dataset: Dataset, size: int, scratch: Path) -> Iterator[_Trial]:
    """Every pooling at one size; whether a head sees the finer map as well is chosen as training chooses it."""
    start, net = perf_counter(), backbone(DEFAULT)
    every = net.pooled(EVERY)
    embedded = embed(dataset, every, every.input.resize(size, every.name), scratch / "cache.sqlite")
    rate = len(dataset) / (perf_counter() - start)
    for pooling, statistics in POOLINGS.items():
        own = net.pooled(statistics)
        embeddings = embedded.embeddings[:, columns(every.blocks, own.blocks)]
        found = [choose(embeddings, embedded.targets, len(dataset.labels), seed, widths=own.widths) for seed in SEEDS]
        accuracy = float(np.mean([choice.accuracy for choice in found]))
        log_loss = float(np.mean([choice.log_loss for choice in found]))
        yield _Trial(name, size, pooling, len(dataset), accuracy, log_loss, rate)
