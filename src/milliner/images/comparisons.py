"""What comparing a folder's pictures with each other found, kept in the ledger by their content.

`compared` has every content that was compared with all the others of the table, `pairs` those of them that look alike,
`judged` what the pictures themselves say of each one's label, and `facts` what was measured over all of them. Each
is kept by a recipe: everything that the result depends on besides the pictures.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS compared (
  recipe TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (recipe, sha256)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pairs (
  recipe TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL, cosine REAL NOT NULL, sameness REAL NOT NULL,
  PRIMARY KEY (recipe, first, second)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judged (
  recipe TEXT NOT NULL, sha256 TEXT NOT NULL, probability REAL NOT NULL, said TEXT, said_probability REAL NOT NULL,
  PRIMARY KEY (recipe, sha256)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (recipe TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class PairRow:
    """Two contents that look alike, by their SHA-256, the smaller one first."""

    first: str
    second: str
    cosine: float
    """Of their embeddings; 0 where there were none."""
    sameness: float
    """See `images.alike`."""


@dataclass(frozen=True)
class JudgedRow:
    """What the other pictures say of one picture's label."""

    sha256: str
    probability: float
    """Of its own label."""
    said: str | None
    """The label that it should rather have; None where its own stands."""
    said_probability: float


class Comparisons:
    """The tables; see `Ledger.comparisons`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.executescript(_SCHEMA)
        self._connection = connection

    def compared(self, recipe: str) -> set[str]:
        """The contents that were compared with each other."""
        query = "SELECT sha256 FROM compared WHERE recipe = ?"
        return {sha256 for (sha256,) in self._connection.execute(query, (recipe,))}

    def add(self, recipe: str, compared: Iterable[str], pairs: Iterable[PairRow]) -> None:
        """Notes contents as compared with all that were noted before and with each other, and the pairs found."""
        with self._connection:
            self._connection.execute("BEGIN")
            rows = [(recipe, pair.first, pair.second, pair.cosine, pair.sameness) for pair in pairs]
            self._connection.executemany("INSERT OR REPLACE INTO pairs VALUES (?, ?, ?, ?, ?)", rows)
            marks = [(recipe, sha256) for sha256 in compared]
            self._connection.executemany("INSERT OR REPLACE INTO compared VALUES (?, ?)", marks)

    def pairs(self, recipe: str) -> list[PairRow]:
        """The pairs that look alike."""
        query = "SELECT first, second, cosine, sameness FROM pairs WHERE recipe = ? ORDER BY first, second"
        return [PairRow(*row) for row in self._connection.execute(query, (recipe,))]

    def forget_gone(self) -> None:
        """Drops what was found of contents that no checked file has now.

        Those that looked like one of them are to be compared again: only the likest of each are ever noted, and what
        they shared with others may have been known by way of what is gone.
        """
        gone = "NOT IN (SELECT sha256 FROM pictures WHERE sha256 IS NOT NULL)"
        with self._connection:
            self._connection.execute("BEGIN")
            for here, there in (("first", "second"), ("second", "first")):
                beside = f"SELECT recipe, {here} FROM pairs WHERE {there} {gone}"  # noqa: S608
                self._connection.execute(f"DELETE FROM compared WHERE (recipe, sha256) IN ({beside})")  # noqa: S608
            self._connection.execute(f"DELETE FROM compared WHERE sha256 {gone}")  # noqa: S608
            self._connection.execute(f"DELETE FROM pairs WHERE first {gone} OR second {gone}")  # noqa: S608

    def forget_all_but(self, recipes: Iterable[str], facts: Iterable[str]) -> None:
        """Drops what was found by other recipes, and other facts."""
        with self._connection:
            self._connection.execute("BEGIN")
            for table in ("compared", "pairs"):
                self._drop_others(table, recipes)
            self._drop_others("facts", facts)

    def _drop_others(self, table: str, recipes: Iterable[str]) -> None:
        kept = list(recipes)
        marks = ", ".join("?" * len(kept))
        self._connection.execute(f"DELETE FROM {table} WHERE recipe NOT IN ({marks})", kept)  # noqa: S608

    def judged(self, recipe: str) -> list[JudgedRow]:
        """What was found of every label."""
        query = "SELECT sha256, probability, said, said_probability FROM judged WHERE recipe = ? ORDER BY sha256"
        return [JudgedRow(*row) for row in self._connection.execute(query, (recipe,))]

    def judge(self, recipe: str, rows: Iterable[JudgedRow]) -> None:
        """Notes what was found of every label, in place of all that was found before."""
        found = [(recipe, row.sha256, row.probability, row.said, row.said_probability) for row in rows]
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.execute("DELETE FROM judged")
            self._connection.executemany("INSERT INTO judged VALUES (?, ?, ?, ?, ?)", found)

    def fact(self, recipe: str) -> str | None:
        """What was measured over all pictures."""
        row = self._connection.execute("SELECT value FROM facts WHERE recipe = ?", (recipe,)).fetchone()
        return None if row is None else str(row[0])

    def note_fact(self, recipe: str, value: str) -> None:
        """Notes what was measured over all pictures."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (recipe, value))
