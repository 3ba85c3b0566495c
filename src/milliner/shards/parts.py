"""Several packed files, one behind the other, as one dataset."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.core.sample import Sample
from milliner.shards.classes import Classes
from milliner.shards.format import Damage, Record
from milliner.shards.sums import SUFFIX, Sums


class Part(Protocol):
    """One packed file of a split."""

    path: Path

    def __len__(self) -> int: ...

    @property
    def first_labels(self) -> NDArray[Any]:
        """The first label of every record."""

    def record(self, index: int, number: int) -> Record:
        """A record by its place in this file; `number` is its place in the whole, its id where it has no other."""

    def key(self, index: int, number: int) -> str:
        """The key of a record."""

    def find(self, key: str) -> int:
        """The place of a record in this file by its key; raises KeyError."""

    def damage(self) -> Iterator[Damage | None]:
        """An item for every record, None where it is whole, and more for damage between them."""


class PartsDataset:
    """A dataset of parts. Safe to read from many threads where the parts are."""

    def __init__(self, parts: Sequence[Part], names: Callable[[], tuple[str, ...]]) -> None:
        """`names` gives the classes' names in the order of their numbers, once they are asked for."""
        self._parts, self._names = parts, names
        self._ends = list(accumulate(map(len, parts)))

    @property
    def name(self) -> str:
        """The first file, and how many there are."""
        first, *others = self.files
        return f"{first} and {len(others)} more" if others else str(first)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in the order of their records."""
        return tuple(part.path for part in self._parts)

    @cached_property
    def _classes(self) -> Classes:
        def first_labels() -> NDArray[Any]:
            return np.concatenate([part.first_labels for part in self._parts])

        return Classes(self._names(), first_labels, self._parts[0].path)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names in the order of their numbers; the numbers where they have no names."""
        return self._classes.labels

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every record."""
        return self._classes.targets

    def __len__(self) -> int:
        return self._ends[-1]

    def key(self, index: int) -> str:
        """The key of a record, also where its picture is damaged, or its id where it has none."""
        part, place, whole = self._at(index)
        return part.key(place, whole)

    def __getitem__(self, index: int) -> Sample:
        """Reads one record."""
        record = self.record(index)
        return Sample(record.key, self._classes.name(record.labels[0]), record.encoded)

    def record(self, index: int) -> Record:
        """Reads one record as it was written; raises DatasetError where it is damaged."""
        part, place, whole = self._at(index)
        return part.record(place, whole)

    def find(self, key: str) -> int:
        """The place of a record by its key; raises KeyError."""
        for part, end in zip(self._parts, self._ends, strict=True):
            try:
                return part.find(key) + end - len(part)
            except KeyError:
                continue
        raise KeyError(key)

    def damage(self) -> Iterator[Damage | None]:
        """Compares every record with its checksum; without checksums, tells what cannot be read."""
        for part in self._parts:
            yield from part.damage()

    def _at(self, index: int) -> tuple[Part, int, int]:
        """A record's file, its place in that, and in the whole."""
        whole = index + len(self) if index < 0 else index
        if not 0 <= whole < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, whole)
        return self._parts[number], whole - (self._ends[number - 1] if number else 0), whole


def shared_names(found: Sequence[tuple[str, ...]], files: Sequence[Path]) -> tuple[str, ...]:
    """The names that all files of a split give; raises DatasetError where they differ."""
    if len(set(found)) > 1:
        raise DatasetError(f"{files[0]} and {files[-1]} are of splits with different classes; open one at a time.")
    return found[0]


def sums_beside(path: Path) -> tuple[Sums | None, Damage | None]:
    """The checksums of a packed file, where it has any, and what is wrong where they cannot be used."""
    beside = path.with_suffix(SUFFIX)
    if not beside.exists():
        return None, None
    try:
        return Sums.open(beside), None
    except DatasetError as error:
        return None, Damage(beside, 0, "", str(error))
