"""Long lists on the web as comma-separated values, read as they come and as far as they are needed."""

import csv
from collections.abc import Iterator
from typing import Final

from milliner.core.errors import FetchError
from milliner.sources.web.web import Web

_MAX_LINE: Final = 2**16
_MAX_LIST: Final = 2**33  # bytes


def rows_of(address: str, web: Web, columns: tuple[str, ...], most: int = _MAX_LIST) -> Iterator[dict[str, str]]:
    """What a list says, row by row.

    Raises FetchError unless it has the columns, an end within `most` characters, and lines of sensible length;
    NoAnswerError where it does not come.
    """
    stream, _ = web.stream(address)
    with stream:
        lines = (line.decode("utf-8", "replace") for line in iter(lambda: stream.readline(_MAX_LINE), b""))
        try:
            reader = csv.DictReader(_bounded(lines, most))
            if not set(columns) <= set(reader.fieldnames or ()):
                raise csv.Error(f"it has no columns {', '.join(columns)}")
            yield from (
                {name: value for name, value in row.items() if isinstance(name, str) and isinstance(value, str)}
                for row in reader
            )
        except csv.Error as error:
            raise FetchError(f"{address} is not the list that was expected ({error}); try again later.") from error


def _bounded(lines: Iterator[str], most: int) -> Iterator[str]:
    for line in lines:
        most -= len(line)
        if most < 0 or (len(line) >= _MAX_LINE // 4 and not line.endswith("\n")):
            raise csv.Error("it does not end")
        yield line
