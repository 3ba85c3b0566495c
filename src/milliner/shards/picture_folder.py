"""An imagefolder split as a dataset, by its list of records (see `imagefolder`)."""

import json
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.core.sample import Sample
from milliner.images.files import read_at_most
from milliner.images.listing import RECORDS_NAME
from milliner.shards.classes import Classes
from milliner.shards.format import Damage, Record
from milliner.shards.texts import is_ours, restore

_MAX_LIST: Final = 2**31  # bytes; some ten million records


class PictureFolder:
    """The folder of one split. Safe to read from many threads."""

    def __init__(self, folder: Path) -> None:
        """Raises DatasetError where the list of records is missing or not as it was written."""
        self._folder, self._path = folder, folder / RECORDS_NAME
        lines = self._lines()
        head, *rows, foot = [self._parsed(line) for line in lines] if len(lines) > 1 else [{}, {}]
        whole = zlib.crc32(b"".join(lines[:-1])) == foot.get("crc32") and foot.get("records") == len(rows)
        names = head.get("labels")
        if not whole or not lines[-1].endswith(b"\n") or not isinstance(names, list) or not all(map(_is_row, rows)):
            raise self._wrong()
        self._rows = rows
        self._classes = Classes([str(name) for name in names], self._first_labels, folder)

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    @property
    def files(self) -> tuple[Path, ...]:
        """The folder."""
        return (self._folder,)

    @property
    def pictures(self) -> list[str]:
        """The pictures' paths relative to the folder, with forward slashes, in the order of the records."""
        return [row["file"] for row in self._rows]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names in the order of their numbers; the numbers where they have no names."""
        return self._classes.labels

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every picture."""
        return self._classes.targets

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, index: int) -> str:
        """The record's key, which is not always the path here."""
        return str(self._rows[index]["key"])

    def __getitem__(self, index: int) -> Sample:
        """Reads one picture."""
        record = self.record(index)
        return Sample(record.key, self._classes.name(record.labels[0]), record.encoded)

    def record(self, index: int) -> Record:
        """Reads one picture as a record; raises DatasetError where it is not the one that was written."""
        row = self._rows[index]
        encoded = self._read(row)
        if encoded is None:
            raise DatasetError(f"{self._folder / row['file']} is missing or not as it was written; convert again.")
        return restore(row, encoded)

    def find(self, key: str) -> int:
        """The place of a record by its key; raises KeyError."""
        return self._places[key]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {self.key(index): index for index in range(len(self) - 1, -1, -1)}

    def damage(self) -> Iterator[Damage | None]:
        """An item for every picture; the list itself was looked at when it was opened."""
        for row in self._rows:
            what = "the picture is missing or not as it was written"
            yield None if self._read(row) is not None else Damage(self._folder / row["file"], 0, row["key"], what)

    def _read(self, row: dict[str, Any]) -> bytes | None:
        path = self._folder / row["file"]
        try:
            encoded = read_at_most(path, row["size"]) if path.is_file() else b""
        except (DatasetError, OSError):
            return None
        return encoded if path.is_file() and zlib.crc32(encoded) == row["crc32"] else None

    def _first_labels(self) -> NDArray[np.float32]:
        return np.array([row["labels"][0] for row in self._rows], np.float32)

    def _lines(self) -> list[bytes]:
        try:
            return read_at_most(self._path, _MAX_LIST).splitlines(keepends=True)
        except OSError as error:
            raise DatasetError(
                f"{self._path} cannot be read ({error.strerror}); an imagefolder that was written here has one."
            ) from error

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._wrong() from error
        return found if isinstance(found, dict) else {}

    def _wrong(self) -> DatasetError:
        return DatasetError(
            f"{self._path} is not as it was written; convert again, or delete it to read {self._folder} as any folder."
        )


def _is_row(row: dict[str, Any]) -> bool:
    file, size, crc = row.get("file"), row.get("size"), row.get("crc32")
    if not is_ours(row) or not isinstance(file, str) or type(size) is not int or type(crc) is not int:
        return False
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and size >= 0
