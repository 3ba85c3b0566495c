"""The pictures of a training, as batches of pixels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from milliner.core.parallel import ordered_map
from milliner.core.sample import Dataset
from milliner.images.resize import ResizePolicy
from milliner.training.finetune.augment import Augmentation

Rows = NDArray[np.int64]
Batch = tuple[Rows, list[NDArray[np.uint8]]]
"""Numbers of pictures, and their pixels in the same order, RGB [n, side, side, 3] for each side that there is."""


@dataclass(frozen=True)
class Pictures:
    """The usable pictures of a dataset, by their rows; decoded when they are asked for, on every core."""

    samples: Dataset
    places: NDArray[np.int64]
    """[n] where each picture stands in the dataset."""
    targets: NDArray[np.int64]
    """[n] class numbers."""
    held_out: NDArray[np.bool_]
    """[n] those that are for validation."""
    policy: ResizePolicy

    @property
    def trained(self) -> Rows:
        """The rows that are trained on."""
        return np.flatnonzero(~self.held_out)

    @property
    def validated(self) -> Rows:
        """The rows that are held out."""
        return np.flatnonzero(self.held_out)

    def augmented(self, batch: int, seed: int, epoch: int) -> Iterator[Batch]:
        """The trained rows in an order, and with changes, that seed and epoch decide, whatever happened before."""
        augmentation = Augmentation(self.policy)

        def load(row: int) -> NDArray[np.uint8]:
            return augmentation(self._encoded(row), np.random.default_rng((seed, epoch, row)))

        order = np.random.default_rng((seed, epoch)).permutation(self.trained)
        return _batches(order, load, batch)

    def plain(self, rows: Rows, batch: int) -> Iterator[Batch]:
        """Some rows as prediction sees them."""
        return _batches(rows, lambda row: self.policy.load(self._encoded(row)), batch)

    def _encoded(self, row: int) -> bytes:
        return self.samples[int(self.places[row])].encoded


def _batches(rows: Rows, load: Callable[[int], NDArray[np.uint8]], batch: int) -> Iterator[Batch]:
    loaded = ordered_map(load, rows.tolist())
    for start in range(0, len(rows), batch):
        squares = list(islice(loaded, batch))
        order = sorted(range(len(squares)), key=lambda place: len(squares[place]))
        sides = groupby((squares[place] for place in order), key=len)
        yield rows[start : start + batch][order], [np.stack(list(group)) for _, group in sides]
