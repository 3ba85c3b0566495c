"""The ledger beside an image folder: where every picture came from, and what became of it.

A SQLite file. `fetched` has a row for each address that was asked for, `runs` one for each source and class of every
fetch, with its counts, `pictures` one for each file that was checked, and `splits` one for each content that was dealt
out to a split; what comparing pictures with each other found is in the tables of `images.comparisons`. Rows are
committed one by one, so a killed run loses none of them.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

from milliner.core.errors import DatasetError
from milliner.images.comparisons import Comparisons

LEDGER_NAME: Final = "ledger.sqlite"

_SCHEMA_VERSION: Final = 4

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS fetched (
  address TEXT NOT NULL, label TEXT NOT NULL, source TEXT NOT NULL, licence TEXT, status TEXT NOT NULL,
  reason TEXT, sha256 TEXT, bytes INTEGER, file TEXT,
  transient INTEGER NOT NULL DEFAULT 1, run INTEGER NOT NULL DEFAULT 0, width INTEGER, height INTEGER,
  likeness TEXT, near TEXT, promised INTEGER NOT NULL DEFAULT 0, begins INTEGER, ends INTEGER,
  licence_version TEXT, licence_url TEXT, creator TEXT, attribution TEXT, title TEXT,
  page TEXT, provider TEXT,
  PRIMARY KEY (address, label)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS fetched_sha256 ON fetched (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX IF NOT EXISTS fetched_likeness ON fetched (likeness) WHERE likeness IS NOT NULL;
CREATE TABLE IF NOT EXISTS runs (
  run INTEGER NOT NULL, started TEXT NOT NULL, source TEXT NOT NULL, label TEXT NOT NULL, wanted INTEGER NOT NULL,
  stored INTEGER NOT NULL, already INTEGER NOT NULL, rejected TEXT NOT NULL, failed TEXT NOT NULL,
  bytes INTEGER NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (run, source, label)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (
  file TEXT PRIMARY KEY, label TEXT NOT NULL, sha256 TEXT, bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
  width INTEGER, height INTEGER, format TEXT, status TEXT NOT NULL, reason TEXT,
  root TEXT NOT NULL, rules TEXT NOT NULL, likeness TEXT, notes TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS splits (
  scheme TEXT NOT NULL, sha256 TEXT NOT NULL, split TEXT NOT NULL, PRIMARY KEY (scheme, sha256)
) WITHOUT ROWID;
"""

_COLUMNS_OF_3: Final = (
    "transient INTEGER NOT NULL DEFAULT 1",
    "run INTEGER NOT NULL DEFAULT 0",
    "promised INTEGER NOT NULL DEFAULT 0",
    *("begins INTEGER", "ends INTEGER"),
    *("width INTEGER", "height INTEGER"),
    *(f"{name} TEXT" for name in ("likeness", "near", "licence_version", "licence_url", "creator")),
    *(f"{name} TEXT" for name in ("attribution", "title", "page", "provider")),
)
"""What version 3 added to `fetched`."""

_COLUMNS_OF_4: Final = ("likeness TEXT", "notes TEXT NOT NULL DEFAULT ''")
"""What version 4 added to `pictures`."""


@dataclass(frozen=True)
class FetchRow:
    """What became of one address. `file` is relative to the folder; `stored` and `already` have one."""

    address: str
    label: str
    source: str
    status: Literal["stored", "already", "rejected", "failed"]
    """`already`: the same bytes were there; `rejected`: it came, but is not wanted; `failed`: it did not come."""
    licence: str | None = None
    """For this and the other words of a picture's origin see `core.credit.Credit`."""
    reason: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    file: str | None = None
    transient: bool = True
    """Of a failure: whether asking again may help."""
    run: int = 0
    """The fetch that wrote the row; 0 before they were numbered."""
    width: int | None = None
    height: int | None = None
    likeness: str | None = None
    """16 hex digits; see `images.likeness`."""
    near: str | None = None
    """The file that was there before and looks nearly the same."""
    promised: bool = False
    """Whether the source said beforehand which bytes would come."""
    begins: int | None = None
    ends: int | None = None
    """Where its part of an archive begins and ends, in bytes."""
    licence_version: str | None = None
    licence_url: str | None = None
    creator: str | None = None
    attribution: str | None = None
    title: str | None = None
    page: str | None = None
    provider: str | None = None


