"""What every shard format has in common: the records, and the protocol that its file's `FORMAT` follows."""

from collections.abc import Sequence
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


class Writer(Protocol):
    """Takes the records of one file, in their order."""

    def add(self, record: Record, path: str) -> None:
        """Writes one record and the path that it was read from."""

    def sync(self) -> None:
        """Returns once all records are on the disk."""


class Format(Protocol):
    """A way to keep a split in files, known by the suffix of one of them."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def suffix(self) -> str:
        """What the file's name ends with that a user gives, such as ``.rec``."""

    def writer(self, path: Path, labels: Sequence[str]) -> AbstractContextManager[Writer]:
        """Writes `path` and what belongs beside it, with the names of the label numbers; nothing where it fails."""

    def open(self, path: Path) -> Dataset:
        """Opens a file as a dataset; raises DatasetError where it cannot be used."""
