"""The samples of one WebDataset tar: neighbouring members whose names are the same up to the first dot.

Source: the WebDataset format's description and ``webdataset.tariterators.base_plus_ext``. Which member means what:
one picture, ``cls`` (the class number as text) and ``json`` (see `texts`); members of other kinds are passed over.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.shards.format import Record
from milliner.shards.mapped import MappedFile
from milliner.shards.tar import MAGIC, MAGIC_AT, Member, TarReader
from milliner.shards.texts import parse, restore

UNKNOWN_PICTURE: Final = "bin"
"""The ending of a picture that is of no known format."""

_PICTURES: Final = frozenset(
    ("jpg", "jpeg", "jpe", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "pgm", "pbm", "avif", UNKNOWN_PICTURE)
)
_MAX_TEXT: Final = 2**22  # bytes of a cls or json member
_PACKED: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


@dataclass
class Span:
    """A sample as it lies in a tar."""

    key: str
    start: int
    end: int
    members: dict[str, Member] = field(default_factory=dict)
    """By their endings, in small letters."""


class Samples:
    """A mapped tar file and the samples in it. Safe to read from many threads."""

    def __init__(self, path: Path) -> None:
        """Raises DatasetError where the file cannot be read or is compressed."""
        self.path = path
        self._file = MappedFile(path)
        for signature, name in _PACKED.items():
            if self._file.bytes[: len(signature)] == signature:
                raise DatasetError(f"{path} is compressed with {name}, which cannot be read here and there; unpack it.")
        self.content = memoryview(self._file.bytes)
        self._tar = TarReader(self.content, path)

    def at(self, place: int, end: int | None = None) -> Span | None:
        """The sample that begins at `place`, or behind members that belong to none; None at the tar's end.

        Where its `end` is given, its bytes are known to be as they were written, and none behind are looked at.
        """
        span: Span | None = None
        known = end is not None
        while place != end and (member := self._tar.member(place, known=known)) is not None:
            self._file.touch(4096)  # a page for its header
            key, ending = _parts(member)
            if span and key and key != span.key:
                break
            place = member.end
            if not key:
                continue
            if span is None:
                span = Span(key, member.start, member.end)
            if ending in span.members:
                raise self.damaged(member.start, f"there are two members {key}.{ending}")
            span.members[ending], span.end = member, member.end
        return span

    def as_far_as_whole(self, place: int) -> Span | None:
        """The sample that begins right at `place`, as far as its members hold together; None where none does."""
        span: Span | None = None
        while (member := self._sound_member(place)) is not None:
            key, ending = _parts(member)
            if not key or (span and (key != span.key or ending in span.members)):
                break
            span = span or Span(key, place, place)
            span.members[ending], place = member, member.end
            span.end = place
        return span

    def next_header(self, place: int) -> int:
        """Where the next header is from `place` on, at any alignment, or the file's end."""
        found = self._file.bytes.find(MAGIC, place + MAGIC_AT)
        while found >= 0 and not self._tar.is_header(found - MAGIC_AT):
            found = self._file.bytes.find(MAGIC, found + 1)
        return found - MAGIC_AT if found >= 0 else len(self.content)

    def _sound_member(self, place: int) -> Member | None:
        try:
            return self._tar.member(place)
        except DatasetError:
            return None

    def fits(self, position: int, size: int, crc32: int) -> bool:
        """Whether so many bytes are there and have this CRC-32."""
        return position + size <= len(self.content) and self.crc32(position, position + size) == crc32

    def crc32(self, start: int, end: int) -> int:
        """Of the bytes from `start` to `end`."""
        self._file.touch(end - start)
        return zlib.crc32(self.content[start:end])

    def is_described(self, span: Span) -> bool:
        """Whether a sample has a ``json`` of ours."""
        return "json" in span.members and parse(self._text(span, "json")) is not None

    def all(self) -> Iterator[Span]:
        """Every sample, found by going from header to header; raises DatasetError where a key comes twice."""
        place, seen = 0, set()
        while (span := self.at(place)) is not None:
            if span.key in seen:
                raise self.damaged(span.start, f"the sample {span.key} comes a second time")
            seen.add(span.key)
            yield span
            place = span.end

    def record(self, span: Span, number: int) -> Record:
        """A sample as a record; where no ``json`` of ours says otherwise, `number` is its id and its key its key."""
        pictures = [ending for ending in span.members if ending.rpartition(".")[2] in _PICTURES]
        if len(pictures) != 1:
            found = "several pictures" if pictures else "no picture"
            raise self.damaged(span.start, f"the sample {span.key} has {found}, where one is needed")
        encoded = self._content_of(span.members[pictures[0]])
        described = parse(self._text(span, "json")) if "json" in span.members else None
        if described:
            return restore(described, encoded)
        return Record(number, (self.first_label(span),), encoded, span.key)

    def first_label(self, span: Span) -> float:
        """The class of a sample without a look at its picture; raises DatasetError where it says none."""
        if "json" in span.members and (described := parse(self._text(span, "json"))):
            return float(described["labels"][0])
        if "cls" not in span.members:
            raise self.damaged(span.start, f"the sample {span.key} has no .cls member that tells its class")
        text = self._text(span, "cls").strip()
        if not text.isdigit() or len(text) > 9:
            raise self.damaged(span.start, f"the .cls of the sample {span.key} is not a class number")
        return float(int(text))

    def record_key(self, span: Span) -> str:
        """The key of a sample as a record."""
        if "json" in span.members and span.members["json"].size <= _MAX_TEXT:
            described = parse(self._text(span, "json"))
            return str(described["key"]) if described else span.key
        return span.key

    def class_name(self, span: Span) -> str | None:
        """The name of its class that a sample's ``json`` gives."""
        described = parse(self._text(span, "json")) if "json" in span.members else None
        name = described.get("label") if described else None
        return name if isinstance(name, str) else None

    def touch(self, count: int) -> None:
        """Is told of so many bytes of `content` that are about to be read."""
        self._file.touch(count)

    def damaged(self, place: int, what: str) -> DatasetError:
        """The error that something about the sample at `place` is wrong."""
        return DatasetError(
            f"{self.path}: at byte {place} {what}; get the tar anew, "
            "or save what is whole with `milliner shards repair`."
        )

    def _text(self, span: Span, ending: str) -> bytes:
        member = span.members[ending]
        if member.size > _MAX_TEXT:
            raise self.damaged(member.start, f"the .{ending} of the sample {span.key} is over {_MAX_TEXT >> 20} MiB")
        return self._content_of(member)

    def _content_of(self, member: Member) -> bytes:
        self._file.touch(member.size)
        return bytes(self.content[member.begin : member.begin + member.size])


def _parts(member: Member) -> tuple[str, str]:
    """Key and ending of a member; no key where it belongs to no sample."""
    folder, slash, name = member.name.rpartition("/")
    stem, dot, ending = name.partition(".")
    if member.folder or not stem or not dot:
        return "", ""
    return folder + slash + stem, ending.lower()
