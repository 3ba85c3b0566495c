"""MXNet's RecordIO, read and written without MXNet: ``.rec`` with its ``.idx``, ``.lst`` and ``.labels``.

A record is a sequence of parts, each ``magic, flag << 29 | length, bytes, zeros to a multiple of 4``, all
little-endian 32-bit. A payload that holds the magic at a multiple of 4 is cut there into parts flagged 1, 2 ... 3
and the magic itself is left out; other payloads are one part flagged 0. A payload begins with the image header
``flag u32, label f32, id u64, id2 u64``; a flag above 0 counts further f32 labels behind it. Sources:
``dmlc-core/src/recordio.cc``, ``mxnet/recordio.py``, ``tools/im2rec.py``.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, Final

from milliner.core.errors import DatasetError
from milliner.core.sample import Sample
from milliner.images.files import atomic_file, sync
from milliner.shards.format import Damage, Format, Record
from milliner.shards.lists import format_line, read_lines, read_list

_MAGIC: Final = b"\x0a\x23\xd7\xce"
_PART: Final = struct.Struct("<4sI")
_HEADER: Final = struct.Struct("<IfQQ")
_LENGTH_MASK: Final = (1 << 29) - 1
_MAX_RESIDENT: Final = 16 * 2**20  # bytes of a file that are kept mapped after reading them, about
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


class RecordIO:
    """The format as a plug-in."""

    name = "recordio"
    suffix = ".rec"

    @contextmanager
    def writer(
        self, folder: Path, split: str, labels: Sequence[str], *, plan: str = "", shard_size: int | None = None
    ) -> Iterator["RecordWriter"]:
        """Writes ``<split>.rec`` and, beside it, the index, the list and the labels' names; all appear together.

        Where an earlier file was, it goes before the new files take their names, so that a kill at that
        moment never leaves records beside a foreign index or foreign labels.
        """
        if any("\n" in label or "\r" in label for label in labels):
            raise DatasetError("A class name holds a line break, which a .labels file cannot hold; rename its folder.")
        path = folder / f"{split}{self.suffix}"
        with ExitStack() as files:
            # Left in reverse order: the .rec gets its name last, so that where it is, the rest is too.
            rec = files.enter_context(atomic_file(path))
            idx = files.enter_context(atomic_file(path.with_suffix(".idx")))
            lst = files.enter_context(atomic_file(path.with_suffix(".lst")))
            names = files.enter_context(atomic_file(path.with_suffix(".labels")))
            names.write("".join(f"{label}\n" for label in labels).encode())
            sync(names)
            writer = RecordWriter(path, rec, idx, lst)
            yield writer
            writer.sync()
            path.unlink(missing_ok=True)

    def open(self, files: Sequence[Path]) -> "RecordDataset":
        """Opens a record file as a dataset."""
        (path,) = files
        return RecordDataset(path)


FORMAT: Final[Format] = RecordIO()


class RecordWriter:
    """Appends records to an open file and their places to its index and list."""

    def __init__(self, path: Path, rec: IO[bytes], idx: IO[bytes], lst: IO[bytes]) -> None:
        self._path, self._rec, self._idx, self._lst = path, rec, idx, lst
        self._position = 0
        self.done = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """The record file."""
        return (self._path,)

    def add(self, record: Record) -> None:
        """Writes one record as im2rec's ``--pass-through`` does; raises ValueError over 2^29 - 1 bytes."""
        with self._named(".idx"):
            self._idx.write(f"{record.id}\t{self._position}\n".encode())
        with self._named(".lst"):
            self._lst.write(format_line(record.id, record.labels, record.key).encode())
        with self._named(".rec"):
            for piece in _pieces(_pack(record)):
                self._rec.write(piece)
                self._position += len(piece)

    def sync(self) -> None:
        """Returns once all records are on the disk."""
        for suffix, file in ((".rec", self._rec), (".idx", self._idx), (".lst", self._lst)):
            with self._named(suffix):
                sync(file)

    @contextmanager
    def _named(self, suffix: str) -> Iterator[None]:
        """Lets the system's errors name the file that was being written; many are open at once."""
        try:
            yield
        except OSError as error:
            error.filename = error.filename or str(self._path.with_suffix(suffix))
            raise


