"""WebDataset tars as a dataset: by their sidecars of checksums, or else by going through them once."""

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.shards.classes import LABELS_SUFFIX, read_names
from milliner.shards.format import Damage, Record
from milliner.shards.glance import undecodable
from milliner.shards.parts import PartsDataset, shared_names, sums_beside
from milliner.shards.samples import Samples, Span
from milliner.shards.staging import refuse_halfway
from milliner.shards.sums import SUFFIX, Sums
from milliner.shards.tar import END

_NUMBERED: Final = re.compile(r"(.+?)-?\d+$")


class Tar:
    """One tar and where its samples are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.samples = Samples(path)
        self.sums, self._fault = sums_beside(path)
        self._spans: list[Span] = []
        if self.sums is None:
            self._spans = list(self.samples.all())

    def __len__(self) -> int:
        return len(self._spans) if self.sums is None else len(self.sums)

    @property
    def first_labels(self) -> NDArray[Any]:
        """The first label of every sample."""
        if self.sums is not None:
            if not self.sums.sound("records"):
                raise DatasetError(f"{self.sums.path} is damaged; see `milliner shards verify {self.path}`.")
            return self.sums.labels
        return np.array([self.samples.first_label(span) for span in self._spans], np.float32)

    def class_names(self) -> dict[int, str]:
        """The names of class numbers that the samples themselves give."""
        found: dict[int, str] = {}
        for span in self._spans:
            number, name = self.samples.first_label(span), self.samples.class_name(span)
            if name is not None and number.is_integer():
                found.setdefault(int(number), name)
        return found

    def record(self, index: int, number: int) -> Record:
        """One sample, checked against its checksum where there is one; `number` is its place in the whole dataset."""
        if self.sums is None:
            return self.samples.record(self._spans[index], number)
        position, size, crc, _ = self.sums.row(index)
        if not self.samples.fits(position, size, crc):
            raise self.samples.damaged(position, f"the sample {self.sums.key(index)} is not as it was written")
        span = self.samples.at(position, position + size)
        if span is None or span.end != position + size:
            raise self.samples.damaged(position, "there is no sample, although its checksum is right")
        return self.samples.record(span, number)

    def key(self, index: int, number: int) -> str:
        """The key of a sample, whose picture is not looked at."""
        return self.sums.reliable.key(index) if self.sums is not None else self.samples.record_key(self._spans[index])

    def find(self, key: str) -> int:
        """The place of a sample in this tar by its key; raises KeyError."""
        return self.sums.find(key) if self.sums is not None else self._places[key]

    @cached_property
    def _places(self) -> dict[str, int]:
        records = range(len(self) - 1, -1, -1)  # of two with one key the first stays
        return {self.key(index, index): index for index in records}

    def damage(self) -> Iterator[Damage | None]:
        """An item for every sample, and more for damage between and around them."""
        if self._fault is not None:
            yield self._fault
        if self.sums is None:
            yield from self._unsound()
            return
        place = 0
        for index in range(len(self)):
            position, size, crc, _ = self.sums.row(index)
            sound = self.samples.fits(position, size, crc)
            key = "" if sound else self.sums.key(index)
            yield None if sound else Damage(self.path, position, key, "the sample is not as it was written")
            if position != place:
                yield Damage(self.path, place, "", "there are bytes between the samples")
            place = position + size
        if self.samples.content[place:] != END:
            yield Damage(self.path, min(place, len(self.samples.content)), "", "the tar does not end as it was written")
        beside = self.path.with_suffix(SUFFIX)
        for section in self.sums.damaged():
            yield Damage(
                beside, self.sums.place_of(section), "", f"the checksums' {section} are not as they were written"
            )
        yield from self._damage_beside()

    def _damage_beside(self) -> Iterator[Damage]:
        for file in self.sums.files if self.sums is not None and self.sums.sound("files") else ():
            path = self.path.with_name(file.name)
            if file.crc32 is None:
                continue
            content = path.read_bytes() if path.exists() and path.stat().st_size == file.size else b""
            if zlib.crc32(content) != file.crc32:
                yield Damage(path, 0, "", "the file is missing or not as it was written")

    def _unsound(self) -> Iterator[Damage | None]:
        """Without checksums: what cannot be read or decoded at all."""
        for index, span in enumerate(self._spans):
            try:
                what = undecodable(self.samples.record(span, index).encoded)
            except DatasetError as error:
                what = str(error)
            yield Damage(self.path, span.start, self.samples.record_key(span), what) if what else None


class TarsDataset(PartsDataset):
    """Tars as one dataset. Safe to read from many threads."""

    def __init__(self, files: Sequence[Path]) -> None:
        for folder, split in {(path.parent, split_of(path)) for path in files}:
            refuse_halfway(folder, split, "webdataset")
        self._tars = [Tar(path) for path in files]
        super().__init__(self._tars, self._find_names)

    def __reduce__(self) -> tuple[type["TarsDataset"], tuple[tuple[Path, ...]]]:
        return TarsDataset, (self.files,)

    def _find_names(self) -> tuple[str, ...]:
        if all(tar.sums is not None for tar in self._tars):
            return shared_names([tar.sums.names for tar in self._tars if tar.sums is not None], self.files)
        return names_beside(self.files[0], None) or self._names_inside()

    def _names_inside(self) -> tuple[str, ...]:
        found = {number: name for tar in reversed(self._tars) for number, name in tar.class_names().items()}
        named = sorted(found) == list(range(len(found))) and len(set(found.values())) == len(found)
        return tuple(found[number] for number in sorted(found)) if named else ()


def names_beside(tar: Path, sums: Sums | None) -> tuple[str, ...]:
    """The classes' names from a tar's checksums, or else from the text beside it; none where there are none."""
    return sums.names if sums is not None else read_names(tar.with_name(split_of(tar) + LABELS_SUFFIX))


def split_of(tar: Path) -> str:
    """The split that a tar belongs to: its name without the number at its end."""
    found = _NUMBERED.fullmatch(tar.stem)
    return found[1] if found else tar.stem
