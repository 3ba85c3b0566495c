"""Few pictures of each class: what training gives from 20 and from 5, and the curve up to a hundred.

Drawn from all 1,150 pictures of the helmets, the rest is the test; means of 20 draws. Embedded once; fitted by the
function that `milliner train` fits by.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import DATA, Figure
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.probe.embed import Embedded, embed
from milliner.probe.head import Head
from milliner.shards.dataset import open_dataset
from milliner.training.backbones import begin_as
from milliner.training.fit import fit

ASKED = {20: 0.945, 5: 0.88}
SIZES = (5, 10, 20, 50, 100)
DRAWS = 20

Fit = Callable[[NDArray[np.float32], NDArray[np.int64], int], Head]


def _cold(embeddings: NDArray[np.float32], targets: NDArray[np.int64], seed: int) -> Head:
    return fit(embeddings, targets, ("0", "1"), seed, widths=backbone(DEFAULT).widths, curve=False).head


def _warm(embeddings: NDArray[np.float32], targets: NDArray[np.int64], seed: int) -> Head:
    net = backbone(DEFAULT)
    named = begin_as(net, {"0": "crash helmet"})
    return fit(embeddings, targets, ("0", "1"), seed, widths=net.widths, named=named, curve=False).head


WAYS: dict[str, Fit] = {"without init": _cold, 'with init = "crash helmet"': _warm}
"""How heads are fitted; the last one is what is asked of."""


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
    for way, fitted in WAYS.items():
        for size in SIZES:
            found = _Outcome(np.array([_draw(embedded, fitted, size, draw) for draw in range(DRAWS)]))
            asked = ASKED.get(size) if way == list(WAYS)[-1] else None
            figures.append(
                Figure(
                    f"{size} pictures per class, {way}",
                    found.text(),
                    f">= {asked}" if asked else "-",
                    float(found.accuracies.mean()) >= asked if asked else None,
                )
            )
    return figures


def _embedded() -> Embedded:
    with tempfile.TemporaryDirectory() as scratch:
        dataset = open_dataset(DATA / "helmets")
        net = backbone(DEFAULT)
        return embed(dataset, net, net.input.resize(None, net.name), Path(scratch) / "cache.sqlite")


def _draw(embedded: Embedded, fitted: Fit, size: int, seed: int) -> float:
    """Accuracy on all that the draw left."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(embedded.targets))
    drawn = np.concatenate([order[embedded.targets[order] == label][:size] for label in (0, 1)])
    rest = np.setdiff1d(order, drawn)
    head = fitted(embedded.embeddings[drawn], embedded.targets[drawn], seed)
    said = head.logits(embedded.embeddings[rest]).argmax(axis=1)
    return float((said == embedded.targets[rest]).mean())
