"""`https://….tar|zip`, `s3://…`, `gs://…` and whatever else fsspec reaches: folders and archives that lie elsewhere."""

import io
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, Final

from milliner.core.errors import FetchError, UnreadableImageError
from milliner.images.decode import MAX_BYTES
from milliner.sources.archives import ARCHIVES, is_archive, is_picture, label_of, tar_pictures, zip_pictures
from milliner.sources.source import Listing, Options, Wanted

_EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}


class _Files:
    name: Final = "files"
    usage: Final = "s3://…, gs://…, file://… (a folder of class folders or, with --label, of pictures; or an archive), \
https://….tar or .zip"

    def open(self, argument: str, options: Options) -> Listing:
        protocol, _, path = argument.partition("://")
        bare = path.partition("?")[0]
        if protocol not in ("http", "https"):
            return Listing(_elsewhere(protocol, argument, options), label=options.label)
        if not is_archive(bare):
            raise FetchError(
                f"{argument} is no archive ({', '.join(ARCHIVES)}); for pictures by address write a list, urls:FILE."
            )
        return Listing(_archive_on_the_web(argument, bare, options), label=options.label)


SOURCE: Final = _Files()


def _archive_on_the_web(address: str, path: str, options: Options) -> Iterator[Wanted]:
    stream, kind = options.web.stream(address)
    with stream:
        if kind == "text/html":
            raise FetchError(f"{address} is a web page, not an archive; give the archive's own address.")
        yield from _archive(stream, path, address, options)


def _archive(file: io.BufferedReader, path: str, address: str, options: Options) -> Iterator[Wanted]:
    if not path.lower().endswith(".zip"):
        yield from tar_pictures(file, address, options.label)
        return
    if file.seekable():
        yield from zip_pictures(file, address, options.label)
        return
    with tempfile.TemporaryFile() as copy:  # the list of a zip's files is at its end
        _copy(file, copy, address)
        yield from zip_pictures(copy, address, options.label)


def _copy(file: io.BufferedReader, copy: IO[bytes], address: str) -> None:
    try:
        while piece := file.read(2**20):
            copy.write(piece)
    except OSError as error:
        raise FetchError(
            f"There is no room to unpack {address} ({error.strerror}); set TMPDIR to a larger disk."
        ) from error


def _elsewhere(protocol: str, address: str, options: Options) -> Iterator[Wanted]:
    system, path = _file_system(protocol, address, options.endpoint)
    try:
        if is_archive(path):
            with system.open(path, "rb") as file:
                yield from _archive(file, path, address, options)
            return
        found = sorted(name for name in system.find(path) if is_picture(name))
    except FetchError:
        raise
    except Exception as error:  # every file system of fsspec has errors of its own
        raise FetchError(f"{address} cannot be read ({_words(error)}); check the address and your rights.") from error
    if not found:
        raise FetchError(f"{address} has no pictures; check the address.")
    root = PurePosixPath(path)
    for name in found:
        inside = str(PurePosixPath(name).relative_to(root)) if PurePosixPath(name).is_relative_to(root) else name
        label = label_of(inside, options.label, address)
        yield Wanted(f"{protocol}://{name.lstrip('/')}", label, read=partial(_read, system, name))


def _file_system(protocol: str, address: str, endpoint: str | None) -> tuple[Any, str]:
    import fsspec

    extra = _EXTRAS.get(protocol)
    settings = {"endpoint_url": endpoint} if endpoint and extra else {}
    try:
        return fsspec.core.url_to_fs(address, **settings)  # type: ignore[no-any-return]
    except ImportError as error:
        remedy = f"pip install 'milliner[{extra}]'" if extra else f"install what fsspec says ({error})"
        raise FetchError(f"{protocol}:// addresses need another package; {remedy}.") from error
    except ValueError as error:
        raise FetchError(f"{address} cannot be read ({_words(error)}); check the address.") from error


def _read(system: Any, name: str) -> bytes:
    try:
        with system.open(name, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except Exception as error:  # every file system of fsspec has errors of its own
        raise UnreadableImageError("unreadable", f"{name} cannot be read ({_words(error)})") from error
    if len(content) > MAX_BYTES:
        raise UnreadableImageError("too many bytes", f"{name} is over {MAX_BYTES >> 20} MiB")
    return content


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
