"""What lies beside a ``.rec`` and was not written by milliner: its ``.idx`` and ``.lst``, read a line at a time."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.shards.lists import ListLine, parse_line
from milliner.shards.records.lines import Lines


class TextIndex:
    """An ``.idx``: lines of ``id<tab>position``, of which opening reads the first and the last.

    Raises DatasetError for lines that are none, and for positions outside the record file's `size` bytes.
    """

    def __init__(self, path: Path, rec: Path, size: int) -> None:
        self._path, self._rec, self._size = path, rec, size
        self._lines = Lines(path)
        if not len(self):
            raise self.misfit()
        for place in (0, len(self) - 1):
            self._entry(self._lines[place])

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, place: int) -> int:
        """The position of a record."""
        return self._within(self._entry(self._lines[place])[1])

    def __iter__(self) -> Iterator[int]:
        return (self._within(self._entry(line)[1]) for line in self._lines)

    def identity(self, place: int) -> str:
        """The id of a record."""
        return self._entry(self._lines[place])[0]

    def positions(self) -> NDArray[np.int64]:
        """The positions of all records, also those behind the file's end."""
        return np.fromiter((self._entry(line)[1] for line in self._lines), np.int64, len(self))

    def misfit(self) -> DatasetError:
        """The sentence for an index of other records."""
        return DatasetError(f"{self._path} does not fit {self._rec}; delete the index or pack again.")

    def _within(self, position: int) -> int:
        if position >= self._size:
            raise self.misfit()
        return position

    def _entry(self, line: str) -> tuple[str, int]:
        columns = line.split("\t")
        try:
            identity, position = columns[0], int(columns[1])
        except (ValueError, IndexError) as error:
            raise DatasetError(
                f"{self._path} is not an index of id<tab>position lines; delete it or pack again."
            ) from error
        if not 0 <= position < 2**63:
            raise self.misfit()
        return identity, position


class PathList:
    """A ``.lst`` of any length: the path of a picture by its id."""

    def __init__(self, path: Path) -> None:
        self._path, self._lines = path, Lines(path)

    def check(self) -> None:
        """Reads every line; raises DatasetError where one does not hold together or an id is there twice."""
        self._by_id  # noqa: B018 - the table is what all lines are read for

    def path_of(self, identity: int, place: int) -> str:
        """The path that is listed for an id, or the id itself; `place` is the line where it is looked for first."""
        line = self._lines[place] if place < len(self._lines) else ""
        if line.startswith(f"{identity}\t"):
            return self._parsed(place, line).path
        ids, order = self._by_id
        found = int(np.searchsorted(ids, np.uint64(identity)))
        return self._line(int(order[found])).path if found < len(ids) and ids[found] == identity else str(identity)

    @cached_property
    def _by_id(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The sorted ids, and the line of each; without an object for each of millions."""
        numbers = np.fromiter((place for place, _ in self._filled()), np.int64)
        ids = np.fromiter((self._parsed(place, line).id for place, line in self._filled()), np.uint64, len(numbers))
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        twice = np.flatnonzero(ids[1:] == ids[:-1])
        if len(twice):
            raise DatasetError(f"{self._path} gives the id {ids[twice[0]]} twice; ids must differ.")
        return ids, numbers[order]

    def _filled(self) -> Iterator[tuple[int, str]]:
        return ((place, line) for place, line in enumerate(self._lines) if line.strip())

    def _line(self, place: int) -> ListLine:
        return self._parsed(place, self._lines[place])

    def _parsed(self, place: int, line: str) -> ListLine:
        return parse_line(self._path, place + 1, line)


class KeyTable:
    """Finds records by their keys, with sixteen bytes for each."""

    def __init__(self, key: Callable[[int], str], count: int) -> None:
        """`key` gives the key of each of `count` records."""
        self._key = key
        hashes = np.fromiter((hash(key(index)) for index in range(count)), np.int64, count)
        self._places = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._places]

    def find(self, key: str) -> int:
        """The place of the first record with this key; raises KeyError."""
        place = bisect_left(self._hashes, hash(key))
        while place < len(self._hashes) and self._hashes[place] == hash(key):
            if self._key(int(self._places[place])) == key:
                return int(self._places[place])
            place += 1
        raise KeyError(key)
