"""How a record lies in a ``.rec``: a sequence of parts, each ``magic, flag << 29 | length, bytes, zeros``.

All is little-endian 32-bit, and the zeros fill up to a multiple of 4. A payload that holds the magic at a multiple
of 4 is cut there into parts flagged 1, 2 ... 3 and the magic itself is left out; other payloads are one part flagged
0. So the magic at a multiple of 4 begins a part wherever it is found. A payload begins with the image header ``flag
u32, label f32, id u64, id2 u64``; a flag above 0 counts further f32 labels behind it. Sources:
``dmlc-core/src/recordio.cc``, ``mxnet/recordio.py``, ``tools/im2rec.py``.
"""

import mmap
import struct
from collections.abc import Callable, Iterator
from typing import Final

from milliner.core.errors import DatasetError
from milliner.shards.format import Record
from milliner.shards.mapped import MappedFile

MAGIC: Final = b"\x0a\x23\xd7\xce"
PART: Final = struct.Struct("<4sI")
WHOLE, FIRST, MIDDLE, LAST = range(4)
STARTS: Final = (WHOLE, FIRST)
"""The flags of a record's first part."""

_HEADER: Final = struct.Struct("<IfQQ")
_LENGTH_MASK: Final = (1 << 29) - 1

_STEP: Final = 2**20  # bytes looked at together; a multiple of 4, so that no aligned magic lies across two

Buffer = bytes | mmap.mmap


class BrokenRecordError(ValueError):
    """A record that does not hold together; `place` is where the part begins that shows it."""

    def __init__(self, place: int, what: str) -> None:
        super().__init__(what)
        self.place, self.what = place, what


def frame(record: Record) -> list[bytes]:
    """The pieces that a record is written as, the bytes of ``im2rec --pass-through``.

    Raises DatasetError where the format cannot hold the record.
    """
    header = _header(record)
    size = len(header) + len(record.encoded)
    if size > _LENGTH_MASK:
        raise DatasetError(
            f"{record.key or record.id} has {len(record.encoded)} bytes, and a record holds less than 512 MiB; "
            "shrink the picture or leave it out."
        )
    if not (MAGIC in header or holds_magic(record.encoded)):
        return [PART.pack(MAGIC, size) + header, record.encoded, bytes(-size % 4)]
    return list(_cut(header + record.encoded))


def holds_magic(content: bytes | memoryview) -> bool:
    """Whether the magic is in there at a multiple of 4."""
    return any(
        place % 4 == 0
        for start in range(0, len(content), _STEP)
        for place in _places(bytes(content[start : start + _STEP]))
    )


def _places(piece: bytes) -> Iterator[int]:
    """Where the magic is in a piece that begins at a multiple of 4."""
    place = piece.find(MAGIC)
    while place >= 0:
        yield place
        place = piece.find(MAGIC, place + 1)


def parts(content: Buffer, position: int) -> Iterator[tuple[int, int, int]]:
    """Where the bytes of every part of a record begin and end, and where the part's zeros end.

    Raises BrokenRecordError where no record begins at `position` or it does not hold together.
    """
    place, allowed = position, STARTS
    while True:
        if place + PART.size > len(content):
            raise BrokenRecordError(place, "it is cut short")
        magic, word = PART.unpack_from(content, place)
        flag, length = word >> 29, word & _LENGTH_MASK
        start, padded = place + PART.size, place + PART.size + length + -length % 4
        if magic != MAGIC or flag not in allowed:
            raise BrokenRecordError(place, "no part of a record begins where one must")
        if padded > len(content):
            raise BrokenRecordError(place, "it is cut short, or its length is damaged")
        yield start, start + length, padded
        if flag in (WHOLE, LAST):
            return
        place, allowed = padded, (MIDDLE, LAST)


def flag_at(content: Buffer, position: int) -> int:
    """The flag of the part that begins there; -1 behind the end."""
    return PART.unpack_from(content, position)[1] >> 29 if position + PART.size <= len(content) else -1


def walk(content: Buffer, touch: Callable[[int], None]) -> Iterator[int]:
    """Where every record begins; raises BrokenRecordError at the first damage.

    `touch` is told of the bytes that were gone over.
    """
    place = 0
    while place < len(content):
        end = end_of(content, place)
        touch(end - place)
        yield place
        place = end


