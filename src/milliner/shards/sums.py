"""Checksums beside a packed file: where every record is, how long, its CRC-32, label and key, in a ``.sums`` sidecar.

All numbers are little-endian. The file is a head, a table, and the sections that the table lists::

    magic      8 bytes  b"MILLSUMS"
    version    u32      1
    sections   u32      rows of the table
    records    u64
    size       u64      bytes of this file
    table      for each section: name (16 bytes, padded with zeros), offset u64, bytes u64, CRC-32 u32, zero u32
    zero       u32
    CRC-32     u32      of all before it

Every section begins at a multiple of 8; its CRC-32 is also over the zeros that fill it up to one.
The sections::

    records    of every record, in the order of the packed file, 32 bytes:
               position u64   where it begins, in bytes from the packed file's beginning
               size     u64   its bytes as they lie there, with its own headers and padding
               crc      u32   CRC-32 (zlib's) over those bytes
               label    f32   its first label
               key_end  u64   where its key ends in `keys`
    keys       the keys one behind the other, UTF-8
    hashes     u64 each: BLAKE2b-64 of every key, sorted
    places     u64 each: the record of every hash
    names      the classes' names in the order of their numbers, UTF-8, a line each
    files      of every file that belongs to the split, a line ``bytes<tab>CRC-32 in hex, - for none<tab>name``

Sections are mapped and read where they are needed: a sidecar of ten million records opens as fast as one of ten.
"""

import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from milliner.core.errors import DatasetError
from milliner.images.files import atomic_file
from milliner.shards.mapped import MappedFile

if TYPE_CHECKING:  # writers do without numpy, so that packing begins at once
    import numpy as np
    from numpy.typing import NDArray

SUFFIX: Final = ".sums"
"""What the sidecar's name ends with."""

_MAGIC: Final = b"MILLSUMS"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<8sIIQQ")
_ROW: Final = struct.Struct("<16sQQII")
_CRC: Final = struct.Struct("<II")  # zero, and the checksum of the head and the table
_MAX_SECTIONS: Final = 64
_ROWS: Final = 2**15  # that are read at once
_NUMBER: Final = struct.Struct("<Q")
_RECORD: Final = struct.Struct("<QQIfQ")
_COLUMNS: Final = [("position", "<u8"), ("size", "<u8"), ("crc", "<u4"), ("label", "<f4"), ("key_end", "<u8")]
_SECTIONS: Final = {"records": _RECORD.size, "keys": 0, "hashes": 8, "places": 8, "names": 0, "files": 0}
"""Bytes of each for a record; 0 where they differ."""


@dataclass(frozen=True)
class FileSum:
    """A file that belongs to a split, as it was written."""

    name: str
    """Its name without the folder."""
    size: int
    """Bytes."""
    crc32: int | None
    """None for the packed file itself, whose records have their own."""


class SumsWriter:
    """Collects the rows of a sidecar, some fifty bytes and the key for each record."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """`names` are the classes', in the order of their numbers."""
        self._names = tuple(names)
        self._rows, self._hashes, self._keys = bytearray(), bytearray(), bytearray()

    def __len__(self) -> int:
        """Rows."""
        return len(self._hashes) // 8

    def add(self, position: int, size: int, crc32: int, label: float, key: str) -> None:
        """Takes the next record of the packed file; see the module for what the numbers are."""
        encoded = key.encode()
        self._keys += encoded
        self._hashes += _hash(encoded)
        self._rows += _RECORD.pack(position, size, crc32, label, len(self._keys))

    def write(self, path: Path, files: Sequence[FileSum] = ()) -> None:
        """Writes the sidecar at once or not at all; `files` are those whose wholeness it is to tell of."""
        with atomic_file(path) as file:
            self.write_to(file, files)

    def write_to(self, file: IO[bytes], files: Sequence[FileSum] = ()) -> None:
        """Writes the sidecar into an open, empty file."""
        sections = self._sections(files)
        place = _HEAD.size + len(sections) * _ROW.size + _CRC.size
        rows = []
        for name, content in sections.items():
            crc = zlib.crc32(_filling(content), zlib.crc32(content))
            rows.append(_ROW.pack(name.encode(), place, len(content), crc, 0))
            place = _aligned(place + len(content))
        head = _HEAD.pack(_MAGIC, _VERSION, len(sections), len(self), place) + b"".join(rows) + bytes(4)
        file.write(head + struct.pack("<I", zlib.crc32(head)))
        for content in sections.values():
            file.write(content)
            file.write(_filling(content))

    def _sections(self, files: Sequence[FileSum]) -> dict[str, bytes]:
        hashes = [number for (number,) in _NUMBER.iter_unpack(self._hashes)]
        places = sorted(range(len(hashes)), key=hashes.__getitem__)
        return {
            "records": bytes(self._rows),
            "keys": bytes(self._keys),
            "hashes": b"".join(_NUMBER.pack(hashes[place]) for place in places),
            "places": b"".join(map(_NUMBER.pack, places)),
            "names": "".join(f"{name}\n" for name in self._names).encode(),
            "files": "".join(f"{file.size}\t{_hex(file.crc32)}\t{file.name}\n" for file in files).encode(),
        }


