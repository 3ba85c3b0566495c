"""A picture file as it lies there, not decoded: its bytes within bounds, its name, and what its first bytes say it is.

Nothing heavy is imported here, since packing untouched pictures needs no more than this.
"""

import os
import re
import stat
from pathlib import Path
from typing import Final

from milliner.core.errors import UnreadableImageError

MAX_BYTES: Final = 64 * 2**20
"""Files of more bytes are refused before they are read."""

_SIGNATURES: Final = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF8",
    b"RIFF",
    b"BM",
    b"II*\0",
    b"MM\0*",
    *(b"P%d" % kind for kind in range(1, 7)),
)

_UNLISTABLE: Final = re.compile("[\t\n\r\ud800-\udfff]")

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe must not be waited for


def read_bounded(path: str | Path) -> bytes:
    """A picture file's bytes; raises UnreadableImageError with reason ``unreadable`` or ``too many bytes``."""
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            return _read(descriptor, path)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise UnreadableImageError("unreadable", f"{path} cannot be read: it is not there; check the path") from error
    except OSError as error:
        raise UnreadableImageError(
            "unreadable", f"{path} cannot be read ({error.strerror}); check its rights"
        ) from error


def _read(descriptor: int, path: str | Path) -> bytes:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableImageError("unreadable", f"{path} cannot be read: it is no regular file; check the path")
    content = os.read(descriptor, min(facts.st_size, MAX_BYTES) + 1)
    if len(content) != facts.st_size:  # signals cut a reading short, and files can grow
        pieces, count = [content], len(content)
        while pieces[-1] and count <= MAX_BYTES:
            pieces.append(os.read(descriptor, MAX_BYTES + 1 - count))
            count += len(pieces[-1])
        content = b"".join(pieces)
    if len(content) > MAX_BYTES:
        raise UnreadableImageError("too many bytes", f"{path} is over {MAX_BYTES >> 20} MiB; shrink it first")
    return content


def refusal(head: bytes) -> str | None:
    """Why a file that begins like this is not worth reading on: ``web page`` or ``not a picture``; None if it is."""
    if head.startswith(_SIGNATURES) or head[4:12] in (b"ftypavif", b"ftypavis"):
        return None
    return "web page" if is_web_page(head) else "not a picture"


def is_web_page(encoded: bytes) -> bool:
    """Whether a file begins as HTML or XML does."""
    head = encoded[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--"))


def name_fault(key: str) -> str | None:
    """Why a list, whose lines are tab-separated UTF-8, cannot hold a name; None where it can."""
    found = _UNLISTABLE.search(key)
    if not found:
        return None
    return "name holds a tab or line break" if found[0] in "\t\n\r" else "name is not UTF-8"
