"""Goes through a labelled folder and says what is wrong with it, file by file and across its pictures."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from milliner.core.address import is_url
from milliner.core.errors import SettingsError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress, silent
from milliner.curation.across import Across, look_across
from milliner.curation.compare import Pair, Reader, Work
from milliner.curation.engine import engine as opened_engine
from milliner.curation.findings import KINDS, Finding, findings, leak_findings
from milliner.curation.fix import check_kinds
from milliner.curation.fix import fix as move_aside
from milliner.curation.leaks import Leaks
from milliner.images.aside import Aside, put_back
from milliner.images.check import check_files
from milliner.images.folder import read_bounded
from milliner.images.ledger import LEDGER_NAME, PictureRow
from milliner.images.local_copy import path_of
from milliner.images.verdicts import set_twins_aside

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
    leaks: tuple[Leaks, ...] = ()
    """What crosses between splits, where these were given."""
    moved: tuple[Aside, ...] = ()
    """What was moved to ``set-aside/`` just now; the rows are as they were before."""
    put_back: tuple[Aside, ...] = ()
    stuck: tuple[Aside, ...] = ()
    """What was to be put back, but has found another file in its place."""

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
            "leaks": [each.to_json() for each in self.leaks],
            "moved": [{"file": each.file, "now": each.now, "kind": each.kind} for each in self.moved],
            "put_back": [each.file for each in self.put_back],
            "stuck": [{"file": each.file, "now": each.now} for each in self.stuck],
        }


def check(
    folder: str | Path | None = None,
    *,
    splits: Mapping[str, str | Path] | None = None,
    ledger: str | Path | None = None,
    quick: bool = False,
    fix: bool | Sequence[str] = False,
    undo: bool = False,
    report: str | Path | None = None,
    cache: str | Path | None = None,
    engine: str = "local",
    progress: Progress = silent,
) -> CheckResult:
    """Checks every picture of a labelled folder, and all of them against each other, and records what it finds.

    Set aside, which means that training does not use them, are files that do not decode, are tiny or blank or a known
    placeholder, have a name that lists cannot hold, or equal another file byte for byte (of equal files under one
    label the first stays; under two labels none does). All else is only told: near duplicates, siblings, labels that
    the other pictures contradict, blur, odd shapes. Nothing is moved unless `fix` says so, and nothing is ever
    deleted. What has not changed since it was checked by the same rules is neither opened nor compared again.

    Args:
        folder: ``<folder>/<label>/<file>``; or packed files, of which nothing is remembered; or a URL of either, of
            which a copy in the user's cache is checked.
        splits: datasets by the names of their splits, or ``.lst`` files whose pictures lie in `folder`: then it is
            checked, instead of all else, what crosses between them, and nothing is written.
        ledger: where the findings are recorded; ``<folder>/ledger.sqlite`` when left out, or nowhere where that cannot
            be written.
        quick: without the network: no siblings, no mislabels, and of near duplicates no crops.
        fix: moves to ``<folder>/set-aside/`` what training leaves out; or kinds of `KINDS` whose files to move.
        undo: first moves back all that was moved.
        report: an HTML page about the findings, with pictures.
        cache: the embedding cache; the project's, or the user's outside of any project, when left out.
        engine: what computes: ``local`` or ``ray``.
        progress: told of every file.

    Raises:
        DatasetError: the folder has no classes, holds no usable picture, or the ledger cannot be written.
        SettingsError: there is no such engine or kind, or options do not go together.
    """
    kinds = () if isinstance(fix, bool) else tuple(fix)
    check_kinds(kinds)
    memory = Path(cache) if cache else None
    if (fix or undo) and is_url(folder):
        raise SettingsError(f"Pictures at {folder} cannot be moved; check a folder of this machine.")
    root = path_of(folder, progress) if folder is not None else None
    if splits or root is None or _is_packed(root):
        if fix or undo:
            raise SettingsError("Only a folder of class folders can be fixed; give one, without splits.")
        if engine != "local":
            raise SettingsError("Splits and packed files are checked on this machine alone; leave the engine out.")
        result, read = _elsewhere(root, splits or {}, quick, memory, progress)
    else:
        back, stuck = put_back(root) if undo else ((), ())
        found, read = _folder(root, Path(ledger) if ledger else None, quick, memory, engine, progress)
        result = replace(found, put_back=tuple(back), stuck=tuple(stuck))
    if report:
        from milliner.curation.page import write_page

        write_page(Path(report), str(folder or ", ".join(splits or ())), result, read)
    if fix and root is not None:
        result = replace(result, moved=tuple(move_aside(root, result.findings, kinds)))
    return result


def _folder(
    root: Path, ledger: Path | None, quick: bool, cache: Path | None, engine: str, progress: Progress
) -> tuple[CheckResult, Reader]:
    reader = FolderReader(str(root))
    with _ledger(root, ledger) as book, opened_engine(engine, [root]) as spread:
        files = check_files(root, ledger=book, progress=progress, spread=spread)
        across = look_across(files.kept, book, Work(reader, spread, progress), quick=quick, cache=cache)
    return _result(files.rows, files.looked_at, across), reader


def _elsewhere(
    root: Path | None, splits: Mapping[str, str | Path], quick: bool, cache: Path | None, progress: Progress
) -> tuple[CheckResult, Reader]:
    """Of splits or packed files, which have no ledger."""
    from milliner.curation.splits import DatasetReader, check_splits
    from milliner.shards.dataset import open_dataset

    if splits:
        given = check_splits(splits, root, quick=quick, cache=cache, progress=progress)
        found = (*findings(given.rows, (), ()), *leak_findings(given.leaks))
        return CheckResult(given.rows, len(given.rows), given.pairs, found, leaks=given.leaks), given.read
    if root is None:
        raise SettingsError("Give a folder to check, or splits.")
    reader = DatasetReader({"": open_dataset(root)})
    rows = tuple(set_twins_aside(list(reader.rows(progress))))
    kept = tuple(row for row in rows if row.status == "kept")
    with TemporaryDirectory(prefix="milliner-") as folder:
        work = Work(reader, ordered_map, progress)
        across = look_across(kept, Path(folder, LEDGER_NAME), work, quick=quick, cache=cache)
    return _result(rows, len(rows), across), reader


@dataclass(frozen=True)
class FolderReader:
    """Reads a checked file's bytes."""

    root: str

    def __call__(self, row: PictureRow) -> bytes:
        return read_bounded(Path(self.root, row.file))


def _is_packed(root: Path) -> bool:
    return bool(root.suffix) and not root.is_dir()


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
