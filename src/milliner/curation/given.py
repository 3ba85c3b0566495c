"""The plan of a given split: lists say which picture goes where, with which id and labels."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from milliner.core.errors import DatasetError
from milliner.core.progress import Progress
from milliner.curation.engine import engine
from milliner.curation.plan import Order, Plan, SetAside
from milliner.curation.split import check_names
from milliner.images.raw import name_fault
from milliner.shards.lists import ListLine, read_list


def plan_given(order: Order, lists: Mapping[str, str | Path], progress: Progress) -> Plan:
    """Reads the lists and leaves out what cannot be used.

    Raises DatasetError for lists that do not fit the folder, with file and line, and where one has no usable picture.
    """
    check_names(lists)
    given = {name: read_list(Path(path)) for name, path in lists.items()}
    contents = _contents(order.root, lists, given)
    if order.checked:
        contents, set_aside = _checked(order, given, progress)
    else:
        set_aside = tuple(SetAside(path, fault) for path in contents if (fault := name_fault(path)))
    left_out = {row.file for row in set_aside}
    splits = {name: [line for line in lines if line.path not in left_out] for name, lines in given.items()}
    empty = [name for name, lines in splits.items() if not lines]
    if empty:
        raise DatasetError(f"No picture of the list for {empty[0]} is usable; see `milliner check`.")
    return Plan(splits, _names([line for lines in splits.values() for line in lines]), contents, set_aside)


def _contents(root: Path, lists: Mapping[str, str | Path], given: Mapping[str, list[ListLine]]) -> dict[str, str]:
    """Size and time of change of every listed file; raises DatasetError for one that is missing or listed twice."""
    contents: dict[str, str] = {}
    seen: dict[str, tuple[str, int]] = {}
    folder = os.fspath(root)
    for name, lines in given.items():
        for line in lines:
            other, number = seen.setdefault(line.path, (name, line.number))
            if (other, number) != (name, line.number):
                raise DatasetError(
                    f"{lists[name]}, line {line.number}: {line.path} is listed twice, the first time in "
                    f"{lists[other]}, line {number}; list every picture once."
                )
            contents[line.path] = _facts(f"{folder}/{line.path}")
            if not contents[line.path]:
                raise DatasetError(
                    f"{lists[name]}, line {line.number}: there is no file {line.path} in {root}; "
                    "mend the list or the folder."
                )
    return contents


def _facts(path: str) -> str:
    """Size and time of change; empty where there is no file."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - a path object takes several times as long
    except OSError:
        return ""
    return f"{facts.st_size} {facts.st_mtime_ns}" if stat.S_ISREG(facts.st_mode) else ""


def _checked(
    order: Order, given: Mapping[str, list[ListLine]], progress: Progress
) -> tuple[dict[str, str], tuple[SetAside, ...]]:
    """The sha256 of every listed picture, and what checking sets aside."""
    from milliner.images.check import check_entries
    from milliner.images.folder import Entry

    lines = sorted((line for lines in given.values() for line in lines), key=lambda line: line.path)
    entries = [Entry(line.path, _folder_of(line) or str(line.labels[0]), order.root / line.path) for line in lines]
    with engine(order.engine, [order.root]) as spread:
        found = check_entries(order.root, entries, ledger=order.ledger, progress=progress, spread=spread)
    contents = {row.file: row.sha256 or "" for row in found.rows}
    return contents, tuple(SetAside(row.file, row.reason or "") for row in found.set_aside)


def _folder_of(line: ListLine) -> str:
    """The class folder that a picture lies in; empty for one in the root itself."""
    folder, found, _ = line.path.partition("/")
    return folder if found else ""


def _names(lines: list[ListLine]) -> tuple[str, ...]:
    """The class folders' names in the order of the lists' numbers; none where numbers and folders do not agree."""
    names: dict[float, set[str]] = {}
    for line in lines:
        names.setdefault(line.labels[0], set()).add(_folder_of(line))
    numbered = sorted(names) == [float(number) for number in range(len(names))]
    each = [next(iter(names[number])) for number in sorted(names) if len(names[number]) == 1]
    agree = numbered and len(each) == len(names) == len(set(each)) and all(each)
    return tuple(each) if agree else ()
