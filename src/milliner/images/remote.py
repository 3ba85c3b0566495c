"""What fsspec reaches: buckets, servers and this machine's own files, with all their errors in our words."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from milliner.core.address import without_login
from milliner.core.errors import DatasetError, MillinerError

OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
"""Protocols whose files need no folder before them."""

_EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_VERSIONS: Final = (
    *("ETag", "etag", "md5Hash", "md5", "content_md5", "crc32c", "generation"),
    *("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modified", "created"),
)
"""What the file systems call that by which a changed file can be told; the first one counts.

Times are the last resort: a listing of files and the answer on one of them may give them with different precision.
"""


@dataclass(frozen=True)
class RemoteFile:
    """A file as its store lists it."""

    path: str
    size: int | None
    """Bytes, where the store says."""
    version: str
    """Changes with the file; empty where the store gives nothing to tell by."""
    ranges: bool = True
    """Whether a part of it can be asked for."""

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> "RemoteFile":
        """From what fsspec says of it."""
        told = next((info[name] for name in _VERSIONS if info.get(name)), None)
        size = info.get("size")
        version = f"{told.timestamp() if isinstance(told, datetime) else told} {size}" if told else ""
        return cls(str(info["name"]), size, version, size is not None and bool(info.get("partial", True)))


def file_system(
    address: str, *, endpoint: str | None = None, error: type[MillinerError] = DatasetError
) -> tuple[Any, str]:
    """The file system of an address, and the path in it; raises `error` where there is none.

    Args:
        address: an URL of fsspec's.
        endpoint: the server of buckets that are not their maker's.
        error: the kind of failure that the caller speaks of.
    """
    import fsspec

    protocol = address.partition("://")[0]
    extra = _EXTRAS.get(protocol)
    settings = {"endpoint_url": endpoint} if endpoint and extra else {}
    with in_one_sentence(without_login(address), error):
        try:
            # A new one each time: the environment's keys and endpoint may be others by now.
            return fsspec.core.url_to_fs(address, skip_instance_cache=True, **settings)  # type: ignore[no-any-return]
        except ImportError as missing:
            remedy = f"pip install 'milliner[{extra}]'" if extra else f"install what fsspec says ({words(missing)})"
            raise error(f"{protocol}:// addresses need another package; {remedy}.") from missing


@contextmanager
def in_one_sentence(address: str, error: type[MillinerError] = DatasetError, verb: str = "read") -> Iterator[None]:
    """Turns what a file system raises, of which each has errors of its own, into `error`."""
    try:
        yield
    except MillinerError:
        raise
    except Exception as cause:
        raise error(f"{address} cannot be {verb} ({words(cause)}); check the address and your rights.") from cause


def words(error: BaseException) -> str:
    """What an error says, on one line, without logins."""
    return without_login(" ".join(str(error).split()))[:200] or type(error).__name__


def path_here(system: Any, path: str) -> Path | None:
    """The path of an address that lies on this machine, such as ``file:///data/train.rec``."""
    protocols = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
    return Path(path) if protocols & {"file", "local"} else None


def on_the_web(path: str) -> bool:
    """Whether this is a path of a web server, which lists no folders and takes no files."""
    return path.startswith(("http://", "https://"))


@contextmanager
def on_this_disk(address: str) -> Iterator[None]:
    """Says of the system's errors that they are of the copy, not of its origin."""
    try:
        yield
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        raise DatasetError(
            f"The files of {address} cannot be kept here{where} ({os.strerror(error.errno or 0)}); "
            "check the rights and space, or set MILLINER_CACHE to another folder."
        ) from error
