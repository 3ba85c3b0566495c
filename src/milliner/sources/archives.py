"""Pictures inside tar and zip files, which strangers made: nothing is unpacked to disk, every size is bounded."""

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
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
_MAX_NOTES: Final = 2**15  # bytes of notes before one member
_BZIP2: Final = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")  # a name may begin with BZ, too
_MAX_ENDS: Final = 8
_BLOCK: Final = 512  # bytes, to which a tar rounds every member
_GRACE: Final = 64 * 2**20  # unpacked bytes that are never called a bomb
_DAMAGE: Final = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, NotImplementedError),
)


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
    folders = [part for part in PurePosixPath(path).parts[:-1] if part not in ("/", "..")]
    if not folders:
        raise FetchError(f"{place} has pictures outside of class folders; pass --label to say what they show.")
    return checked_label(folders[-1], place)


def tar_pictures(file: BinaryIO, address: str, label: str | None, begin: int = 0) -> Iterator[Wanted]:
    """The pictures of a tar file that is read forward once, compressed or not.

    Args:
        file: at its beginning, or behind a picture of it.
        address: names it; a picture's own address is that and its path inside.
        label: the class of all of them; the name of the folder that each lies in when left out.
        begin: where in the tar `file` is; other than 0 only where that is not compressed.

    Raises:
        FetchError: the file is damaged or a decompression bomb, or a picture has no label.
    """
    content = _Counted(file) if begin else _unpacked(file, address)
    plain, end = isinstance(content, _Counted), begin
    try:
        with tarfile.open(fileobj=content, mode="r|", tarinfo=_Member) as tar:
            for member in tar:
                if member.isreg() and is_picture(member.name):
                    wanted = _wanted(member.name, address, label, partial(_read_member, tar, member, address))
                    plain &= not member.issparse()
                    start, end = end, begin + member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                    yield replace(wanted, span=(start, end) if plain else None)
                # It would remember every member, and every note about all members, of however many.
                tar.members, tar.pax_headers = [], {}  # type: ignore[attr-defined]
    except _DAMAGE as error:
        raise _broken(address, error) from error


def _broken(address: str, error: Exception) -> FetchError:
    return FetchError(f"{address} breaks off or is damaged ({error}); fetch again, or get it anew.")


def zip_pictures(file: IO[bytes], address: str, label: str | None) -> Iterator[Wanted]:
    """The pictures of a zip file that can be read anywhere; otherwise as `tar_pictures`."""
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = member.filename.replace("\\", "/")  # as some programs of Windows write it
                if not member.is_dir() and is_picture(name):
                    yield _wanted(name, address, label, partial(_read_zipped, archive, member))
    except _DAMAGE as error:
        raise FetchError(f"{address} is not a zip file that can be read ({error}); get it anew.") from error


def _wanted(path: str, address: str, label: str | None, read: Any) -> Wanted:
    if ".." in PurePosixPath(path).parts or path.startswith("/"):
        read = partial(_refuse, "unsafe name", f"{path!r} leads out of the archive")
    shown = ascii(path)[1:-1]
    return Wanted(f"{address}#{shown}", label_of(path, label, address), read=read, in_order=True)


class _Member(tarfile.TarInfo):
    """A member whose notes are of a size that can be held in memory, and whose damage is told from the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.strip(b"\0"):
                raise tarfile.ReadError(str(error)) from error
            raise
        if member.type in _NOTES and not 0 <= member.size <= _MAX_NOTES:
            raise tarfile.ReadError("it has a note of absurd length")
        if member.type == tarfile.GNUTYPE_SPARSE and buf[482]:
            cls._proc_gnusparse_10()
        return member

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        if tar.fileobj.tell() - tar.offset > _MAX_NOTES:
            raise tarfile.ReadError("it has notes of absurd length")
        return super().fromtarfile(tar)

    @staticmethod
    def _proc_gnusparse_10(*_: object) -> None:
        """In place of the tarfile module's own, which would read a list of gaps to its end, if it has one."""
        raise tarfile.ReadError("it has a sparse file with a list of gaps")


def _refuse(reason: str, sentence: str) -> bytes:
    raise UnreadableImageError(reason, sentence)


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo, address: str) -> bytes:
    if not 0 <= member.size <= MAX_BYTES:
        _refuse("too many bytes", f"{member.name} is over {MAX_BYTES >> 20} MiB")
    if member.issparse():  # no picture is; putting its pieces together could take hours
        _refuse("undecodable", f"{member.name} is a sparse file")
    try:
        content = tar.extractfile(member)
        return content.read() if content else _refuse("unreadable", f"{member.name} cannot be read")
    except _DAMAGE as error:
        raise _broken(address, error) from error


def _read_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MAX_BYTES:
        _refuse("too many bytes", f"{member.filename} is over {MAX_BYTES >> 20} MiB")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without bounds
        _refuse("undecodable", f"{member.filename} is packed by another method than zip files mostly are")
    try:
        with archive.open(member) as file:
            return file.read(member.file_size)
    except (*_DAMAGE, RuntimeError) as error:  # a password, or a packing that Python lacks
        raise UnreadableImageError("undecodable", f"{member.filename} cannot be unpacked ({error})") from error


def _unpacked(file: BinaryIO, address: str) -> Any:
    """The tar itself, however it is packed, with an eye on how much comes out of how little."""
    packed = _Counted(file)
    head = packed.peek()
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}
    opener = bz2.open if _BZIP2.match(head) else openers.get(head[:2])
    if opener is None:
        return packed
    return _Watched(opener(packed), packed, address)


class _Piecewise(io.BufferedIOBase):
    """Read in pieces; whoever goes on and on behind the end is stopped, as a member's size may promise exabytes."""

    _ends = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        piece = self._piece(2**20 if size is None or size < 0 else size)
        self._ends += not piece
        if self._ends > _MAX_ENDS:
            raise tarfile.ReadError("unexpected end of data")
        return piece

    @abstractmethod
    def _piece(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end."""


class _Counted(_Piecewise):
    """Counts what is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._head = file.read(512)
        self._file = file
        self.count = 0

    def peek(self) -> bytes:
        return self._head

    def _piece(self, size: int) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
        else:
            piece = self._file.read(size)
        self.count += len(piece)
        return piece


class _Watched(_Piecewise):
    """Raises FetchError where far more comes out than went in."""

    def __init__(self, file: Any, packed: _Counted, address: str) -> None:
        self._file = file
        self._packed = packed
        self._address = address
        self._count = 0

    def _piece(self, size: int) -> bytes:
        piece: bytes = self._file.read(size)
        self._count += len(piece)
        if self._count > _GRACE + _MAX_RATIO * self._packed.count:
            raise FetchError(
                f"{self._address} is a decompression bomb: over {_MAX_RATIO} bytes come out of each; leave it alone."
            )
        return piece
