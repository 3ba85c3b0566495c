"""Remembers embeddings by picture content and recipe, so that training again embeds nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import MillinerError
from milliner.images.cache import cache_folder

CACHE_NAME: Final = "embeddings.sqlite"
PROJECT_FILE: Final = "milliner.toml"
PROJECT_FOLDER: Final = ".milliner"

_ROWS_A_COMMIT: Final = 32  # what a kill can lose: a second's work
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS embeddings (
  sha256 TEXT NOT NULL, recipe TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (sha256, recipe)
)
"""


def default_cache() -> Path:
    """Inside the project that the current folder belongs to; outside of any, in the user's cache."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FOLDER / CACHE_NAME
    return cache_folder() / CACHE_NAME


class EmbeddingCache:
    """An open cache for one recipe; safe from several threads and several processes. Use `EmbeddingCache.open`."""

    def __init__(self, connection: sqlite3.Connection, recipe: str) -> None:
        self._connection, self._recipe = connection, recipe
        self._lock = Lock()
        self._unsaved: dict[str, bytes] = {}

    @classmethod
    @contextmanager
    def open(cls, path: Path, recipe: str) -> Iterator[Self]:
        """Opens the file, making it where it is missing; raises MillinerError when that can't be done."""
        try:
            with closing(_opened(path)) as connection:
                cache = cls(connection, recipe)
                yield cache
                cache._save()
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    def get(self, sha256: str) -> NDArray[np.float32] | None:
        """The embedding of a picture file with that content, [width]; None where it is not known or is damaged."""
        with self._lock:
            query = "SELECT vector FROM embeddings WHERE sha256 = ? AND recipe = ?"
            row = self._connection.execute(query, (sha256, self._recipe)).fetchone()
        sound = row is not None and isinstance(row[0], bytes) and len(row[0]) % np.dtype(np.float32).itemsize == 0
        return np.frombuffer(row[0], np.float32) if sound else None

    def put(self, sha256: str, embedding: NDArray[np.float32]) -> None:
        """Adds an embedding; it is on disk after at most 32 more, or at the end."""
        with self._lock:
            self._unsaved[sha256] = embedding.astype(np.float32).tobytes()
            if len(self._unsaved) >= _ROWS_A_COMMIT:
                self._save()

    def _save(self) -> None:
        rows = [(sha256, self._recipe, vector) for sha256, vector in self._unsaved.items()]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")
        self._unsaved.clear()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connected(path)
        except sqlite3.OperationalError:  # rights, space, another process: the file itself may be sound
            raise
        except sqlite3.DatabaseError:  # damaged, and nothing is in it that cannot be computed again
            path.unlink()
            return _connected(path)
    except OSError as error:
        raise _unusable(path, error) from error


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _unusable(path: Path, error: Exception) -> MillinerError:
    return MillinerError(
        f"The embedding cache {path} cannot be used ({error}); check its folder's rights and space, or delete the file."
    )