def end_of(content: Buffer, position: int) -> int:
    """Where the record ends that begins at `position`; raises BrokenRecordError."""
    return list(parts(content, position))[-1][2]


def check(content: Buffer, position: int) -> int:
    """Looks at all that a record's frame tells, and returns where it ends; raises BrokenRecordError."""
    found = list(parts(content, position))
    for start, end, padded in found:
        if holds_magic(memoryview(content)[start:end]):
            raise BrokenRecordError(start - PART.size, "its length is damaged, for another part begins inside")
        if any(content[end:padded]):
            raise BrokenRecordError(end, "the bytes behind it are not zeros")
    read(content, position)
    return found[-1][2]


def framed(file: MappedFile, position: int) -> bytes:
    """A record's bytes as they lie in a file, as far as it goes; nothing where no record begins."""
    start = file.read(position, position + PART.size)
    if len(start) < PART.size:
        return b""
    magic, word = PART.unpack(start)
    if magic == MAGIC and word >> 29 == WHOLE:
        length = word & _LENGTH_MASK
        return file.read(position, position + PART.size + length + -length % 4)
    try:
        return file.read(position, end_of(file.bytes, position))
    except BrokenRecordError:
        return b""


def read(content: Buffer, position: int = 0, key: str = "", known: bool = False) -> Record:
    """The record that begins at `position`; raises BrokenRecordError. `known` is one whose checksum fits."""
    found = [(start, end) for start, end, _ in parts(content, position)]
    if not known and any(holds_magic(memoryview(content)[start:end]) for start, end in found):
        raise BrokenRecordError(position, "its length is damaged, for another part begins inside")
    (start, end), source = found[0], content
    if len(found) > 1:
        source = MAGIC.join(content[start:end] for start, end in found)
        start, end = 0, len(source)
    if end - start < _HEADER.size:
        raise BrokenRecordError(position, "it is shorter than its header")
    count, label, identity, id2 = _HEADER.unpack_from(source, start)
    start += _HEADER.size
    if start + 4 * count > end:
        raise BrokenRecordError(position, "it claims more labels than it holds")
    labels = struct.unpack_from(f"<{count}f", source, start) if count else (label,)
    return Record(identity, labels, source[start + 4 * count : end], key, id2=id2, listed=count == 1)


def head(content: Buffer, position: int) -> tuple[int, float, int]:
    """A record's id, first label and end, without copying its picture; raises BrokenRecordError."""
    start, end, _ = next(parts(content, position))
    if end - start < _HEADER.size + 4:
        record = read(content, position)
        return record.id, record.labels[0], end_of(content, position)
    count, label, identity, _ = _HEADER.unpack_from(content, start)
    if count:
        (label,) = struct.unpack_from("<f", content, start + _HEADER.size)
    return identity, label, end_of(content, position)


def _header(record: Record) -> bytes:
    try:
        if len(record.labels) == 1 and not record.listed:
            return _HEADER.pack(0, record.labels[0], record.id, record.id2)
        labels = struct.pack(f"<{len(record.labels)}f", *record.labels)
        return _HEADER.pack(len(record.labels), 0.0, record.id, record.id2) + labels
    except (struct.error, OverflowError) as error:
        raise DatasetError(
            f"{record.key or record.id} has an id or a label that a record cannot hold; use ids from 0 to 2^64 - 1 "
            "and labels of 32-bit floats."
        ) from error


def _cut(payload: bytes) -> Iterator[bytes]:
    start = 0
    for cut in _aligned_magics(payload):
        yield PART.pack(MAGIC, (MIDDLE if start else FIRST) << 29 | (cut - start))
        yield payload[start:cut]
        start = cut + 4
    yield PART.pack(MAGIC, (LAST if start else WHOLE) << 29 | (len(payload) - start))
    yield payload[start:]
    yield bytes(-(len(payload) - start) % 4)


def _aligned_magics(payload: bytes) -> Iterator[int]:
    place = payload.find(MAGIC)
    while place >= 0:
        if place % 4 == 0:
            yield place
        place = payload.find(MAGIC, place + 1 if place % 4 else place + 4)
