"""Buckets, servers and folders that pictures are fetched from."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from milliner.core.errors import FetchError, UnreadableImageError
from milliner.images import remote
from milliner.images.decode import MAX_BYTES


def file_system(address: str, endpoint: str | None) -> tuple[Any, str]:
    """The file system of an address, and the path in it; raises FetchError where there is none."""
    return remote.file_system(address, endpoint=endpoint, error=FetchError)


def list_files(system: Any, path: str, address: str) -> Iterator[tuple[str, int | None]]:
    """The path and size of every file in a folder, however deep; raises FetchError."""
    with in_one_sentence(address):
        for name, info in system.find(path, detail=True).items():
            if info["type"] == "file":  # a pipe would never end
                yield name, info["size"]


def read_file(system: Any, name: str) -> bytes:
    """A picture's bytes; raises UnreadableImageError."""
    try:
        with system.open(name, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except Exception as error:  # every file system of fsspec has errors of its own
        raise UnreadableImageError("unreadable", f"{name} cannot be read ({remote.words(error)})") from error
    if len(content) > MAX_BYTES:
        raise UnreadableImageError("too many bytes", f"{name} is over {MAX_BYTES >> 20} MiB")
    return content


def in_one_sentence(address: str) -> AbstractContextManager[None]:
    """Turns what a file system raises, of which each has errors of its own, into FetchError."""
    return remote.in_one_sentence(address, FetchError)