class Sums:
    """A sidecar as it was written. Safe to read from many threads."""

    def __init__(self, file: MappedFile, records: int, sections: dict[str, tuple[int, int, int]]) -> None:
        """Use `open`."""
        self.path, self._file, self._records, self._sections = file.path, file, records, sections

    @classmethod
    def open(cls, path: Path) -> "Sums":
        """Maps a sidecar and checks its table; raises DatasetError where that is damaged. `damaged` checks the rest."""
        file = MappedFile(path)
        try:
            magic, version, count, records, size = _HEAD.unpack_from(file.bytes)
            end = _HEAD.size + min(count, _MAX_SECTIONS) * _ROW.size
            known = magic == _MAGIC and _CRC.unpack_from(file.bytes, end)[1] == zlib.crc32(file.bytes[: end + 4])
            if known and version > _VERSION:
                raise DatasetError(f"{path} was written by a later version; update milliner.")
            if not known or size != len(file) or count > _MAX_SECTIONS:
                raise _damaged(path)
            rows = [_ROW.unpack_from(file.bytes, _HEAD.size + place * _ROW.size) for place in range(count)]
        except struct.error as error:
            raise _damaged(path) from error
        sections = {name.rstrip(b"\0").decode(): (offset, length, crc) for name, offset, length, crc, _ in rows}
        for name, width in _SECTIONS.items():
            offset, length, _ = sections.get(name, (0, -1, 0))
            if length != (width * records or length) or length < 0 or _aligned(offset + length) > size:
                raise _damaged(path)
        return cls(file, records, sections)

    def __len__(self) -> int:
        """Records."""
        return self._records

    @property
    def positions(self) -> "NDArray[np.uint64]":
        """Where each record begins, in bytes."""
        return self._columns["position"]  # type: ignore[no-any-return]

    @property
    def sizes(self) -> "NDArray[np.uint64]":
        """Bytes of each record as it lies there."""
        return self._columns["size"]  # type: ignore[no-any-return]

    @property
    def crcs(self) -> "NDArray[np.uint32]":
        """CRC-32 of each record."""
        return self._columns["crc"]  # type: ignore[no-any-return]

    @property
    def labels(self) -> "NDArray[np.float32]":
        """First label of each record."""
        return self._columns["label"]  # type: ignore[no-any-return]

    @cached_property
    def _columns(self) -> Any:
        import numpy as np

        buffer: Any = self._file.bytes
        return np.frombuffer(buffer, _COLUMNS, self._records, self._sections["records"][0])

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names in the order of their numbers."""
        return tuple(self._text("names").split("\n")[:-1])

    @property
    def files(self) -> tuple[FileSum, ...]:
        """The files of the split, as they were written."""
        rows = [line.split("\t", 2) for line in self._text("files").split("\n")[:-1]]
        return tuple(FileSum(name, int(size), None if crc == "-" else int(crc, 16)) for size, crc, name in rows)

    def row(self, index: int) -> tuple[int, int, int, float]:
        """Position, size, CRC-32 and first label of a record; memory stays flat however many are asked for."""
        start = self._sections["records"][0] + index * _RECORD.size
        position, size, crc, label, _ = _RECORD.unpack(self._file.read(start, start + _RECORD.size))
        return position, size, crc, label

    def rows(self) -> Iterator[tuple[int, int, int, float]]:
        """`row` of every record, in their order, read many at once."""
        for rows in self._many_rows():
            yield from ((position, size, crc, label) for position, size, crc, label, _ in _RECORD.iter_unpack(rows))

    def first_labels(self) -> "NDArray[np.float32]":
        """`labels` in memory, without the other columns."""
        import numpy as np

        labels, count = np.empty(len(self), np.float32), 0
        for rows in self._many_rows():
            some = np.frombuffer(rows, _COLUMNS)["label"]
            labels[count : count + len(some)] = some
            count += len(some)
        return labels

    @cached_property
    def reliable(self) -> "Sums":
        """These checksums, once the records' rows and keys were found to be as written; raises DatasetError."""
        if not self.sound("records", "keys"):
            raise _damaged(self.path)
        return self

    def key(self, index: int) -> str:
        """The key of a record."""
        return self.row_and_key(index)[1]

    def row_and_key(self, index: int) -> tuple[tuple[int, int, int, float], str]:
        """`row` and `key` of a record at once."""
        offset, length, _ = self._sections["keys"]
        place, before = self._sections["records"][0] + index * _RECORD.size, _RECORD.size if index else 0
        rows = self._file.read(place - before, place + _RECORD.size)
        start = _RECORD.unpack_from(rows)[4] if index else 0
        position, size, crc, label, end = _RECORD.unpack_from(rows, before)
        key = self._file.read(offset + start, offset + min(end, length)).decode(errors="replace")
        return (position, size, crc, label), key

    def find(self, key: str) -> int:
        """The place of the first record with this key; raises KeyError."""
        (wanted,) = _NUMBER.unpack(_hash(key.encode()))
        place = bisect_left(range(len(self)), wanted, key=partial(self._number, "hashes"))
        while place < len(self) and self._number("hashes", place) == wanted:
            index = self._number("places", place)
            if index < len(self) and self.key(index) == key:
                return index
            place += 1
        raise KeyError(key)

    def damaged(self) -> tuple[str, ...]:
        """The sections that are not as they were written; reads the whole sidecar."""
        return tuple(name for name in self._sections if not self.sound(name))

    def sound(self, *names: str) -> bool:
        """Whether these sections are as they were written; reads them."""
        return all(self._crc(offset, length) == crc for offset, length, crc in map(self._sections.__getitem__, names))

    def place_of(self, section: str) -> int:
        """Where a section begins, in bytes from the sidecar's beginning."""
        return self._sections[section][0]

    def _crc(self, offset: int, length: int) -> int:
        return self._file.crc32(offset, _aligned(offset + length))

    def _many_rows(self) -> Iterator[bytes]:
        start, end = self._sections["records"][0], self._sections["records"][0] + len(self) * _RECORD.size
        for place in range(start, end, _ROWS * _RECORD.size):
            yield self._file.read(place, min(place + _ROWS * _RECORD.size, end))

    def _number(self, name: str, index: int) -> int:
        start = self._sections[name][0] + index * _NUMBER.size
        return int(_NUMBER.unpack(self._file.read(start, start + _NUMBER.size))[0])

    def _text(self, name: str) -> str:
        offset, length, crc = self._sections[name]
        if self._crc(offset, length) != crc:
            raise _damaged(self.path)
        return bytes(self._file.bytes[offset : offset + length]).decode()


def _aligned(place: int) -> int:
    return place + -place % 8


def _filling(content: bytes) -> bytes:
    return bytes(-len(content) % 8)


def _hash(key: bytes) -> bytes:
    return blake2b(key, digest_size=8).digest()


def _hex(crc32: int | None) -> str:
    return "-" if crc32 is None else f"{crc32:08x}"


def _damaged(path: Path) -> DatasetError:
    return DatasetError(f"{path} is damaged or no file of checksums; delete it or pack again.")
