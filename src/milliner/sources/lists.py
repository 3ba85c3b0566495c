"""Lists of addresses, as people and programs write them; read line by line, whatever their length."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from milliner.core.address import without_user
from milliner.core.credit import UNKNOWN, Credit, parse_licence
from milliner.core.errors import FetchError
from milliner.sources.answers import storable
from milliner.sources.label import checked_label
from milliner.sources.source import Wanted

MAX_LINE: Final = 2**20
"""Bytes."""

MAX_ADDRESS_LENGTH: Final = 8192

_HEX: Final = set("0123456789abcdef")
_MAX_WORDS: Final = 2000  # characters of a creator's name or the like

Row = dict[str, str]


def read_list(path: Path, label: str | None) -> Iterator[Wanted]:
    """The addresses of a list, one after the other; `label` is for those without their own.

    A .csv, .tsv, .jsonl or .parquet list has the column url and perhaps label, sha256, license, license_url, creator,
    attribution, title and page, in any case; a .txt list has an address a line, and comments after a # at a line's
    start.

    Raises:
        FetchError: the list cannot be read, or names no address, label or hash where it should.
    """
    readers = {
        ".csv": _csv_rows,
        ".tsv": _csv_rows,
        ".txt": _txt_rows,
        ".jsonl": _jsonl_rows,
        ".parquet": _parquet_rows,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise FetchError(f"{path} must be a list of addresses that ends in {', '.join(sorted(readers))}.")
    empty = True
    for place, row in reader(path):
        empty = False
        yield _wanted(place, row, label)
    if empty:
        raise FetchError(f"{path} names no address; write one a line.")


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise FetchError(
                        f"Line {number} of {path} is over {MAX_LINE >> 20} MiB; is it a list of addresses?"
                    )
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise FetchError(f"Line {number} of {path} is not UTF-8; save the list as UTF-8 text.") from error
    except OSError as error:
        raise FetchError(f"{path} cannot be read ({error.strerror}); check the path.") from error


def _txt_rows(path: Path) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(_lines(path), 1):
        address = line.strip()
        if address and not address.startswith("#"):
            yield f"Line {number} of {path}", {"url": address}


def _csv_rows(path: Path) -> Iterator[tuple[str, Row]]:
    reader = csv.reader(_lines(path), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if "url" not in names:
            raise FetchError(f"{path} has no column url; its first line must name the columns, such as url,label.")
        for cells in reader:
            if cells:
                yield f"Line {reader.line_num} of {path}", dict(zip(names, cells, strict=False))
    except csv.Error as error:
        raise FetchError(f"Line {reader.line_num} of {path} is not CSV ({error}); mend or remove it.") from error


def _jsonl_rows(path: Path) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        place = f"Line {number} of {path}"
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FetchError(f"{place} is not JSON; write one object a line.") from error
        if not isinstance(document, dict):
            raise FetchError(f'{place} is not an object; write {{"url": "https://…"}}.')
        yield place, _texts(document)


def _parquet_rows(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise FetchError("Parquet lists need pyarrow; pip install 'milliner[parquet]'.") from error
    try:
        with parquet.ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if name.lower() in _COLUMNS]
            if "url" not in [name.lower() for name in columns]:
                raise FetchError(
                    f"{path} has no column url; its columns are {', '.join(file.schema_arrow.names[:20])}."
                )
            number = 0
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for document in batch.to_pylist():
                    number += 1
                    yield f"Row {number} of {path}", _texts(document)
    except OSError as error:
        raise FetchError(f"{path} cannot be read ({error.strerror or error}); check the path.") from error
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise FetchError(f"{path} is not a Parquet file that can be read ({error}).") from error


_ORIGIN: Final = {
    *("license", "licence", "license_url", "licence_url"),
    *("creator", "author", "attribution", "title", "page"),
}
_COLUMNS: Final = {"url", "label", "sha256"} | _ORIGIN


def _texts(document: dict[str, Any]) -> Row:
    """What is null or missing is empty, as in CSV."""
    return {name.lower(): "" if value is None else storable(str(value)) for name, value in document.items()}


def _wanted(place: str, row: Row, label: str | None) -> Wanted:
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
    named = without_user(address)  # the ledger and the credits are for others to see
    url = None if named == address else address
    return Wanted(named, checked_label(own_label, place), sha256, credit=_credit(row), url=url)


def _credit(row: Row) -> Credit:
    if _ORIGIN.isdisjoint(row):
        return UNKNOWN

    def words(*names: str) -> str | None:
        return next((row[name].strip()[:_MAX_WORDS] for name in names if row.get(name, "").strip()), None)

    address = words("license_url", "licence_url")
    licence, version = parse_licence(words("license", "licence") or address or "")
    return Credit(
        licence,
        version,
        address,
        words("creator", "author"),
        words("attribution"),
        words("title"),
        words("page"),
    )
