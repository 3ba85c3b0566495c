"""A sample, and the sequence of samples that every stage reads from."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol


@dataclass(frozen=True)
class Sample:
    """One labelled picture, still encoded, as it lies in a folder or a record."""

    key: str
    """Names the sample in its dataset: the path relative to a folder's root, or the record's number."""
    label: str
    encoded: bytes
    """The picture file's bytes, untouched."""

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the encoded bytes: the sample's identity in ledgers and caches."""
        return hashlib.sha256(self.encoded).hexdigest()


def fingerprint(pictures: Iterable[tuple[str, str]]) -> str:
    """Hex SHA-256 over pictures' (sha256, label) pairs: a dataset's identity, whatever its order, names and copies."""
    lines = sorted({f"{sha256}\t{label}\n" for sha256, label in pictures})
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class Dataset(Protocol):
    """A random-access sequence of samples; reading one touches only that one. Safe to read from many threads."""

    @property
    def name(self) -> str:
        """Where it is, as a person would write it."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of their numbers."""
        ...

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every sample, known without reading the pictures."""
        ...

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """What `self[index].key` is, also where the picture itself cannot be read."""
        ...

    def __getitem__(self, index: int) -> Sample: ...
