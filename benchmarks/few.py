"""Few pictures of each class: what training gives from 20 and from 5, and the curve up to a hundred.

Drawn from all 1,150 pictures of the helmets, the rest is the test; means of 20 draws. Embedded once; fitted by the
function that `milliner train` fits by.
"""

import tempfile
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import DATA, Figure
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.images.views import VIEWS
from milliner.probe.embed import Embedded, embed_views
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.shards.dataset import open_dataset
from milliner.training.backbones import begin_as
from milliner.training.fit import fit

ASKED = {20: 0.945, 5: 0.88}
SIZES = (5, 10, 20, 50, 100)
DRAWS = 20
VIEWS_AVERAGED = "crops"


@dataclass(frozen=True)
class _Way:
    """How heads are fitted, and answers given."""

    name: str
    init: bool
    averaged: bool


WAYS = (
    _Way("without init", init=False, averaged=False),
    _Way('with init = "crash helmet"', init=True, averaged=False),
    _Way(f"with init, {VIEWS_AVERAGED} averaged", init=True, averaged=True),
)


@dataclass(frozen=True)
class _Outcome:
    accuracies: NDArray[np.float64]

    def text(self) -> str:
        mean, error = self.accuracies.mean(), self.accuracies.std(ddof=1) / np.sqrt(len(self.accuracies))
        return f"{mean:.4f} +- {error:.4f} (worst draw {self.accuracies.min():.4f})"


def measure() -> list[Figure]:
    """Accuracy on the rest for each way and each number of pictures."""
    embedded = _embedded()
    figures = []
    for way in WAYS:
        for size in SIZES:
            found = _Outcome(np.array([_draw(embedded, way, size, draw) for draw in range(DRAWS)]))
            asked = ASKED.get(size) if way.init else None
            figures.append(
                Figure(
                    f"{size} pictures per class, {way.name}",
                    found.text(),
                    f">= {asked}" if asked else "-",
                    float(found.accuracies.mean()) >= asked if asked else None,
                )
            )
    return figures


def _embedded() -> tuple[Embedded, list[Embedded]]:
    """The whole pictures, and their views."""
    with tempfile.TemporaryDirectory() as scratch:
        dataset, cache = open_dataset(DATA / "helmets"), Path(scratch) / "cache.sqlite"
        net = backbone(DEFAULT)
        return embed_views(dataset, net, net.input.resize(None, net.name), cache, VIEWS[VIEWS_AVERAGED])


def _draw(embedded: tuple[Embedded, list[Embedded]], way: _Way, size: int, seed: int) -> float:
    """Accuracy on all that the draw left."""
    net, random, (whole, others) = backbone(DEFAULT), np.random.default_rng(seed), embedded
    order = random.permutation(len(whole.targets))
    drawn = np.concatenate([order[whole.targets[order] == label][:size] for label in (0, 1)])
    rest = np.setdiff1d(order, drawn)
    views = OtherViews(tuple(each.embeddings for each in others), averaged=True) if way.averaged else NO_VIEWS
    named = begin_as(net, {"0": "crash helmet"}) if way.init else None
    head = fit(
        whole.embeddings[drawn],
        whole.targets[drawn],
        ("0", "1"),
        seed,
        widths=net.widths,
        named=named,
        views=views.changed(itemgetter(drawn)),
        curve=False,
    ).head
    said = views.changed(itemgetter(rest)).logits(head, whole.embeddings[rest]).argmax(axis=1)
    return float((said == whole.targets[rest]).mean())