@dataclass(frozen=True)
class RunRow:
    """The counts of one source and class of one fetch; `rejected` and `failed` are JSON objects, reason to count."""

    run: int
    started: str
    """ISO 8601, UTC."""
    source: str
    label: str
    wanted: int
    stored: int
    already: int
    rejected: str
    failed: str
    bytes: int
    seconds: float


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
    likeness: str | None = None
    """16 hex digits; see `images.likeness`."""
    notes: str = ""
    """What is remarkable about a file that is kept all the same: words of `images.inspect`, with commas between."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """The words of `notes`."""
        return tuple(self.notes.split(",")) if self.notes else ()


Row = TypeVar("Row", FetchRow, PictureRow, RunRow)

_TABLES: Final[Mapping[type, str]] = {FetchRow: "fetched", PictureRow: "pictures", RunRow: "runs"}


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
                connection.execute("PRAGMA wal_autocheckpoint=4000")  # pages; only then the disk is waited for
                _upgrade(connection, _check_version(connection, path))
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

    def add(self, row: FetchRow | PictureRow | RunRow) -> None:
        """Writes one row, in place of an earlier one of the same key."""
        self.add_all([row])

    def add_all(self, rows: Iterable[FetchRow | PictureRow | RunRow]) -> None:
        """Writes rows of one kind in one transaction."""
        listed = list(rows)
        if not listed:
            return
        names = list(vars(listed[0]))
        table = _TABLES[type(listed[0])]
        statement = f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({', '.join(':' + n for n in names)})"  # noqa: S608
        with self._connection:  # undoes what an interruption leaves half done
            self._connection.execute("BEGIN")
            self._connection.executemany(statement, [vars(row) for row in listed])

    def next_run(self) -> int:
        """A number for a fetch that is about to begin; no row has a higher one."""
        (last,) = self._connection.execute(
            "SELECT MAX((SELECT COALESCE(MAX(run), 0) FROM fetched), (SELECT COALESCE(MAX(run), 0) FROM runs))"
        ).fetchone()
        return int(last) + 1

    def find(self, address: str, label: str) -> FetchRow | None:
        """What became of one address, None where it was not asked for."""
        found = self._rows(FetchRow, "SELECT * FROM fetched WHERE address = ? AND label = ?", (address, label))
        return next(iter(found), None)

    def spans(self, prefix: str) -> Iterator[FetchRow]:
        """The pictures of an archive with the parts that they take, in their order."""
        query = "SELECT * FROM fetched WHERE address >= ? AND address < ? AND ends IS NOT NULL ORDER BY begins"
        return self._rows(FetchRow, query, (prefix, f"{prefix}\U0010ffff"))

    def other_addresses(self, sha256: str, address: str) -> int:
        """How many other http addresses brought these bytes."""
        query = "SELECT COUNT(DISTINCT address) FROM fetched WHERE sha256 = ? AND address <> ? AND address LIKE 'http%'"
        (count,) = self._connection.execute(query, (sha256, address)).fetchone()
        return int(count)

    def same_bytes(self, sha256: str) -> list[FetchRow]:
        """Every address that brought these bytes."""
        return list(self._rows(FetchRow, "SELECT * FROM fetched WHERE sha256 = ?", (sha256,)))

    def likenesses(self) -> Iterator[int]:
        """The likeness of every picture that is in the folder."""
        query = "SELECT likeness FROM fetched WHERE likeness IS NOT NULL AND status = 'stored'"
        for (value,) in self._connection.execute(query):
            yield int(value, 16)

    def file_like(self, likeness: str) -> str | None:
        """A stored file of just this likeness."""
        query = "SELECT file FROM fetched WHERE likeness = ? AND status = 'stored' ORDER BY run, file LIMIT 1"
        found = self._connection.execute(query, (likeness,)).fetchone()
        return str(found[0]) if found else None

    def fetched(self) -> Iterator[FetchRow]:
        """Every address that was asked for; not to be mixed with writing."""
        return self._rows(FetchRow, "SELECT * FROM fetched ORDER BY address, label")

    def sums(self) -> Iterator[tuple[str, str, str, str | None, int, int]]:
        """Source, label, status, reason, number of addresses and bytes, for each that there is."""
        yield from self._connection.execute(
            "SELECT source, label, status, reason, COUNT(*), COALESCE(SUM(bytes), 0) FROM fetched "
            "GROUP BY source, label, status, reason ORDER BY source, label, status, reason"
        )

    def runs(self) -> list[RunRow]:
        """The counts of every fetch, the earliest first."""
        return list(self._rows(RunRow, "SELECT * FROM runs ORDER BY run, source, label"))

    def pictures(self) -> dict[str, PictureRow]:
        """Every file that was checked, by its path relative to the folder."""
        return {row.file: row for row in self._rows(PictureRow, "SELECT * FROM pictures ORDER BY file")}

    @property
    def comparisons(self) -> Comparisons:
        """What comparing the pictures with each other found; its tables are made when they are first asked for."""
        return Comparisons(self._connection)

    def forget_pictures(self, files: Iterable[str]) -> None:
        """Drops the rows of files that are gone."""
        self._connection.executemany("DELETE FROM pictures WHERE file = ?", [(file,) for file in files])

    def splits(self, scheme: str) -> dict[str, str]:
        """The split of every content, by its sha256, that was dealt out by this scheme."""
        return dict(self._connection.execute("SELECT sha256, split FROM splits WHERE scheme = ?", (scheme,)))

    def remember_splits(self, scheme: str, splits: Iterable[tuple[str, str]]) -> None:
        """Notes where contents were dealt to, as sha256 and split; what is noted already stays as it is."""
        rows = [(scheme, sha256, split) for sha256, split in splits]
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT OR IGNORE INTO splits VALUES (?, ?, ?)", rows)

    def _rows(self, kind: type[Row], query: str, values: tuple[str, ...] = ()) -> Iterator[Row]:
        cursor = self._connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return (kind(**_named(names, found)) for found in cursor)


def _named(names: list[str], values: Iterable[Any]) -> Mapping[str, Any]:
    return dict(zip(names, values, strict=True))


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error
    return sqlite3.connect(path, isolation_level=None, timeout=30)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Brings an older ledger's tables to what the schema expects, all or nothing; a new one (version 0) has none."""
    if version not in (1, 2, 3):
        return
    connection.execute("BEGIN IMMEDIATE")
    if version == 1:
        connection.execute("DROP TABLE pictures")  # its verdicts do not say by which rules; check gives them anew
    for column in _COLUMNS_OF_3 if version < 3 else ():
        connection.execute(f"ALTER TABLE fetched ADD COLUMN {column}")
    for column in _COLUMNS_OF_4 if version > 1 else ():
        connection.execute(f"ALTER TABLE pictures ADD COLUMN {column}")
    connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _unusable(path: Path, error: Exception) -> DatasetError:
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        remedy = "move it away, and a new one is made that knows neither origins nor splits, or restore it from a copy"
    else:
        remedy = "check its folder's rights and space"
    return DatasetError(f"The ledger {path} cannot be used ({error}); {remedy}.")


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise DatasetError(f"{path} was written by a newer Milliner (ledger {version}); upgrade milliner to use it.")
    return int(version)
