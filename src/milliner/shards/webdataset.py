"""WebDataset: ``<split>-000000.tar`` and its successors, each with its ``.sums``, and ``<split>.labels`` beside them.

One sample is ``<place>.<jpg, png, ...>``, ``<place>.cls`` where its first label is a class number, and
``<place>.json`` (see `texts`); places are of nine digits and count through the split.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.core.progress import Progress
from milliner.images.files import sync, write_atomically
from milliner.shards.classes import LABELS_SUFFIX, names_text
from milliner.shards.format import Format, Record
from milliner.shards.repair import Repaired
from milliner.shards.sample_writer import SampleWriter, sample
from milliner.shards.staging import DEFAULT_SHARD_SIZE, Staging, staged
from milliner.shards.sums import SUFFIX
from milliner.shards.tar_repair import repair
from milliner.shards.tars import TarsDataset
from milliner.shards.texts import record_key

_BUFFER: Final = 2**20


class WebDataset:
    """The format as a plug-in."""

    name = "webdataset"
    suffix = ".tar"

    @contextmanager
    def writer(
        self, folder: Path, split: str, labels: Sequence[str], *, plan: str = "", shard_size: int | None = None
    ) -> Iterator["TarsWriter"]:
        """Writes tars of at most `shard_size` bytes, or of one larger sample; all files appear together."""
        refuse_foreign_names(folder, split, labels)
        size = shard_size or DEFAULT_SHARD_SIZE
        with staged(folder, split, self.name, plan, (list(labels), size)) as staging:
            writer = TarsWriter(staging, labels, size)
            try:
                yield writer
                writer.finish()
            finally:
                writer.close()
            staging.appear(writer.names, earlier=_files_of(folder, split))

    def open(self, files: Sequence[Path]) -> TarsDataset:
        """Opens tars as one dataset, in the order that they are given in; strangers' ones are gone through once."""
        return TarsDataset(files)

    def repair(self, path: Path, *, into: Path, progress: Progress) -> Repaired:
        """Writes every whole sample of a damaged tar into the tar `into`, byte for byte."""
        return repair(path, into=into, progress=progress)


FORMAT: Final[Format] = WebDataset()


class TarsWriter:
    """Appends samples to tars."""

    def __init__(self, staging: Staging, labels: Sequence[str], shard_size: int) -> None:
        self._staging, self._labels, self._shard_size = staging, tuple(labels), shard_size
        self._place = self.done = staging.done
        self._tar: SampleWriter | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The tars."""
        started = self._staging.shards + (self._tar is not None)
        return tuple(self._staging.folder / self._name(number) for number in range(started))

    @property
    def names(self) -> dict[str, str]:
        """Every file of the split; the tars come last, so that where they are, the rest is too."""
        tars = [self._name(number) for number in range(self._staging.shards)]
        beside = [self._labels_name] if self._labels else []
        return {name: name for name in (*beside, *map(_sums_name, tars), *reversed(tars))}

    def add(self, record: Record) -> None:
        """Writes one sample, into the next tar where this one is full."""
        pieces = sample(record, self._place, self._labels)
        tar = self._open()
        if tar.size and tar.size + sum(map(len, pieces)) > self._shard_size:
            self._finish_shard()
            tar = self._open()
        tar.add(pieces, record.labels[0], record_key(record))
        self._place += 1

    def sync(self) -> None:
        """Returns once all records are on the disk."""
        if self._tar is not None:
            sync(self._tar.file)

    def finish(self) -> None:
        """Ends the last tar; a split without records is an empty one."""
        if self._tar is not None or not self._staging.shards:
            self._open()
            self._finish_shard()
        if self._labels:
            write_atomically(self._staging.path(self._labels_name), names_text(self._labels))

    def close(self) -> None:
        """Lets go of the tar that is being written."""
        if self._tar is not None:
            self._tar.file.close()
            self._tar = None

    @property
    def _labels_name(self) -> str:
        return f"{self._staging.split}{LABELS_SUFFIX}"

    def _name(self, number: int) -> str:
        return f"{self._staging.split}-{number:06}.tar"

    def _open(self) -> SampleWriter:
        if self._tar is None:
            path = self._staging.path(self._name(self._staging.shards))
            self._tar = SampleWriter(path.open("wb", buffering=_BUFFER), self._labels)
        return self._tar

    def _finish_shard(self) -> None:
        tar, name = self._open(), self._name(self._staging.shards)
        tar.finish(self._staging.path(_sums_name(name)), name, self._labels_name)
        self.close()
        self._staging.finish(tar.count)


def refuse_foreign_names(folder: Path, split: str, labels: Sequence[str]) -> None:
    """Raises DatasetError where other files of the split rely on a ``.labels`` file that says something else."""
    names, others = folder / f"{split}{LABELS_SUFFIX}", [folder / f"{split}.rec"]
    if names.exists() and any(path.exists() for path in others) and names.read_bytes() != names_text(labels):
        raise DatasetError(f"{names} names other classes for {others[0].name}; write into another folder.")


def _sums_name(tar: str) -> str:
    return str(Path(tar).with_suffix(SUFFIX))


def _files_of(folder: Path, split: str) -> list[Path]:
    """What an earlier run has written for a split; the tars go first, so that none is ever without its names."""
    pattern = re.compile(re.escape(split) + r"-\d{6}\.(tar|sums)")
    found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
    return [*sorted(found, key=lambda path: path.suffix != ".tar"), folder / f"{split}{LABELS_SUFFIX}"]
