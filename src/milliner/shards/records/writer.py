"""Writes a ``.rec`` with its ``.idx``, ``.lst``, ``.labels`` and ``.sums``, and goes on where a killed run was."""

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Final

from milliner.core.errors import DatasetError
from milliner.images.files import atomic_file, sync
from milliner.shards.format import Record
from milliner.shards.lists import format_line
from milliner.shards.records.behind import Behind
from milliner.shards.records.framing import frame, read
from milliner.shards.records.journal import Journal, journal
from milliner.shards.sums import SUFFIX, FileSum, SumsWriter

_BATCH: Final = 2**20  # bytes of records that are written at once
_BEHIND: Final = 16  # batches that wait to be written at most
_SYNC: Final = 2**24  # bytes after which what is written goes to the disk


@contextmanager
def writing(folder: Path, split: str, labels: Sequence[str], plan: str = "") -> Iterator["RecordWriter"]:
    """Writes ``<split>.rec`` and, beside it, the index, the list, the labels' names and checksums.

    All appear together. Where an earlier file was, it goes before the new files take their names, so that a kill
    at that moment never leaves records beside a foreign index or foreign labels. With a `plan`, what a killed run
    with the same plan and labels has left is verified and kept.
    """
    if any("\n" in label or "\r" in label for label in labels):
        raise DatasetError("A class name holds a line break, which a .labels file cannot hold; rename its folder.")
    path = folder / f"{split}.rec"
    with ExitStack() as files:
        # Left in reverse order: the .rec gets its name last, so that where it is, the rest is too.
        rec = files.enter_context(atomic_file(path, resume=bool(plan)))
        log = files.enter_context(journal(path, plan, labels))
        opened = {
            suffix: files.enter_context(atomic_file(path.with_suffix(suffix), resume=bool(plan) and suffix == ".lst"))
            for suffix in (".idx", ".lst", ".labels", SUFFIX)
        }
        writer = RecordWriter(path, {".rec": rec, **opened}, log, labels)
        files.callback(writer.close)
        yield writer
        writer.sync()
        path.unlink(missing_ok=True)


@dataclass
class _Batch:
    """Records that are written at once."""

    pieces: list[bytes] = field(default_factory=list)
    indexed: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    size: int = 0
    """Bytes of the pieces."""


class RecordWriter:
    """Appends records to the open files, a batch at a time."""

    def __init__(self, path: Path, files: Mapping[str, IO[bytes]], log: Journal, labels: Sequence[str]) -> None:
        self._path, self._files, self._journal = path, files, log
        self._sums, self._synced = SumsWriter(labels), -1
        self._written = {suffix: [0, 0] for suffix in (".idx", ".lst", ".labels")}  # bytes and their CRC-32
        self._behind, self._position, self._batch, self._unsynced = Behind(_BEHIND), 0, _Batch(), 0
        self._write(".labels", "".join(f"{label}\n" for label in labels).encode())
        self.done = self._resume()
        """Records that a killed run has left."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The record file."""
        return (self._path,)

    def add(self, record: Record) -> None:
        """Writes one record as im2rec's ``--pass-through`` does; raises DatasetError where the files cannot hold it."""
        pieces = frame(record)
        crc = 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
        self._add(record, pieces, crc)

    def add_framed(self, record: Record, framed: bytes) -> None:
        """Writes one record as it lies in another file."""
        self._add(record, [framed], zlib.crc32(framed))

    def sync(self) -> None:
        """Returns once all records and their checksums are on the disk."""
        self._flush()
        self._behind.wait()
        if self._synced == len(self._sums):
            return
        with self._named(SUFFIX):
            self._files[SUFFIX].seek(0)
            self._files[SUFFIX].truncate()
            self._sums.write_to(self._files[SUFFIX], self._file_sums())
        for suffix, file in self._files.items():
            with self._named(suffix):
                sync(file)
        self._synced = len(self._sums)

    def close(self) -> None:
        """Ends the thread that writes; what is not written then goes."""
        self._behind.close()

    def _add(self, record: Record, pieces: list[bytes], crc: int) -> None:
        if any(sign in record.key for sign in "\t\n\r"):
            raise DatasetError(
                f"{record.key!r} holds a tab or a line break, which a list cannot hold; rename the file."
            )
        line = format_line(record.id, record.labels, record.key)
        size = sum(map(len, pieces))
        self._batch.pieces += pieces
        self._batch.listed.append(line)
        self._batch.rows.append((size, crc, zlib.crc32(line.encode())))
        self._batch.size += size
        self._note(record, size, crc)
        if self._batch.size >= _BATCH:
            self._flush()

    def _note(self, record: Record, size: int, crc: int) -> None:
        self._batch.indexed.append(f"{record.id}\t{self._position}\n")
        self._sums.add(self._position, size, crc, record.labels[0] if record.labels else 0.0, record.key)
        self._position += size

    def _flush(self) -> None:
        self._behind.do(partial(self._write_batch, self._batch))
        self._batch = _Batch()

    def _write_batch(self, batch: "_Batch") -> None:
        """Hands a batch to the system, the journal last: what it tells of is there, should the process be killed."""
        self._write(".idx", "".join(batch.indexed).encode())
        self._write(".lst", "".join(batch.listed).encode())
        rec = self._files[".rec"]
        with self._named(".rec"):
            rec.write(b"".join(batch.pieces))
            rec.flush()
            self._unsynced += batch.size
            if self._unsynced >= _SYNC:  # the disk is busy while there is computing, not only afterwards
                sync(rec)
                self._unsynced = 0
            self._journal.add(batch.rows)

    def _write(self, suffix: str, content: bytes) -> None:
        with self._named(suffix):
            self._files[suffix].write(content)
            self._files[suffix].flush()
        self._tally(suffix, content)

    def _tally(self, suffix: str, content: bytes) -> None:
        size, crc = self._written[suffix]
        self._written[suffix] = [size + len(content), zlib.crc32(content, crc)]

    def _file_sums(self) -> list[FileSum]:
        small = [FileSum(self._path.with_suffix(end).name, *told) for end, told in self._written.items()]
        return [FileSum(self._path.name, self._position, None), *small]

    def _resume(self) -> int:
        """Takes over the records of a killed run that are as they were written, and cuts off what is behind them."""
        rec, lst, kept = self._files[".rec"], self._files[".lst"], 0
        left = os.fstat(rec.fileno()).st_size
        for size, crc, crc_of_line in self._journal.rows():
            framed, line = rec.read(size) if size <= left else b"", lst.readline()
            if len(framed) != size or zlib.crc32(framed) != crc or zlib.crc32(line) != crc_of_line:
                break
            key = line.decode().removesuffix("\n").rpartition("\t")[2]
            self._note(replace(read(framed, 0), key=key), size, crc)
            self._tally(".lst", line)
            kept, left = kept + 1, left - size
        for file, size in ((rec, self._position), (lst, self._written[".lst"][0])):
            file.seek(size)
            file.truncate()
        self._journal.keep(kept)
        return kept

    @contextmanager
    def _named(self, suffix: str) -> Iterator[None]:
        """Lets the system's errors name the file that was being written; many are open at once."""
        try:
            yield
        except OSError as error:
            error.filename = error.filename or str(self._path.with_suffix(suffix))
            raise
