"""im2rec's ``.lst`` files: a line for each picture, ``id<tab>label[<tab>label...]<tab>path``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from milliner.core.errors import DatasetError
from milliner.images.files import read_at_most

_LARGEST_LABEL: Final = 3.4028234663852886e38  # record files hold labels as 32-bit floats
_MAX_BYTES: Final = 2**28  # of a list, an index or a file of names: some four million lines


_NOT_PLAIN: Final = re.compile(
    r"^$|^/|//|(?:^|/)\.\.?(?:/|$)|/$|\0"
)  # a closer look costs more than the rest of a line


@dataclass(frozen=True)
class ListLine:
    """One picture of a list; `path` is relative to the pictures' root, with forward slashes."""

    id: int
    labels: tuple[float, ...]
    path: str
    number: int = field(default=0, compare=False)
    """Its line in the file that it was read from, from 1."""


def format_line(identity: int, labels: Sequence[float], path: str) -> str:
    """The line as im2rec writes it: labels with six decimals."""
    return "\t".join([str(identity), *(f"{label:f}" for label in labels), path]) + "\n"


def read_lines(path: Path) -> list[str]:
    """The lines of a text that any editor may have written; raises DatasetError where it is none or too long."""
    try:
        if path.exists() and not path.is_file():
            raise DatasetError(f"{path} cannot be read (it is no regular file); check the path.")
        text = read_at_most(path, _MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text; save it as UTF-8 or pack again.") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def read_list(path: Path) -> list[ListLine]:
    """Reads a list; raises DatasetError with the line's number where one does not hold together."""
    lines = [parse_line(path, number, line) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    if not lines:
        raise DatasetError(f"{path} lists no picture; write one line of id, label and path for each.")
    seen: dict[int, int] = {}
    for line in lines:
        first = seen.setdefault(line.id, line.number)
        if first != line.number:
            raise DatasetError(
                f"{path}, line {line.number}: gives the id {line.id} twice, first in line {first}; ids must differ."
            )
    return lines


def parse_line(path: Path, number: int, line: str) -> ListLine:
    """Reads one line; `path` and its `number` are for the DatasetError where it does not hold together."""
    columns = line.split("\t")
    if len(columns) < 3:
        raise DatasetError(f"{path}, line {number}: expected id, label and path with tabs between them.")
    try:
        identity, labels = int(columns[0]), tuple(float(column) for column in columns[1:-1])
    except ValueError as error:
        raise DatasetError(
            f"{path}, line {number}: the id must be a whole number and labels must be numbers."
        ) from error
    if not 0 <= identity < 2**64 or not all(abs(label) <= _LARGEST_LABEL for label in labels):
        raise DatasetError(f"{path}, line {number}: the id or a label is out of range.")
    return ListLine(identity, labels, _relative(path, number, columns[-1]), number)


def _relative(path: Path, number: int, text: str) -> str:
    """The picture's path with single slashes, inside the folder; raises DatasetError for one outside of it."""
    if not _NOT_PLAIN.search(text):
        return text
    picture = PurePosixPath(text)
    if picture.is_absolute() or ".." in picture.parts:
        raise DatasetError(f"{path}, line {number}: {text} is outside the pictures' folder; use paths relative to it.")
    if "\0" in text or not picture.parts:
        raise DatasetError(f"{path}, line {number}: {text!r} cannot be a picture's path.")
    return picture.as_posix()
