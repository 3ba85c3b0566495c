"""Pictures inside tar and zip files, which strangers made: nothing is unpacked to disk, every size is bounded."""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, BinaryIO, Final, Self

from milliner.core.errors import FetchError, UnreadableImageError
from milliner.images.decode import MAX_BYTES
from milliner.sources.label import checked_label
from milliner.sources.source import Wanted

ARCHIVES: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")

_PICTURES: Final = re.compile(r"\.(jpe?g|jpe|png|webp|gif|bmp|tiff?|p[bgp]m|avif)$", re.IGNORECASE)
_MAX_RATIO: Final = 100  # unpacked bytes for a packed one; pictures hardly pack at all
_NOTES: Final = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_MAX_NOTE: Final = 2**20
_GRACE: Final = 64 * 2**20  # unpacked bytes that are never called a bomb
_DAMAGE: Final = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)


def is_archive(path: str) -> bool:
    """Whether a name ends like an archive's."""
    return path.lower().endswith(ARCHIVES)


def is_picture(path: str) -> bool:
    """Whether a name ends like a picture's; its bytes decide later."""
    return bool(_PICTURES.search(path))


def label_of(path: str, label: str | None, place: str) -> str:
    """The given class, else the folder that a picture lies in; raises FetchError where there is neither."""
    if label is not None:
        return label
    parent = PurePosixPath(path).parent.name
    if not parent or parent == "..":
        raise FetchError(f"{place} has pictures outside of class folders; pass --label to say what they show.")
    return checked_label(parent, place)


def tar_pictures(file: BinaryIO, address: str, label: str | None) -> Iterator[Wanted]:
    """The pictures of a tar file that is read forward once, compressed or not.

    Args:
        file: at its beginning.
        address: names it; a picture's own address is that and its path inside.
        label: the class of all of them; the name of the folder that each lies in when left out.

    Raises:
        FetchError: the file is damaged or a decompression bomb, or a picture has no label.
    """
    number = 0
    try:
        with tarfile.open(fileobj=_unpacked(file, address), mode="r|", tarinfo=_Member) as tar:
            for member in tar:
                if member.isreg() and is_picture(member.name):
                    number += 1
                    read = partial(_read_member, tar, member)
                    yield _wanted(member.name, address, label, read)
                tar.members = []  # type: ignore[attr-defined]  # it would remember every member, of however many
    except _DAMAGE as error:
        raise FetchError(
            f"{address} breaks off or is damaged after {number} pictures ({error}); fetch again, or get it anew."
        ) from error


def zip_pictures(file: IO[bytes], address: str, label: str | None) -> Iterator[Wanted]:
    """The pictures of a zip file that can be read anywhere; otherwise as `tar_pictures`."""
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if not member.is_dir() and is_picture(member.filename):
                    yield _wanted(member.filename, address, label, partial(_read_zipped, archive, member))
    except _DAMAGE as error:
        raise FetchError(f"{address} is not a zip file that can be read ({error}); get it anew.") from error


def _wanted(path: str, address: str, label: str | None, read: Any) -> Wanted:
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/") or not path.isprintable():
        read = partial(_refuse, "unsafe name", f"{path!r} leads out of the archive")
        label = label or next((part for part in reversed(parts[:-1]) if part not in ("..", "/")), None)
    shown = ascii(path)[1:-1]
    return Wanted(f"{address}#{shown}", label_of(path, label, address), read=read, in_order=True)


class _Member(tarfile.TarInfo):
    """A member whose long names and other notes are of a size that can be held in memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _NOTES and member.size > _MAX_NOTE:
            raise tarfile.ReadError("it has a note of absurd length")
        return member


def _refuse(reason: str, sentence: str) -> bytes:
    raise UnreadableImageError(reason, sentence)


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_BYTES:
        _refuse("too many bytes", f"{member.name} is over {MAX_BYTES >> 20} MiB")
    content = tar.extractfile(member)
    return content.read() if content else _refuse("unreadable", f"{member.name} cannot be read")


def _read_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as file:
            content = file.read(MAX_BYTES + 1)
    except (*_DAMAGE, RuntimeError, NotImplementedError) as error:  # a password, or a packing that Python lacks
        raise UnreadableImageError("undecodable", f"{member.filename} cannot be unpacked ({error})") from error
    if len(content) > MAX_BYTES:
        _refuse("too many bytes", f"{member.filename} is over {MAX_BYTES >> 20} MiB")
    return content


def _unpacked(file: BinaryIO, address: str) -> Any:
    """The tar itself, however it is packed, with an eye on how much comes out of how little."""
    packed = _Counted(file)
    head = packed.peek()
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.GzipFile, b"BZ": bz2.BZ2File, b"\xfd7": lzma.LZMAFile}
    opener = openers.get(head[:2])
    if opener is None:
        return packed
    return _Watched(opener(packed), packed, address)


class _Counted(io.BufferedIOBase):
    """Counts what is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._head = file.read(512)
        self._file = file
        self.count = 0

    def peek(self) -> bytes:
        return self._head

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self._head:
            wanted = len(self._head) if size is None or size < 0 else size
            piece, self._head = self._head[:wanted], self._head[wanted:]
        else:
            piece = self._file.read(2**20 if size is None or size < 0 else size)
        self.count += len(piece)
        return piece


class _Watched(io.BufferedIOBase):
    """Raises FetchError where far more comes out than went in."""

    def __init__(self, file: Any, packed: _Counted, address: str) -> None:
        self._file = file
        self._packed = packed
        self._address = address
        self._count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        piece: bytes = self._file.read(2**20 if size is None or size < 0 else size)
        self._count += len(piece)
        if self._count > _GRACE + _MAX_RATIO * self._packed.count:
            raise FetchError(
                f"{self._address} is a decompression bomb: over {_MAX_RATIO} bytes come out of each; leave it alone."
            )
        return piece
