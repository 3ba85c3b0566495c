"""What test pictures have in common with each other and with the training pictures, as values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.shares import wilson_interval


@dataclass(frozen=True)
class Share:
    """How many of some pictures are named correctly; there is at least one."""

    correct: int
    pictures: int

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return self.correct / self.pictures

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson_interval(self.correct, self.pictures)

    @classmethod
    def of(cls, right: NDArray[np.bool_]) -> "Share | None":
        """Of [n] pictures whether each is right; None where there are none."""
        return cls(int(right.sum()), len(right)) if len(right) else None

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {"pictures": self.pictures, "accuracy": {"value": self.accuracy, "interval": list(self.interval)}}


@dataclass(frozen=True)
class Alike:
    """A test picture and what it looks like, by their places in their datasets."""

    place: int
    file: str
    other_place: int
    other_file: str
    kind: str
    """``exact``, ``near duplicate`` or ``sibling``."""


@dataclass(frozen=True)
class Within:
    """What the test pictures share with each other."""

    repeated: int
    """Pictures that are the same or nearly the same as another one that is counted too."""
    pairs: tuple[Alike, ...]
    once: Share | None
    """The first picture of each group of such counted alone; None where none is repeated."""


@dataclass(frozen=True)
class Across:
    """What the test pictures share with the training pictures."""

    train: str
    """The training dataset's name."""
    pictures: int
    """Training pictures that could be looked at."""
    found: tuple[Alike, ...]
    """One for each test picture that looks like a training picture, the worst first."""
    counts: dict[str, int]
    """Test pictures by the kind of what they have at worst."""
    without_duplicates: Share | None
    """The other test pictures than exact copies and near duplicates; None where nothing is left."""
    without_any: Share | None
    """The test pictures that look like no training picture at all."""


@dataclass(frozen=True)
class Leakage:
    """What was found of the evaluated pictures."""

    within: Within
    across: Across | None
    """None where the training pictures were not given."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        document: dict[str, Any] = {
            "within": {
                "repeated": self.within.repeated,
                "pairs": [_files(each) for each in self.within.pairs],
                "once": self.within.once and self.within.once.to_json(),
            },
            "across": None,
        }
        if self.across is not None:
            document["across"] = {
                "train": self.across.train,
                "counts": self.across.counts,
                "found": [_files(each) for each in self.across.found],
                "without_duplicates": self.across.without_duplicates and self.across.without_duplicates.to_json(),
                "without_any": self.across.without_any and self.across.without_any.to_json(),
            }
        return document


def _files(each: Alike) -> dict[str, str]:
    return {"file": each.file, "other_file": each.other_file, "kind": each.kind}
