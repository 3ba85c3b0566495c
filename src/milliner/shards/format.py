"""What every shard format has in common: the records, and the protocols that its file's `FORMAT` follows."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from milliner.core.sample import Dataset


@dataclass(frozen=True)
class Record:
    """One picture as it is packed. `labels` are numbers; the names of their classes are kept apart."""

    id: int
    labels: tuple[float, ...]
    encoded: bytes
    key: str = ""
    """The picture's path relative to the folder that it was packed from, with forward slashes."""
    id2: int = 0
    """RecordIO's second id, which MXNet leaves at 0."""
    listed: bool = False
    """Whether RecordIO keeps a single label as a list of one (header flag 1); several are always a list."""


@dataclass(frozen=True)
class Damage:
    """One place of a packed file that is not as it was written."""

    file: Path
    offset: int
    """Bytes from the file's beginning."""
    record: str
    """The key or id of the record that it is in; empty where that cannot be told."""
    what: str


class Writer(Protocol):
    """Takes the records of one split, in their order."""

    @property
    def done(self) -> int:
        """How many records are already there, from a run with the same plan that was killed; go on behind them."""

    def add(self, record: Record) -> None:
        """Writes one record."""

    def sync(self) -> None:
        """Returns once all records are on the disk."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What a user gives to open the split, whole once the writer is left."""


class Packed(Dataset, Protocol):
    """A split in packed files: a dataset that also gives its records as they were written."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in the order of their records."""

    def record(self, index: int) -> Record:
        """Reads one record; raises DatasetError where it is damaged."""

    def find(self, key: str) -> int:
        """The place of a record by its key; raises KeyError."""

    def damage(self) -> Iterator[Damage | None]:
        """Compares every record with the checksums that were written with it: one item a record, None for a whole one,
        and more for damage between them.
        """


class Format(Protocol):
    """A way to keep a split in files, known by the suffix of one of them."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def suffix(self) -> str:
        """What the name of a file ends with that a user gives, such as ``.rec``; empty for a folder."""

    def writer(
        self, folder: Path, split: str, labels: Sequence[str], *, plan: str = "", shard_size: int | None = None
    ) -> AbstractContextManager[Writer]:
        """Writes a split into `folder`, with the names of the label numbers; nothing where it fails.

        Args:
            folder: made where it is missing.
            split: files are named after it.
            labels: the classes' names, in the order of their numbers.
            plan: a digest of what is to be written; records that a killed run with the same plan has left are kept.
                Empty: always begin anew.
            shard_size: bytes after which a format of many files begins the next one.
        """

    def open(self, files: Sequence[Path]) -> Packed:
        """Opens the files of a split as a dataset; raises DatasetError where they cannot be used."""
