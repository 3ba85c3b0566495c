"""A record file as a dataset that opens at once, whatever its size."""

import operator
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.core.sample import Sample
from milliner.shards.classes import NoClassError
from milliner.shards.format import Damage, Record
from milliner.shards.mapped import MappedFile
from milliner.shards.records.damage import damage
from milliner.shards.records.framing import BrokenRecordError, framed, head, read, walk
from milliner.shards.records.index import KeyTable, PathList, TextIndex
from milliner.shards.records.sidecar import own_sums, read_names, written_names
from milliner.shards.sums import Sums


class RecordDataset:
    """A record file as a dataset; labels have the names of its ``.labels`` file, or their numbers without one.

    Opening looks at nothing but the record file. What lies beside it is read where it is first asked for, and raises
    DatasetError there where it is damaged.

    Where milliner wrote it, records are found by its checksums, and compared with them whenever they are read.
    Otherwise by the ``.idx``, or without one by walking through the file. Safe to use from many threads, to inherit
    and to send to other processes.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._rec = path, MappedFile(path)
        if not len(self._rec):
            raise DatasetError(f"{path} is empty; pack it again.")

    def __reduce__(self) -> tuple[type["RecordDataset"], tuple[Path]]:
        return RecordDataset, (self._path,)

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The record file."""
        return (self._path,)

    def __len__(self) -> int:
        return len(self._sums if self._sums is not None else self._positions)

    def __getitem__(self, index: int) -> Sample:
        """Reads one record; raises DatasetError where it is damaged."""
        record = self.record(index)
        return Sample(record.key, self._label(record.labels[0]), record.encoded)

    def __iter__(self) -> Iterator[Sample]:
        return map(self.__getitem__, range(len(self)))

    def record(self, index: int) -> Record:
        """Reads one record as it was written; raises DatasetError where it is damaged."""
        place = self._place(index)
        if self._sums is None:
            position, key = int(self._positions[place]), ""
            content = framed(self._rec, position)
        else:
            (position, size, crc, _), key = self._sums.reliable.row_and_key(place)
            content = self._rec.read(position, position + size)
            if len(content) != size or zlib.crc32(content) != crc:
                raise self._damaged(position)
        try:
            record = read(content, key=key, known=self._sums is not None)
        except BrokenRecordError as error:
            raise self._damaged(position + error.place) from error
        return record if self._sums is not None else replace(record, key=self._listed(record.id, place))

    def key(self, index: int) -> str:
        """The path that the ``.lst`` names, or the record's id."""
        place = self._place(index)
        return (
            self._sums.reliable.key(place)
            if self._sums is not None
            else self._listed(self._head(self._positions[place])[0], place)
        )

    def find(self, key: str) -> int:
        """The place of a record by its key; raises KeyError."""
        return self._sums.reliable.find(key) if self._sums is not None else self._table.find(key)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes' names in the order of their numbers; without names all records are looked at first."""
        return self._names or tuple(str(int(number)) for number in np.unique(self._numbers))

    @cached_property
    def targets(self) -> Sequence[int]:
        """The class number of every record (its first label), four bytes for each.

        Raises DatasetError where one is no class number or has no name, or the index is not that of this file.
        """
        if not self._names:
            return _compact(np.unique(self._numbers, return_inverse=True)[1])
        if len(self._numbers):
            self._label(float(self._numbers.max()))
        return _compact(self._numbers)

    def damage(self) -> Iterator[Damage | None]:
        """Compares every record with its checksum, or without checksums looks whether it holds together."""
        return damage(self._path, self._rec)

    def _place(self, index: int) -> int:
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return place % len(self)

    def _label(self, number: float) -> str:
        if not number.is_integer() or number < 0:
            raise self._no_class(number)
        if self._names and number >= len(self._names):
            raise DatasetError(
                f"{self._path} has a label {int(number)}, but {self._path.with_suffix('.labels')} names "
                f"{len(self._names)} classes; pack it again."
            )
        return self._names[int(number)] if self._names else str(int(number))

    @cached_property
    def _numbers(self) -> NDArray[np.float32]:
        """The first label of every record, which are all class numbers."""
        sums, written = self._own
        if written != len(self._rec):
            raise self._damaged(min(written, len(self._rec)))
        numbers = sums.first_labels() if sums is not None and sums.sound("records") else self._walk_labels()
        wrong = ~(np.isfinite(numbers) & (numbers >= 0) & (numbers == np.floor(numbers)))
        if wrong.any():
            raise self._no_class(float(numbers[wrong.argmax()]))
        return numbers

    def _walk_labels(self) -> NDArray[np.float32]:
        """Looks at the head of every record; an index that leaves one out or misses one is refused."""
        count = len(self)
        starts, ends, labels = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.float32)
        fits = False
        with suppress(DatasetError):
            for place, position in enumerate(self._positions):
                _, labels[place], ends[place] = self._head(int(position))
                starts[place] = position
            order = np.argsort(starts)
            fits = bool((ends[order] == np.append(starts[order[1:]], len(self._rec))).all() and starts.min() == 0)
        if not fits:
            self._walk()  # raises where it is the records that do not hold together
            raise self._index.misfit() if self._index is not None else self._damaged(0)
        return labels

    @cached_property
    def _positions(self) -> "TextIndex | NDArray[np.uint64] | NDArray[np.int64]":
        if self._sums is not None:
            return self._sums.positions
        return self._index if self._index is not None else self._walk()

    def _walk(self) -> NDArray[np.int64]:
        """Where every record begins, found by walking through the file."""
        try:
            return np.fromiter(walk(self._rec.bytes, self._rec.touch), np.int64)
        except BrokenRecordError as error:
            raise self._damaged(error.place) from error

    def _head(self, position: int) -> tuple[int, float, int]:
        try:
            identity, label, end = head(self._rec.bytes, position)
        except BrokenRecordError as error:
            raise self._damaged(error.place) from error
        self._rec.touch(end - position)
        return identity, label, end

    def _listed(self, identity: int, place: int) -> str:
        return self._paths.path_of(identity, place) if self._paths else str(identity)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return read_names(self._path) if self._sums is None else written_names(self._path, self._sums)

    @cached_property
    def _own(self) -> tuple[Sums | None, int]:
        return own_sums(self._path) or (None, len(self._rec))

    @property
    def _sums(self) -> Sums | None:
        return self._own[0]

    @cached_property
    def _index(self) -> TextIndex | None:
        index = self._path.with_suffix(".idx")
        return TextIndex(index, self._path, len(self._rec)) if index.exists() else None

    @cached_property
    def _paths(self) -> PathList | None:
        path = self._path.with_suffix(".lst")
        return PathList(path) if path.exists() else None

    @cached_property
    def _table(self) -> KeyTable:
        return KeyTable(self.key, len(self))

    def _damaged(self, place: int) -> DatasetError:
        return DatasetError(
            f"{self._path} is damaged or cut short at byte {place} of {len(self._rec)}; copy or pack it again."
        )

    def _no_class(self, number: float) -> NoClassError:
        return NoClassError(
            f"{self._path} has the label {number}, which is not a class number; pack it with 0, 1, 2 ..."
        )


def _compact(numbers: NDArray[Any]) -> Sequence[int]:
    """Four bytes for each, and yet a sequence of Python's integers."""
    compact = array("i")
    compact.frombytes(np.ascontiguousarray(numbers, np.int32).data.cast("B"))
    return compact
