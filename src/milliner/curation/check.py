"""Goes through a labelled folder and says what is wrong with it, file by file and across its pictures."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from milliner.core.progress import Progress, silent
from milliner.curation.across import Across, look_across
from milliner.curation.compare import Pair, Work
from milliner.curation.engine import engine as opened_engine
from milliner.curation.findings import KINDS, Finding, findings
from milliner.images.check import check_files
from milliner.images.folder import read_bounded
from milliner.images.ledger import LEDGER_NAME, PictureRow
from milliner.images.local_copy import path_of

__all__ = ["CheckResult", "Pair", "check"]


@dataclass(frozen=True)
class CheckResult:
    """Every file's row, kept and set aside; `looked_at` counts those that were new or had changed."""

    rows: tuple[PictureRow, ...]
    looked_at: int
    pairs: tuple[Pair, ...] = ()
    findings: tuple[Finding, ...] = ()
    largest_group: int = 0
    """Pictures of the largest group that pairs join, over however many others."""

    @property
    def kept(self) -> tuple[PictureRow, ...]:
        """The files that training may use."""
        return tuple(row for row in self.rows if row.status == "kept")

    @property
    def set_aside(self) -> tuple[PictureRow, ...]:
        """The files that it may not, each with its reason."""
        return tuple(row for row in self.rows if row.status == "set aside")

    @property
    def counts(self) -> Mapping[str, int]:
        """How many findings there are of each kind that there is, in the order of `KINDS`."""
        counted = Counter(each.kind for each in self.findings)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    def to_json(self) -> dict[str, Any]:
        """The `check --json` shape."""
        return {
            "pictures": len(self.rows),
            "looked_at": self.looked_at,
            "kept": dict(sorted(Counter(row.label for row in self.kept).items())),
            "set_aside": [{"file": row.file, "reason": row.reason} for row in self.set_aside],
            "counts": dict(self.counts),
            "findings": [each.to_json() for each in self.findings],
            "largest_group": self.largest_group,
        }


def check(
    folder: str | Path,
    *,
    ledger: str | Path | None = None,
    quick: bool = False,
    cache: str | Path | None = None,
    engine: str = "local",
    progress: Progress = silent,
) -> CheckResult:
    """Checks every picture of a labelled folder, and all of them against each other, and records what it finds.

    Set aside, which means that training does not use them, are files that do not decode, are tiny or blank or a known
    placeholder, have a name that lists cannot hold, or equal another file byte for byte (of equal files under one
    label the first stays; under two labels none does). All else is only told: near duplicates, siblings, labels that
    the other pictures contradict, blur, odd shapes. Nothing is moved, and nothing but the ledger is written. What
    has not changed since it was checked by the same rules is neither opened nor compared again.

    Args:
        folder: ``<folder>/<label>/<file>``, or the URL of such a folder, which is copied into the user's cache.
        ledger: where the findings are recorded; ``<folder>/ledger.sqlite`` when left out, of a URL that of the copy, or
            nowhere where that cannot be written.
        quick: without the network: no siblings, no mislabels, and of near duplicates no crops.
        cache: the embedding cache; the project's, or the user's outside of any project, when left out.
        engine: what computes: ``local`` or ``ray``.
        progress: told of every file.

    Raises:
        DatasetError: the folder has no classes, holds no usable picture, or the ledger cannot be written.
        SettingsError: there is no such engine.
    """
    root = path_of(folder, progress)
    with _ledger(root, Path(ledger) if ledger else None) as book, opened_engine(engine, [root]) as spread:
        files = check_files(root, ledger=book, progress=progress, spread=spread)
        work = Work(FolderReader(str(root)), spread, progress)
        across = look_across(files.kept, book, work, quick=quick, cache=Path(cache) if cache else None)
    return _result(files.rows, files.looked_at, across)


@dataclass(frozen=True)
class FolderReader:
    """Reads a checked file's bytes."""

    root: str

    def __call__(self, row: PictureRow) -> bytes:
        return read_bounded(Path(self.root, row.file))


def _result(rows: tuple[PictureRow, ...], looked_at: int, across: Across) -> CheckResult:
    found = findings(rows, across.pairs, across.mislabels)
    return CheckResult(rows, looked_at, across.pairs, found, across.largest_group)


@contextmanager
def _ledger(root: Path, given: Path | None) -> Iterator[Path]:
    """Where to write: what is given, or beside the pictures, or for the time being where neither can be."""
    own = root / LEDGER_NAME
    writable = os.access(root, os.W_OK) and (not own.exists() or os.access(own, os.W_OK))
    if given or writable or not root.is_dir():
        yield given or own
        return
    with TemporaryDirectory(prefix="milliner-") as folder:
        yield Path(folder, LEDGER_NAME)
