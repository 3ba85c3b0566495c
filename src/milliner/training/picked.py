"""Some pictures of a dataset, as a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from milliner.core.sample import Dataset, Sample


@dataclass(frozen=True)
class Picked:
    """Pictures of a dataset, as a dataset."""

    whole: Dataset
    places: tuple[int, ...]

    @classmethod
    def of(cls, whole: Dataset, seed: int, most: int) -> "Picked":
        """At most so many, each class in its share but with five pictures or all; the seed decides which."""
        if len(whole) <= most:
            return cls(whole, tuple(range(len(whole))))
        targets, random = np.asarray(whole.targets), np.random.default_rng(seed)
        chosen: list[int] = []
        for label in np.unique(targets):
            places = np.flatnonzero(targets == label)
            share = min(len(places), max(5, len(places) * most // len(whole)))
            chosen += random.permutation(places)[:share].tolist()
        return cls(whole, tuple(sorted(chosen)))

    @property
    def name(self) -> str:
        """The dataset's."""
        return self.whole.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The dataset's."""
        return self.whole.labels

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every picture."""
        targets = self.whole.targets
        return [targets[place] for place in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def key(self, index: int) -> str:
        """The picture's."""
        return self.whole.key(self.places[index])

    def __getitem__(self, index: int) -> Sample:
        return self.whole[self.places[index]]
