"""The ledger beside an image folder: where every picture came from, and what became of it.

A SQLite file with two tables. `fetched` has a row for each address that was asked for; `pictures` a row for
each file that was checked. Rows are committed one by one, so a killed run loses none of them.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from milliner.core.errors import DatasetError

LEDGER_NAME: Final = "ledger.sqlite"

_SCHEMA_VERSION: Final = 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS fetched (
  address TEXT NOT NULL, label TEXT NOT NULL, source TEXT NOT NULL, licence TEXT, status TEXT NOT NULL,
  reason TEXT, sha256 TEXT, bytes INTEGER, file TEXT, PRIMARY KEY (address, label)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (
  file TEXT PRIMARY KEY, label TEXT NOT NULL, sha256 TEXT, bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
  width INTEGER, height INTEGER, format TEXT, status TEXT NOT NULL, reason TEXT,
  root TEXT NOT NULL, rules TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class FetchRow:
    """What became of one address. `file` is relative to the folder; `stored` and `already` have one."""

    address: str
    label: str
    source: str
    status: Literal["stored", "already", "rejected", "failed"]
    """`already`: the same bytes were there; `rejected`: it came, but is not wanted; `failed`: it did not come."""
    licence: str | None = None
    reason: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    file: str | None = None


@dataclass(frozen=True)
class PictureRow:
    """What checking found of one file. `modified_ns` and `bytes` tell whether the file has changed since.

    `root` is the folder that `file` is relative to, empty for the ledger's own, so that a folder may be moved with
    its ledger. `rules` are those that the verdict was given by.
    """

    file: str
    label: str
    bytes: int
    modified_ns: int
    status: Literal["kept", "set aside"]
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    reason: str | None = None
    root: str = ""
    rules: str = ""


Row = TypeVar("Row", FetchRow, PictureRow)


class Ledger:
    """An open ledger; use `Ledger.open`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Opens the ledger, making it where it is missing; raises DatasetError when that can't be done."""
        try:
            with closing(_connect(path)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # a commit then costs no wait for the disk
                connection.execute("PRAGMA synchronous=NORMAL")
                if (
                    _check_version(connection, path) == 1
                ):  # its verdicts do not say by which rules; check gives them anew
                    connection.execute("DROP TABLE pictures")
                connection.executescript(f"{_SCHEMA}; PRAGMA user_version = {_SCHEMA_VERSION}")
                yield cls(connection)
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    @classmethod
    @contextmanager
    def read(cls, path: Path) -> Iterator[Self]:
        """Opens a ledger that is there to read from, also where nothing may be written; raises DatasetError."""
        # Write-ahead logging makes files beside the ledger even for readers, unless it is told that nobody writes.
        mode = "mode=ro" if os.access(path.parent, os.W_OK) else "immutable=1"
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=30)) as connection:
                _check_version(connection, path)
                yield cls(connection)
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    def add(self, row: FetchRow | PictureRow) -> None:
        """Writes one row, in place of an earlier one for the same address and label, or the same file."""
        self.add_all([row])

    def add_all(self, rows: Iterable[FetchRow | PictureRow]) -> None:
        """Writes rows of one kind in one transaction."""
        values = list(rows)
        if not values:
            return
        names = [field.name for field in fields(values[0])]
        table = "fetched" if isinstance(values[0], FetchRow) else "pictures"
        statement = f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({', '.join(':' + n for n in names)})"  # noqa: S608
        self._connection.execute("BEGIN")
        self._connection.executemany(statement, [asdict(row) for row in values])
        self._connection.execute("COMMIT")

    def fetched(self) -> list[FetchRow]:
        """Every address that was asked for."""
        return self._rows(FetchRow, "SELECT * FROM fetched ORDER BY address, label")

    def pictures(self) -> dict[str, PictureRow]:
        """Every file that was checked, by its path relative to the folder."""
        return {row.file: row for row in self._rows(PictureRow, "SELECT * FROM pictures ORDER BY file")}

    def forget_pictures(self, files: Iterable[str]) -> None:
        """Drops the rows of files that are gone."""
        self._connection.executemany("DELETE FROM pictures WHERE file = ?", [(file,) for file in files])

    def _rows(self, kind: type[Row], query: str) -> list[Row]:
        cursor = self._connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [kind(**_named(names, values)) for values in cursor]


def _named(names: list[str], values: Iterable[Any]) -> Mapping[str, Any]:
    return dict(zip(names, values, strict=True))


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error
    return sqlite3.connect(path, isolation_level=None, timeout=30)


def _unusable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"The ledger {path} cannot be used ({error}); check its folder's rights and space.")


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise DatasetError(f"{path} was written by a newer Milliner (ledger {version}); upgrade milliner to use it.")
    return int(version)
