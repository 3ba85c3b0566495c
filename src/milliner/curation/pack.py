"""Packs a labelled folder: check, split, and one record file for each split."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from milliner.core.errors import DatasetError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Advance, Progress, silent
from milliner.core.seed import check_seed
from milliner.curation.check import check
from milliner.curation.split import DEFAULT_SPLIT, check_names, check_shares, stratified_split
from milliner.images.check import check_entries
from milliner.images.folder import Entry, read_bounded
from milliner.images.ledger import LEDGER_NAME, PictureRow
from milliner.shards.format import Record, Writer
from milliner.shards.lists import ListLine, read_list
from milliner.shards.recordio import FORMAT


@dataclass(frozen=True)
class Shard:
    """One written file."""

    split: str
    path: Path
    records: int
    per_class: Mapping[str, int]


@dataclass(frozen=True)
class PackResult:
    """The written files, and what was left out of them and why."""

    shards: tuple[Shard, ...]
    set_aside: tuple[PictureRow, ...]

    def to_json(self) -> dict[str, Any]:
        """The `pack --json` shape."""
        return {
            "shards": [
                {"split": s.split, "path": str(s.path), "records": s.records, "per_class": dict(s.per_class)}
                for s in self.shards
            ],
            "set_aside": [{"file": row.file, "reason": row.reason} for row in self.set_aside],
        }


@dataclass(frozen=True)
class _Plan:
    """Which line goes where, and the names of the label numbers."""

    splits: Mapping[str, list[ListLine]]
    labels: tuple[str, ...]


def pack(
    folder: str | Path,
    *,
    into: str | Path,
    split: Mapping[str, float] | None = None,
    lists: Mapping[str, str | Path] | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> PackResult:
    """Packs ``<folder>/<label>/<file>`` into RecordIO files named after their splits.

    The pictures' bytes pass through untouched; for the same list the files equal those of MXNet's
    ``im2rec --pass-through`` byte for byte. The folder is checked first; findings go into its ledger, or into
    one beside the packed files where the folder has none that can be written. What fails leaves nothing new.

    Args:
        folder: the labelled folder.
        into: where ``<split>.rec``, ``.idx``, ``.lst`` and ``.labels`` are written; all that was packed there
            before goes, also splits of other names.
        split: name and share of each split, summing to 1; train 0.7 and test 0.3 when left out.
        lists: name and ``.lst`` file of each split, instead of `split`; their ids and labels are kept.
        seed: decides the split and the order of records.
        progress: told of every picture.

    Raises:
        DatasetError: the folder or a list cannot be used.
        SettingsError: the shares do not sum to 1, a split's name cannot be a file's name, or the seed is below 0.
    """
    check_seed(seed)
    root, target = Path(folder), Path(into)
    _check_apart(root, target)
    own = root / LEDGER_NAME
    ledger = own if os.access(own, os.W_OK) and os.access(root, os.W_OK) else target / LEDGER_NAME
    with _nothing_new_on_failure(target, ledger):
        plan, set_aside = _plan(root, split, lists, seed, ledger, progress)
        paths = {name: target / f"{name}{FORMAT.suffix}" for name in plan.splits}
        with progress("pack", sum(len(lines) for lines in plan.splits.values())) as advance, ExitStack() as files:
            # All splits are on the disk before one takes its name: a new train and an old test might share pictures.
            writers = {name: files.enter_context(FORMAT.writer(target, name, plan.labels)) for name in paths}
            for name, lines in plan.splits.items():
                _write(root, lines, writers[name], advance)
            _remove_earlier(target, paths.values(), spare=(lists or {}).values())
    return PackResult(tuple(_shard(name, path, plan) for name, path in paths.items()), set_aside)


@contextmanager
def _nothing_new_on_failure(target: Path, ledger: Path) -> Iterator[None]:
    """Takes away a new ledger and new folders where packing fails; who interrupts it keeps what was found."""
    folders = [folder for folder in (target, *target.parents) if not folder.exists()]
    files = [] if ledger.exists() else [ledger.with_name(f"{ledger.name}{end}") for end in ("", "-wal", "-shm")]
    try:
        yield
    except Exception:
        with suppress(OSError):  # what failed is to be told, not this
            for file in files:
                file.unlink(missing_ok=True)
            for folder in folders:
                folder.rmdir()
        raise


def _plan(
    root: Path,
    split: Mapping[str, float] | None,
    lists: Mapping[str, str | Path] | None,
    seed: int,
    ledger: Path,
    progress: Progress,
) -> tuple[_Plan, tuple[PictureRow, ...]]:
    """Checks the folder, and deals out what may be used; what may not comes second."""
    if lists:
        check_names(lists)
        given = {name: read_list(Path(path)) for name, path in lists.items()}
        listed = check_entries(root, _entries(root, given), ledger=ledger, progress=progress)
        return _plan_given(given, listed.kept), listed.set_aside
    shares = split or DEFAULT_SPLIT
    check_shares(shares)
    checked = check(root, ledger=ledger, progress=progress)
    return _plan_drawn(checked.kept, shares, seed), checked.set_aside


def _check_apart(root: Path, target: Path) -> None:
    """Packed files inside a class folder, or in what would become one, would be taken for pictures."""
    inside = target.resolve().is_relative_to(root.resolve()) and target.resolve().relative_to(root.resolve()).parts
    if inside and not inside[0].startswith("."):
        raise DatasetError(
            f"{target} lies inside {root}, where it would be taken for a class; pack into another folder."
        )


def _plan_drawn(kept: tuple[PictureRow, ...], shares: Mapping[str, float], seed: int) -> _Plan:
    labels = tuple(sorted({row.label for row in kept}))
    if len(labels) < 2:
        raise DatasetError(f"All usable pictures are of one class ({labels[0]}); add a folder for a second class.")
    lines = [ListLine(place, (float(labels.index(row.label)),), row.file) for place, row in enumerate(kept)]
    dealt = stratified_split([row.label for row in kept], shares, seed)
    return _Plan({name: [lines[place] for place in places] for name, places in dealt.items()}, labels)


def _entries(root: Path, given: Mapping[str, list[ListLine]]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for name, lines in given.items():
        for line in lines:
            if line.path in entries:
                raise DatasetError(f"{line.path} is listed twice, the second time for {name}; list every picture once.")
            if not (root / line.path).is_file():
                raise DatasetError(
                    f"The list for {name} names {line.path}, which is not in {root}; mend the list or the folder."
                )
            folder = line.path.partition("/")[0] if "/" in line.path else str(line.labels[0])
            entries[line.path] = Entry(line.path, folder, root / line.path)
    return [entries[key] for key in sorted(entries)]


def _plan_given(given: Mapping[str, list[ListLine]], usable: tuple[PictureRow, ...]) -> _Plan:
    kept = {row.file for row in usable}
    splits = {name: [line for line in lines if line.path in kept] for name, lines in given.items()}
    empty = [name for name, lines in splits.items() if not lines]
    if empty:
        raise DatasetError(f"No picture of the list for {empty[0]} is usable; see `milliner check`.")
    return _Plan(splits, _names([line for lines in splits.values() for line in lines]))


def _names(lines: list[ListLine]) -> tuple[str, ...]:
    """The class folders' names in the order of the lists' numbers; none where numbers and folders do not agree."""
    names: dict[float, set[str]] = {}
    for line in lines:
        folder, found, _ = line.path.partition("/")
        names.setdefault(line.labels[0], set()).add(folder if found else "")
    numbered = sorted(names) == [float(number) for number in range(len(names))]
    each = [next(iter(names[number])) for number in sorted(names) if len(names[number]) == 1]
    agree = numbered and len(each) == len(names) == len(set(each)) and all(each)
    return tuple(each) if agree else ()


def _write(root: Path, lines: list[ListLine], writer: Writer, advance: Advance) -> None:
    for line, encoded in zip(lines, ordered_map(lambda line: read_bounded(root / line.path), lines), strict=True):
        writer.add(Record(line.id, line.labels, encoded, line.path))
        advance()
    writer.sync()


def _remove_earlier(target: Path, paths: Iterable[Path], spare: Iterable[str | Path]) -> None:
    """Removes what was packed here before, since an old split might share pictures with a new one of another name.

    Only packing writes a list and names beside a record file, so others' files stay, as do the lists that were given.
    """
    spared = {Path(path).resolve() for path in spare}
    for path in paths:
        path.unlink(missing_ok=True)
    for path in target.glob(f"*{FORMAT.suffix}"):
        beside = [path.with_suffix(suffix) for suffix in (".idx", ".lst", ".labels", ".sums")]
        if path.is_file() and all(file.is_file() for file in beside[1:3]):
            for file in (path, *beside):
                if file.resolve() not in spared:
                    file.unlink(missing_ok=True)


def _shard(split: str, path: Path, plan: _Plan) -> Shard:
    lines = plan.splits[split]
    numbers = [line.labels[0] for line in lines]
    counts = Counter(plan.labels[int(number)] if plan.labels else f"{number:g}" for number in numbers)
    return Shard(split, path, len(lines), dict(sorted(counts.items())))
