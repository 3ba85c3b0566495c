"""Tar and zip files as strangers make them, block by block."""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping

END = bytes(1024)
"""What a tar file ends with."""


def tar_of(files: Mapping[str, bytes], mode: str = "w:", **options: int) -> bytes:
    """A sound tar file; `mode` packs it, such as ``w:gz``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: Mapping[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A sound zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def member(name: str | bytes, content: bytes = b"", kind: bytes = tarfile.REGTYPE, size: int | None = None) -> bytes:
    """A member of a tar file, of any declared size, and its content as far as there is any."""
    header = bytearray(512)
    raw = name.encode() if isinstance(name, str) else name
    header[: len(raw)] = raw
    header[100:108] = b"0000644\0"
    header[124:136] = _number(len(content) if size is None else size)
    header[156:157] = kind
    header[257:265] = b"ustar\x0000"
    return sealed(header) + padded(content)


def sealed(header: bytearray) -> bytes:
    """The header with a checksum that is right."""
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def padded(content: bytes) -> bytes:
    """Whole blocks."""
    return content + bytes(-len(content) % 512)


def note(**fields: str) -> bytes:
    """What a pax header says; names are written with ``_`` for ``.``."""
    return b"".join(_record(name.replace("_", "."), value) for name, value in fields.items())


def joined(pieces: Iterable[bytes]) -> bytes:
    """A tar file of the given members."""
    return b"".join([*pieces, END])


def _record(name: str, value: str) -> bytes:
    rest = f" {name}={value}\n".encode()
    length = len(rest)
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _number(value: int) -> bytes:
    if 0 <= value < 8**11:
        return f"{value:011o}\0".encode()
    return (b"\x80" if value >= 0 else b"\xff") + (value % 256**11).to_bytes(11, "big")
