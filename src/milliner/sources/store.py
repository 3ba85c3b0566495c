"""The folder that is filled: which pictures it has, and how a new one gets there."""

import json
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final

from milliner.core.errors import FetchError
from milliner.images.aside import asides
from milliner.images.files import write_quickly
from milliner.images.ledger import FetchRow, Ledger, RunRow
from milliner.images.likeness import Likenesses
from milliner.images.placeholders import SUSPICIOUS
from milliner.sources.result import ClassCount
from milliner.sources.rules import Rules
from milliner.sources.source import Finding, Found, Missed, Wanted

_LOCKS: Final = 64


class FolderError(FetchError):
    """The folder itself cannot be filled, whatever the source."""


class Store:
    """A labelled folder with its ledger open. `place` may be called from any thread, the rest from one."""

    def __init__(self, folder: Path, ledger: Ledger, rules: Rules) -> None:
        self._folder = folder
        self._root = str(folder)
        self._ledger = ledger
        self._rules = rules
        self._run = ledger.next_run()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._counts: Counter[str] = Counter()
        self._locks = [Lock() for _ in range(_LOCKS)]
        self._masked: set[str] = set()
        self._aside = {aside.file for aside in asides(folder)}
        self._likenesses = Likenesses()
        for likeness in ledger.likenesses():
            self._likenesses.add(likeness)

    def count(self, label: str) -> int:
        """How many pictures the class has, by hand or by fetches; first asked before any of it is placed."""
        if label not in self._counts:
            folder = self._folder / label
            names = (path.name for path in folder.iterdir()) if folder.is_dir() else ()
            self._counts[label] = sum(not name.startswith(".") for name in names)
        return self._counts[label]

    def settled(self, wanted: Wanted) -> FetchRow | None:
        """The picture's row where nothing is to be gained by asking for it (again), else None."""
        row = self._ledger.find(wanted.address, wanted.label)
        if row is None or (row.run != self._run and wanted.size not in (None, row.bytes)):
            return None
        if row.status in ("stored", "already"):
            same = wanted.sha256 in (None, row.sha256)
            return row if same and row.file is not None and self._has(row.file, row.bytes) else None
        if row.run == self._run or self._rules.stands(row, wanted):
            return row
        return None

    def spans(self, prefix: str, label: str | None) -> tuple[list[tuple[str, str]], int]:
        """See `source.Known`; pictures that are settled and still there."""
        known: list[tuple[str, str]] = []
        end = 0
        for row in self._ledger.spans(prefix):
            if label not in (None, row.label):
                continue
            if row.begins != end or row.ends is None or self.settled(Wanted(row.address, row.label)) is None:
                break
            known.append((row.address, row.label))
            end = row.ends
        return known, end

    def failed_before(self, wanted: Wanted) -> bool:
        """Whether an earlier fetch's attempt at this picture failed."""
        row = self._ledger.find(wanted.address, wanted.label)
        return row is not None and row.status == "failed"

    def place(self, found: Found, encoded: bytes) -> Found:
        """Writes a good picture where it belongs unless it is there; raises FolderError when that cannot be done."""
        if found.file is None:
            return found
        with self._locks[int(found.sha256[:8], 16) % _LOCKS]:
            there = self._has(found.file, found.size)
            if not there:
                self._write(f"{self._root}/{found.file}", encoded)
        return replace(found, new=not there)

    def keep(self, source: str, finding: Finding) -> tuple[FetchRow, list[FetchRow]]:
        """Records what became of a picture, whose file is in place by now, and returns its row.

        Second come earlier rows of this fetch that the picture shows to be placeholders, as they were. A run that is
        killed between file and row finds the file the next time.
        """
        row = self._missed(source, finding) if isinstance(finding, Missed) else self._found(source, finding)
        unmasked: list[FetchRow] = []
        if row.status in ("stored", "already") and self._is_suspicious(row, finding.wanted):
            row, unmasked = self._unmask(row)
        self._ledger.add(row)
        return row, unmasked

    def note(self, count: ClassCount) -> None:
        """Records the counts of one source and class."""
        self._ledger.add(
            RunRow(
                self._run,
                self._started,
                count.source,
                count.label,
                count.wanted,
                count.stored,
                count.already,
                json.dumps(dict(count.rejected)),
                json.dumps(dict(count.failed)),
                count.bytes,
                round(count.seconds, 3),
            )
        )

    def _missed(self, source: str, missed: Missed) -> FetchRow:
        return FetchRow(
            missed.wanted.address,
            missed.wanted.label,
            source,
            missed.status,
            reason=missed.reason,
            bytes=missed.wanted.size,
            transient=missed.transient,
            run=self._run,
            begins=missed.wanted.span[0] if missed.wanted.span else None,
            ends=missed.wanted.span[1] if missed.wanted.span else None,
            **_origin(missed.wanted),
        )

    def _found(self, source: str, found: Found) -> FetchRow:
        label = found.wanted.label
        row = FetchRow(
            found.wanted.address,
            label,
            source,
            "rejected" if found.file is None else "stored" if found.new else "already",
            reason=found.reason,
            sha256=found.sha256,
            bytes=found.size,
            file=found.file,
            transient=False,
            run=self._run,
            width=found.width,
            height=found.height,
            likeness=None if found.likeness is None else f"{found.likeness:016x}",
            promised=found.wanted.sha256 is not None,
            begins=found.wanted.span[0] if found.wanted.span else None,
            ends=found.wanted.span[1] if found.wanted.span else None,
            **_origin(found.wanted),
        )
        if row.status == "stored":
            self._count(label, 1)
        if found.likeness is None or row.file is None or not (found.new or self._is_orphan(row)):
            return row
        near = self._likenesses.nearest(found.likeness)
        self._likenesses.add(found.likeness)
        return replace(row, near=None if near is None else self._ledger.file_like(f"{near:016x}"))

    def _is_orphan(self, row: FetchRow) -> bool:
        """Whether the picture's file has no row yet, because a fetch was killed between the two."""
        return all(twin.file != row.file for twin in self._ledger.same_bytes(row.sha256 or ""))

    def _count(self, label: str, change: int) -> None:
        if label in self._counts:
            self._counts[label] += change

    def _is_suspicious(self, row: FetchRow, wanted: Wanted) -> bool:
        """Whether so many addresses bring these bytes that they are what hosts send instead of a picture."""
        if wanted.read is not None or row.promised or row.sha256 is None:
            return False
        if row.sha256 in self._masked:
            return True
        if self._ledger.other_addresses(row.sha256, row.address) + 1 < SUSPICIOUS:
            return False
        twins = [row, *self._ledger.same_bytes(row.sha256)]
        addresses = {twin.address.partition("#")[0] for twin in twins if _is_downloaded(twin)}
        return len(addresses) >= SUSPICIOUS and not any(twin.promised for twin in twins)

    def _unmask(self, row: FetchRow) -> tuple[FetchRow, list[FetchRow]]:
        """Takes a placeholder that was mistaken for a picture back out of the folder, its file first.

        What also came from elsewhere, as from a folder, stays. A run that is killed between the two asks for the
        pictures again, and finds out again.
        """
        known = row.sha256 in self._masked
        earlier = [] if known else self._ledger.same_bytes(row.sha256 or "")
        there = [twin for twin in earlier if twin.status in ("stored", "already")]
        twins = [twin for twin in there if _is_downloaded(twin)]
        others = {twin.file for twin in there if not _is_downloaded(twin)}
        for file in {twin.file for twin in [*twins, row] if twin.file} - others:
            if self._remove(file):
                self._count(file.partition("/")[0], -1)
        self._masked.add(row.sha256 or "")
        masked = [replace(each, status="rejected", reason="placeholder", file=None, near=None) for each in twins]
        self._ledger.add_all(masked)
        return (
            replace(row, status="rejected", reason="placeholder", file=None, near=None),
            [twin for twin in twins if twin.run == self._run],
        )

    def _remove(self, file: str) -> bool:
        try:
            (self._folder / file).unlink()
        except FileNotFoundError:
            return False
        return True

    def _has(self, file: str, size: int | None) -> bool:
        """A file of another size was cut or changed since, and is fetched anew; one that was set aside is not."""
        if file in self._aside:
            return True
        try:
            return os.stat(f"{self._root}/{file}").st_size == size  # noqa: PTH116 - path objects cost more than the call
        except OSError:
            return False

    def _write(self, path: str, content: bytes) -> None:
        try:
            write_quickly(path, content)  # a name that a power cut took back is missed, and asked for again
        except OSError as error:
            raise FolderError(
                f"{path} cannot be written ({error.strerror}); check the folder's rights and space, then fetch again."
            ) from error


def _is_downloaded(row: FetchRow) -> bool:
    return row.address.startswith("http")


def _origin(wanted: Wanted) -> dict[str, Any]:
    return vars(wanted.credit)