def _pack(record: Record) -> bytes:
    if len(record.labels) == 1:
        return _HEADER.pack(0, record.labels[0], record.id, 0) + record.encoded
    labels = struct.pack(f"<{len(record.labels)}f", *record.labels)
    return _HEADER.pack(len(record.labels), 0.0, record.id, 0) + labels + record.encoded


def _pieces(payload: bytes) -> Iterator[bytes]:
    if len(payload) > _LENGTH_MASK:
        raise ValueError(f"a record holds at most {_LENGTH_MASK} bytes, not {len(payload)}")
    start = 0
    for cut in _aligned_magics(payload):
        yield _PART.pack(_MAGIC, (_MIDDLE if start else _FIRST) << 29 | (cut - start))
        yield payload[start:cut]
        start = cut + 4
    yield _PART.pack(_MAGIC, (_LAST if start else _WHOLE) << 29 | (len(payload) - start))
    yield payload[start:]
    yield bytes(-(len(payload) - start) % 4)


def _aligned_magics(payload: bytes) -> Iterator[int]:
    place = payload.find(_MAGIC)
    while place >= 0:
        if place % 4 == 0:
            yield place
        place = payload.find(_MAGIC, place + 1 if place % 4 else place + 4)


class RecordFile:
    """A record file mapped into memory; records by position. Safe to read from many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({error.strerror}); check the path and its rights.") from error
        if not size:
            raise DatasetError(f"{path} is empty; pack it again.")
        self._touched = 0

    def __len__(self) -> int:
        """Bytes."""
        return len(self._bytes)

    def positions(self) -> Iterator[int]:
        """Where every record begins, found by walking through the file."""
        place = 0
        while place < len(self._bytes):
            yield place
            for _, end in self._parts(place):
                place = end

    def read(self, position: int) -> Record:
        """The record that begins at `position`; raises DatasetError where there is none or it is cut short."""
        payload = _MAGIC.join(part for part, _ in self._parts(position))
        if len(payload) < _HEADER.size:
            raise self._damaged(position)
        count, label, identity, _ = _HEADER.unpack_from(payload)
        start = _HEADER.size + 4 * count
        if start > len(payload):
            raise self._damaged(position)
        labels = struct.unpack_from(f"<{count}f", payload, _HEADER.size) if count else (label,)
        return Record(identity, labels, payload[start:])

    def first_label(self, position: int) -> float:
        """The label of a record without copying its picture (the first one of several)."""
        flag, payload, _ = self._part(position)
        if flag == _WHOLE and len(payload) >= _HEADER.size + 4:
            count, label = struct.unpack_from("<If", payload)
            return float(struct.unpack_from("<f", payload, _HEADER.size)[0] if count else label)
        return self.read(position).labels[0]

    def _parts(self, position: int) -> Iterator[tuple[memoryview, int]]:
        """The parts of the record that begins at `position`, each with the place where it ends."""
        place, allowed = position, (_WHOLE, _FIRST)
        while True:
            flag, payload, end = self._part(place)
            if flag not in allowed:
                raise self._damaged(place)
            yield payload, end
            if flag in (_WHOLE, _LAST):
                return
            place, allowed = end, (_MIDDLE, _LAST)

    def _part(self, place: int) -> tuple[int, memoryview, int]:
        if place + _PART.size > len(self._bytes):
            raise self._damaged(place)
        magic, word = _PART.unpack_from(self._bytes, place)
        length, start = word & _LENGTH_MASK, place + _PART.size
        end = start + length + -length % 4
        if magic != _MAGIC or word >> 29 > _LAST or end > len(self._bytes):
            raise self._damaged(place)
        self._forget(end - place)
        return word >> 29, memoryview(self._bytes)[start : start + length], end

    def _forget(self, count: int) -> None:
        """Gives pages back now and then, so that reading a large file does not look like holding it.

        They stay in the system's cache, and come back by themselves where they are still in use.
        """
        self._touched += count
        if self._touched > _MAX_RESIDENT and isinstance(self._bytes, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            self._bytes.madvise(mmap.MADV_DONTNEED)

    def _damaged(self, place: int) -> DatasetError:
        return DatasetError(
            f"{self.path} is damaged or cut short at byte {place} of {len(self._bytes)}; copy or pack it again."
        )


class RecordDataset:
    """A record file as a dataset; labels have the names of its ``.labels`` file, or their numbers without one."""

    def __init__(self, path: Path) -> None:
        self._file = RecordFile(path)
        self._path = path
        self._positions = self._read_index()
        names = self._read_names()
        numbers = [self._number(position) for position in self._positions]
        self._labels = names or tuple(str(number) for number in sorted(set(numbers)))
        place = {number: number if names else place for place, number in enumerate(sorted(set(numbers)))}
        self._targets = [place[number] for number in numbers]
        if names and max(numbers, default=0) >= len(names):
            raise DatasetError(
                f"{path} has a label {max(numbers)}, but {path.with_suffix('.labels')} names {len(names)} classes; "
                "pack it again."
            )

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names in the order of their numbers."""
        return self._labels

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every record (its first label)."""
        return self._targets

    def __len__(self) -> int:
        return len(self._positions)

    def key(self, index: int) -> str:
        """The path that the ``.lst`` names, or the record's id."""
        return self._key(self._file.read(self._positions[index]))

    def __getitem__(self, index: int) -> Sample:
        """Reads one record."""
        record = self.record(index)
        return Sample(self._key(record), self._labels[self._targets[index]], record.encoded)

    @property
    def files(self) -> tuple[Path, ...]:
        """The record file."""
        return (self._path,)

    def record(self, index: int) -> Record:
        """Reads one record as it was written."""
        record = self._file.read(self._positions[index])
        return replace(record, key=self._key(record))

    def find(self, key: str) -> int:
        """The place of a record by its key; raises KeyError."""
        return self._places[key]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {self.key(index): index for index in range(len(self))}

    def damage(self) -> Iterator[Damage | None]:
        """Walks through the file; there are no checksums yet."""
        for _ in self._file.positions():
            yield None

    def _key(self, record: Record) -> str:
        return self._paths.get(record.id, str(record.id))

    @cached_property
    def _paths(self) -> dict[int, str]:
        path = self._path.with_suffix(".lst")
        return {line.id: line.path for line in read_list(path)} if path.exists() else {}

    def _read_names(self) -> tuple[str, ...]:
        path = self._path.with_suffix(".labels")
        if not path.exists():
            return ()
        names = tuple(read_lines(path))
        if len(set(names)) < len(names) or "" in names:
            raise DatasetError(f"{path} has an empty line or one name twice; give every class its own or pack again.")
        return names

    def _number(self, position: int) -> int:
        label = self._file.first_label(position)
        if not label.is_integer() or label < 0:
            raise DatasetError(
                f"{self._path} has the label {label}, which is not a class number; pack it with 0, 1, 2 ..."
            )
        return int(label)

    def _read_index(self) -> list[int]:
        """Where the records are, in the index's order; an index that leaves one out or misses one is refused."""
        positions = list(self._file.positions())
        path = self._path.with_suffix(".idx")
        if not path.exists():
            return positions
        try:
            listed = [int(line.split("\t")[1]) for line in read_lines(path)]
        except (ValueError, IndexError) as error:
            raise DatasetError(f"{path} is not an index of id<tab>position lines; delete it or pack again.") from error
        if sorted(listed) != positions:
            raise DatasetError(f"{path} does not fit {self._path}; delete the index or pack again.")
        return listed
