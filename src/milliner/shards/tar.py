"""Tar files as far as samples need them: plain headers written, strangers' headers read from memory with care.

A member is a header of 512 bytes and its content, filled up with zeros to a multiple of 512; two blocks of zeros end
the file. Source: POSIX.1-2017, ``pax``, "ustar Interchange Format"; GNU tar's manual for long names and sizes.
Nothing is ever unpacked to disk, so a member's name can do no more than be refused.
"""

from pathlib import Path
from typing import Final, NamedTuple

from milliner.core.errors import DatasetError

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)

MAGIC, MAGIC_AT = b"ustar", 257
"""What every header of our time has, and where in it."""

_ZEROS: Final = bytes(BLOCK)
_CHECKSUM: Final = slice(148, 156)
_MAX_NOTES: Final = 2**15  # bytes of notes before one member: its long name and its extended header
_BEFORE_SIZE: Final = b"0000644\0" + 2 * b"0000000\0"  # mode, owner and group
_BEHIND_SIZE: Final = b"%011o\0" % 0  # when it was last changed
_TAIL: Final = b"0" + bytes(100) + b"ustar\x0000" + bytes(247)
_REGULAR, _FOLDER, _LONG_NAME, _LONG_LINK, _ABOUT_NEXT, _ABOUT_ALL = (b"0", b"\0", b"7"), b"5", b"L", b"K", b"x", b"g"
_REFUSED: Final = {
    b"1": "a link",
    b"2": "a link",
    b"S": "a sparse file",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
}


def padding(size: int) -> int:
    """How many zeros fill a content of so many bytes up."""
    return -size % BLOCK


def header(name: str, size: int) -> bytes:
    """The header of a regular file, the same on every machine; for names of up to 100 ASCII characters."""
    beginning = name.encode("ascii").ljust(100, b"\0") + _BEFORE_SIZE + b"%011o\0" % size + _BEHIND_SIZE
    checksum = sum(beginning) + 8 * ord(" ") + _TAIL_SUM
    return b"".join((beginning, b"%06o\0 " % checksum, _TAIL))


_TAIL_SUM: Final = sum(_TAIL)


class Member(NamedTuple):
    """A regular file of a tar, or a folder, which has no content; places are bytes from the tar's beginning."""

    name: str
    start: int
    """Of its first header."""
    begin: int
    """Of its content."""
    size: int
    folder: bool = False

    @property
    def end(self) -> int:
        """Where the next header begins."""
        return self.begin + self.size + padding(self.size)


class TarReader:
    """Reads the headers in the bytes of a tar file; raises DatasetError where they make no sense."""

    def __init__(self, content: memoryview, path: Path) -> None:
        self._content, self._path = content, path

    def member(self, place: int, *, known: bool = False) -> Member | None:
        """The member whose headers begin at `place`; None at the tar's end.

        `known` says that a checksum has been looked at already, so that the headers' own need not be.
        """
        start, name, size = place, "", None
        while True:
            block = self._header(place, known)
            if block == _ZEROS:
                return None
            kind, begin = block[156:157], place + BLOCK
            length = self._number(block[124:136], place) if size is None or kind not in _REGULAR else size
            if length > len(self._content) - begin:
                raise self._refused(place, f"promises {length} bytes where {len(self._content) - begin} are left")
            if kind in (*_REGULAR, _FOLDER):
                folder = kind == _FOLDER
                return Member(
                    self._safe(name or _own_name(block), start), start, begin, 0 if folder else length, folder
                )
            if kind not in (_LONG_NAME, _LONG_LINK, _ABOUT_NEXT, _ABOUT_ALL):
                raise self._refused(place, f"is {_REFUSED.get(kind, 'of no kind that is known')}, which no picture is")
            place = begin + length + padding(length)
            if place - start > _MAX_NOTES:
                raise self._refused(start, "has notes of absurd length")
            note = bytes(self._content[begin : begin + length])
            if kind == _LONG_NAME:
                name = _text(note)
            elif kind == _ABOUT_NEXT:
                about = self._about(note, start)
                name, size = about.get("path", name), self._stated_size(about, start)

    def is_header(self, place: int) -> bool:
        """Whether a block is a header that holds together."""
        block = bytes(self._content[place : place + BLOCK])
        return len(block) == BLOCK and block != _ZEROS and _checksum_fits(block)

    def _header(self, place: int, known: bool) -> bytes:
        block = bytes(self._content[place : place + BLOCK])
        if len(block) < BLOCK:
            raise DatasetError(
                f"{self._path} is cut short at byte {len(self._content)}; copy it again, "
                "or save what is whole with `milliner shards repair`."
            )
        if not known and block != _ZEROS and not _checksum_fits(block):
            raise self._refused(place, "is damaged")
        return block

    def _number(self, field: bytes, place: int) -> int:
        """Octal digits, or a binary number where the first bit is set, as GNU tar writes sizes over 8 GiB."""
        if field[0] & 0x80:
            return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        try:
            return int(field.strip(b" \0") or b"0", 8)
        except ValueError as error:
            raise self._refused(place, "has a size that is no number") from error

    def _about(self, note: bytes, place: int) -> dict[str, str]:
        """An extended header: lines of ``length name=value``."""
        found: dict[str, str] = {}
        while note:
            digits, _, _ = note[:8].partition(b" ")
            line, note = (note[: int(digits)], note[int(digits) :]) if digits.isdigit() and int(digits) else (b"", b"")
            name, sign, value = _text(line[len(digits) + 1 :]).removesuffix("\n").partition("=")
            if not sign:
                raise self._refused(place, "has notes that make no sense")
            if name.startswith("GNU.sparse"):
                raise self._refused(place, "is a sparse file, which no picture is")
            found[name] = value
        return found

    def _stated_size(self, about: dict[str, str], place: int) -> int | None:
        size = about.get("size")
        if size is None:
            return None
        if not size.isascii() or not size.isdigit() or len(size) > 20:
            raise self._refused(place, "has a size that is no number")
        return int(size)

    def _safe(self, name: str, place: int) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise self._refused(place, f"has the name {name!a}, which leads out of the tar")
        return "/".join(parts)

    def _refused(self, place: int, what: str) -> DatasetError:
        return DatasetError(
            f"{self._path}: the member at byte {place} {what}; get the tar anew, "
            "or save what is whole with `milliner shards repair`."
        )


def _checksum_fits(block: bytes) -> bool:
    stated = block[_CHECKSUM].strip(b" \0")
    if not stated.isdigit() or stated.strip(b"01234567"):
        return False
    return int(stated, 8) == sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")


def _own_name(block: bytes) -> str:
    name, prefix = _text(block[:100]), _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    """Names that are no UTF-8 keep their bytes as escapes, so that they can be shown and stored."""
    return field.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
