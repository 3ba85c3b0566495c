"""`https://….tar|zip`, `s3://…`, `gs://…` and whatever else fsspec reaches: folders and archives that lie elsewhere."""

import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Final

from milliner.core.address import without_login
from milliner.core.errors import FetchError
from milliner.sources.archives import ARCHIVES, is_archive, is_picture, label_of, tar_pictures, zip_pictures
from milliner.sources.file_systems import file_system, in_one_sentence, list_files, read_file
from milliner.sources.source import Listing, Options, Wanted
from milliner.sources.tars import tar_on_the_web

_PIECE: Final = 2**22
_LEFT_FREE: Final = 2**30
"""Bytes of the disk that a copy leaves free; a zip without an end stops there."""


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
                f"{without_login(argument)} is no archive ({', '.join(ARCHIVES)}); "
                "for pictures by address write a list, urls:FILE."
            )
        return Listing(_archive_on_the_web(argument, bare, options), label=options.label)


SOURCE: Final = _Files()


def _archive_on_the_web(address: str, path: str, options: Options) -> Iterator[Wanted]:
    if not path.lower().endswith(".zip"):
        yield from tar_on_the_web(address, without_login(address), options.label, options)
        return
    stream, kind = options.web.stream(address)
    address = without_login(address)
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
        if file.read(2) != b"PK":
            raise FetchError(f"{address} is not a zip file; get it anew.")
        copy.write(b"PK")
        while piece := file.read(_PIECE):
            copy.write(piece)
            if shutil.disk_usage(tempfile.gettempdir()).free < _LEFT_FREE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise FetchError(
            f"There is no room to unpack {address} ({error.strerror}); set TMPDIR to a larger disk."
        ) from error


def _elsewhere(protocol: str, address: str, options: Options) -> Iterator[Wanted]:
    system, path = file_system(address, options.endpoint)
    address = without_login(address)
    if is_archive(path):
        with in_one_sentence(address), system.open(path, "rb") as file:
            for wanted in _archive(file, path, address, options):
                yield replace(wanted, read=partial(_read_inside, wanted, address))
        return
    sizes = {name: size for name, size in list_files(system, path, address) if is_picture(name)}
    if not sizes:
        raise FetchError(f"{address} has no pictures; check the address.")
    for name in sorted(sizes):
        inside = PurePosixPath(name)
        inside = inside.relative_to(path) if inside.is_relative_to(path) else inside
        label = label_of(str(inside), options.label, address)
        place = f"{protocol}://{name.lstrip('/')}"
        yield Wanted(place, label, size=sizes[name], read=partial(read_file, system, name))


def _read_inside(wanted: Wanted, address: str) -> bytes:
    assert wanted.read is not None  # noqa: S101 - archives give nothing else
    with in_one_sentence(address):
        return wanted.read()
