"""The folder that is filled: which pictures it has, and how a new one gets there."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Literal

from milliner.core.errors import FetchError
from milliner.images.files import write_atomically
from milliner.images.ledger import FetchRow, Ledger
from milliner.sources.examine import Examined
from milliner.sources.source import Missed, Wanted


class Store:
    """A labelled folder with its ledger open; `limit` is the most pictures of one class."""

    def __init__(self, folder: Path, ledger: Ledger, limit: int | None) -> None:
        self._folder = folder
        self._ledger = ledger
        self._limit = limit
        self._rows = {(row.address, row.label): row for row in ledger.fetched()}
        self._taken: defaultdict[str, set[str]] = defaultdict(set)

    def room(self, label: str) -> float:
        """How many more pictures the class may get, infinite without a limit; `settled` and `keep` use it up."""
        return math.inf if self._limit is None else self._limit - len(self._taken[label])

    def failed_before(self, wanted: Wanted) -> bool:
        """Whether an earlier attempt at this picture failed."""
        row = self._rows.get((wanted.address, wanted.label))
        return row is not None and row.status == "failed"

    def settled(self, wanted: Wanted) -> FetchRow | None:
        """The picture's row where nothing is to be gained by asking for it (again), else None."""
        row = self._rows.get((wanted.address, wanted.label))
        if row is None or row.status == "failed" or wanted.size not in (None, row.bytes):
            return None
        if row.status == "rejected":
            return row if row.reason != "wrong sha256" or wanted.sha256 not in (None, row.sha256) else None
        if wanted.sha256 not in (None, row.sha256) or row.file is None or not self._has(row.file, row.bytes):
            return None
        self._taken[row.label].add(row.file)
        return row

    def keep(self, source: str, finding: Examined | Missed) -> FetchRow:
        """Stores a picture that is good and not there yet, and records what became of it.

        The row is written after the file is in place: a run that is killed between the two finds the file.
        Raises FetchError when the folder cannot be written.
        """
        row = self._missed(source, finding) if isinstance(finding, Missed) else self._arrived(source, finding)
        self._ledger.add(row)
        self._rows[row.address, row.label] = row
        if row.file is not None:
            self._taken[row.label].add(row.file)
        return row

    def _missed(self, source: str, missed: Missed) -> FetchRow:
        wanted = missed.wanted
        return FetchRow(wanted.address, wanted.label, source, missed.status, reason=missed.reason, bytes=wanted.size)

    def _arrived(self, source: str, found: Examined) -> FetchRow:
        address, label, size = found.wanted.address, found.wanted.label, len(found.encoded)
        if found.reason is not None:
            return FetchRow(address, label, source, "rejected", reason=found.reason, sha256=found.sha256, bytes=size)
        file = f"{label}/{found.sha256[:16]}{found.extension}"
        there = self._has(file, size)
        if not there:
            self._write(self._folder / file, found.encoded)
        status: Literal["stored", "already"] = "already" if there else "stored"
        return FetchRow(address, label, source, status, sha256=found.sha256, bytes=size, file=file)

    def _has(self, file: str, size: int | None) -> bool:
        """A file of another size was cut or changed since, and is fetched anew."""
        try:
            return (self._folder / file).stat().st_size == size
        except OSError:
            return False

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_atomically(path, content)
        except OSError as error:
            raise FetchError(
                f"{path} cannot be written ({error.strerror}); check the folder's rights and space, then fetch again."
            ) from error
