"""What fsspec reaches: buckets, servers and this machine's own files, with all their errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from milliner.core.errors import FetchError, UnreadableImageError
from milliner.images.decode import MAX_BYTES
from milliner.sources.secrets import without_login

_EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}


def file_system(protocol: str, address: str, endpoint: str | None) -> tuple[Any, str]:
    """The file system of an address, and the path in it; raises FetchError where there is none."""
    import fsspec

    extra = _EXTRAS.get(protocol)
    settings = {"endpoint_url": endpoint} if endpoint and extra else {}
    with in_one_sentence(without_login(address)):
        try:
            return fsspec.core.url_to_fs(address, **settings)  # type: ignore[no-any-return]
        except ImportError as error:
            remedy = f"pip install 'milliner[{extra}]'" if extra else f"install what fsspec says ({_words(error)})"
            raise FetchError(f"{protocol}:// addresses need another package; {remedy}.") from error


def list_files(system: Any, path: str, address: str) -> Iterator[tuple[str, int | None]]:
    """The path and size of every file in a folder, however deep; raises FetchError."""
    with in_one_sentence(address):
        system.invalidate_cache()  # of an earlier fetch in this process
        for name, info in system.find(path, detail=True).items():
            if info["type"] == "file":  # a pipe would never end
                yield name, info["size"]


def read_file(system: Any, name: str) -> bytes:
    """A picture's bytes; raises UnreadableImageError."""
    try:
        with system.open(name, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except Exception as error:  # every file system of fsspec has errors of its own
        raise UnreadableImageError("unreadable", f"{name} cannot be read ({_words(error)})") from error
    if len(content) > MAX_BYTES:
        raise UnreadableImageError("too many bytes", f"{name} is over {MAX_BYTES >> 20} MiB")
    return content


@contextmanager
def in_one_sentence(address: str) -> Iterator[None]:
    """Turns what a file system raises, of which each has errors of its own, into FetchError."""
    try:
        yield
    except (FetchError, UnreadableImageError):
        raise
    except Exception as error:
        raise FetchError(f"{address} cannot be read ({_words(error)}); check the address and your rights.") from error


def _words(error: Exception) -> str:
    return without_login(" ".join(str(error).split()))[:200] or type(error).__name__
