"""Lists of addresses, as people and programs write them."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from milliner.core.errors import FetchError
from milliner.sources.label import checked_label
from milliner.sources.source import Wanted

MAX_LIST_BYTES: Final = 256 * 2**20

MAX_ADDRESS_LENGTH: Final = 8192

_HEX: Final = set("0123456789abcdef")


def read_list(path: Path, label: str | None) -> list[Wanted]:
    """The addresses of a list, each once for a label; `label` is for those without their own.

    A .csv list has the column url and perhaps label and sha256; a .txt list has an address a line, and
    comments after a # at a line's start.

    Raises:
        FetchError: the list cannot be read, or names no address, label or hash where it should.
    """
    rows = {".csv": _csv_rows, ".txt": _txt_rows}.get(path.suffix.lower())
    if rows is None:
        raise FetchError(f"{path} must be a .csv or .txt list of addresses.")
    wanted: dict[tuple[str, str], Wanted] = {}
    for place, row in rows(path, _text(path)):
        picture = _wanted(place, row, label)
        wanted.setdefault((picture.address, picture.label), picture)
    if not wanted:
        raise FetchError(f"{path} names no address; write one a line.")
    return list(wanted.values())


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise FetchError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    if len(content) > MAX_LIST_BYTES:
        raise FetchError(f"{path} is over {MAX_LIST_BYTES >> 20} MiB; split it into several lists.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FetchError(f"Line {line} of {path} is not UTF-8; save the list as UTF-8 text.") from error


def _txt_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        address = line.strip()
        if address and not address.startswith("#"):
            yield f"Line {number} of {path}", {"url": address}


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        names = [name.strip() for name in next(reader, [])]
        if "url" not in names:
            raise FetchError(f"{path} has no column url; its first line must name the columns, such as url,label.")
        for cells in reader:
            if cells:
                yield f"Line {reader.line_num} of {path}", dict(zip(names, cells, strict=False))
    except csv.Error as error:
        raise FetchError(f"Line {reader.line_num} of {path} is not CSV ({error}); mend or remove it.") from error


def _wanted(place: str, row: dict[str, str], label: str | None) -> Wanted:
    address = row.get("url", "").strip()
    own_label = row.get("label", "").strip() or label
    sha256 = row.get("sha256", "").strip().lower() or None
    if not address:
        raise FetchError(f"{place} has no url; fill it in or remove the line.")
    if len(address) > MAX_ADDRESS_LENGTH:
        raise FetchError(f"{place} has an address of over {MAX_ADDRESS_LENGTH} characters; remove the line.")
    if own_label is None:
        raise FetchError(f"{place} has no label; add a column label, or pass --label for the whole list.")
    if sha256 is not None and (len(sha256) != 64 or not set(sha256) <= _HEX):
        raise FetchError(f"{place} has a sha256 that is not 64 hex digits; mend it or leave it empty.")
    return Wanted(address, checked_label(own_label, place), sha256)
