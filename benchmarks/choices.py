"""How resolution, pooling and views were chosen: cross-validation on training lists, never a test list."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import DATA, Figure, pack_helmets
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.backbones.pooling import EVERY, POOLINGS, columns
from milliner.core.sample import Dataset
from milliner.curation.shoots import shoots
from milliner.images.resize import DEFAULT_SIZE
from milliner.images.views import VIEWS
from milliner.probe.choose import choose, clearly_better
from milliner.probe.embed import embed, embed_views
from milliner.probe.views import OtherViews
from milliner.shards.dataset import open_dataset

SIZES = (224, 320, 384, 448, 512, 640)
SEEDS = (0, 1, 2)

Groups = NDArray[np.int64]


@dataclass(frozen=True)
class _Trial:
    """One setting on one training list, over the seeds."""

    dataset: str
    size: int
    pooling: str
    rate: float
    accuracy: float
    losses: NDArray[np.float32]
    """[n] of the pictures, means over the seeds."""

    def figure(self) -> Figure:
        text = f"accuracy {self.accuracy:.4f}, log loss {self.losses.mean():.4f} ({self.rate:.0f} images/s)"
        return Figure(f"{self.dataset}, {self.size} pixels, {self.pooling}", text)


def measure() -> list[Figure]:
    """Cross-validated accuracy and log loss on two training lists, and what the rule makes of them."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        train, _ = pack_helmets(place)
        datasets = {
            "helmets": open_dataset(train),
            "ants-bees": open_dataset(DATA / "ants-bees" / "train"),
        }
        groups = {name: _groups(dataset, place) for name, dataset in datasets.items()}
        trials = {
            name: [trial for size in SIZES for trial in _try(name, dataset, size, groups[name], place)]
            for name, dataset in datasets.items()
        }
        views = [each for name, dataset in datasets.items() for each in _views(name, dataset, groups[name], place)]
    chosen = [
        Figure(f"{name}: the cheapest within one standard error of the least log loss", _chosen(found))
        for name, found in trials.items()
    ]
    return [*(trial.figure() for found in trials.values() for trial in found), *chosen, *views]


def _chosen(trials: list[_Trial]) -> str:
    """As a search within a budget takes it."""
    best = min(trials, key=lambda trial: float(trial.losses.mean()))
    good = [trial for trial in trials if not clearly_better(best.losses, trial.losses)]
    taken = min(good, key=lambda trial: (trial.size, trial.pooling != "generalised-mean", float(trial.losses.mean())))
    return f"{taken.size} pixels, {taken.pooling}"


def _groups(dataset: Dataset, place: Path) -> Groups:
    """Which pictures are left out together, by the default embedding."""
    net = backbone(DEFAULT)
    embedded = embed(dataset, net, net.input.resize(None, net.name), place / "cache.sqlite")
    labels = [dataset.labels[target] for target in embedded.targets]
    return shoots(embedded.embeddings[:, : net.widths[0]], labels)


def _try(name: str, dataset: Dataset, size: int, groups: Groups, place: Path) -> Iterator[_Trial]:
    """Every pooling at one size; whether a head sees the finer map as well is chosen as training chooses it."""
    start, net = perf_counter(), backbone(DEFAULT)
    every = net.pooled(EVERY)
    embedded = embed(dataset, every, every.input.resize(size, every.name), place / "cache.sqlite")
    rate, classes = len(dataset) / (perf_counter() - start), len(dataset.labels)
    for pooling, statistics in POOLINGS.items():
        own = net.pooled(statistics)
        seen = embedded.embeddings[:, columns(every.blocks, own.blocks)]
        found = [choose(seen, embedded.targets, classes, seed, widths=own.widths, groups=groups) for seed in SEEDS]
        accuracy = float(np.mean([choice.accuracy for choice in found]))
        losses = [choice.losses[np.argsort(choice.looked.rows)] for choice in found]
        yield _Trial(name, size, pooling, rate, accuracy, np.asarray(np.mean(losses, axis=0), np.float32))


def _views(name: str, dataset: Dataset, groups: Groups, place: Path) -> Iterator[Figure]:
    """The default size and pooling with each choice of views, only taught and averaged as well."""
    net, classes = backbone(DEFAULT), len(dataset.labels)
    for views, shown in VIEWS.items():
        policy = net.input.resize(None, net.name)
        whole, others = embed_views(dataset, net, policy, place / "cache.sqlite", shown)
        for averaged in (False, True) if shown else (False,):
            beside = OtherViews(tuple(each.embeddings for each in others), averaged)
            found = [
                choose(whole.embeddings, whole.targets, classes, seed, widths=net.widths, groups=groups, views=beside)
                for seed in SEEDS
            ]
            accuracy, log_loss = (np.mean([[each.accuracy, each.log_loss] for each in found], axis=0)).tolist()
            used = f"views {views}{', averaged' if averaged else ''}"
            yield Figure(f"{name}, {DEFAULT_SIZE} pixels, {used}", f"accuracy {accuracy:.4f}, log loss {log_loss:.4f}")
