"""Puts files of a labelled folder aside and back again: ``<root>/set-aside/<kind>/<file>``, with the reasons beside.

``set-aside/reasons.json`` is written before anything moves and says of every file where it was, where it is put and
why. So whoever is killed midway can be run again, or undone: each file is in one of the two places, and the list
knows both. Nothing is deleted, and nothing that is there is written over.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from milliner.core.errors import DatasetError
from milliner.images.files import read_at_most, write_atomically

FOLDER: Final = "set-aside"
_LIST: Final = "reasons.json"
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK)
_MAX_BYTES: Final = 2**28  # of the list: about a million files


@dataclass(frozen=True)
class Aside:
    """A file that is set aside; both places are relative to the root, with forward slashes."""

    file: str
    """Where it was."""
    now: str
    """Where it is put."""
    kind: str
    reason: str


def holds_asides(folder: Path) -> bool:
    """Whether a folder is the place for what is set aside, and so no class."""
    return folder.name == FOLDER and (folder / _LIST).is_file()


def asides(root: Path) -> list[Aside]:
    """What is set aside in a folder; raises DatasetError where the list cannot be read."""
    path = root / FOLDER / _LIST
    try:
        found = json.loads(read_at_most(path, _MAX_BYTES))
        return [_checked(Aside(**each), root) for each in found["files"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"{path} is not a list of set-aside files ({error}); mend it, or move it away.") from error


def set_aside(root: Path, wanted: Iterable[tuple[str, str, str]]) -> list[Aside]:
    """Moves files aside, given as file, kind and reason; returns those that were moved.

    Files that are not there any more are passed over. Raises DatasetError where the folder cannot be written.
    """
    known = asides(root)
    _finish(root, known)
    taken: set[str] = set()
    fresh: list[Aside] = []
    for file, kind, reason in wanted:
        if os.path.lexists(root / file):
            now = _free(root, f"{FOLDER}/{kind}/{file}", taken)
            taken.add(now)
            fresh.append(Aside(file, now, kind, reason))
    if not fresh:
        return []
    moving = {each.file for each in fresh}
    # What an earlier run has listed and not moved is listed anew; what it has moved stays as it is.
    kept = [each for each in known if each.file not in moving or os.path.lexists(root / each.now)]
    try:
        _write(root, [*kept, *fresh])
        return [each for each in fresh if _move(root / each.file, root / each.now)]
    except OSError as error:
        raise _unwritable(root, error) from error


def put_back(root: Path) -> tuple[list[Aside], list[Aside]]:
    """Moves all that is set aside back to where it was; returns what was moved, and what was not.

    Not moved is what has found another file in its old place; it stays aside. Raises DatasetError where the folder
    cannot be written.
    """
    known = asides(root)
    moved: list[Aside] = []
    stuck: list[Aside] = []
    try:
        for each in known:
            if not os.path.lexists(root / each.now):
                continue
            (moved if _move(root / each.now, root / each.file) else stuck).append(each)
        if known:
            _write(root, stuck)
        _remove_empty(root / FOLDER)
    except OSError as error:
        raise _unwritable(root, error) from error
    return moved, stuck


def _finish(root: Path, known: Iterable[Aside]) -> None:
    """A run that was killed in the midst of a move has left the file in both places."""
    for each in known:
        if _is_same(root / each.file, root / each.now):
            (root / each.file).unlink()


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False


def _checked(aside: Aside, root: Path) -> Aside:
    """Refuses a list by which a file could leave the folder."""
    for place in (aside.file, aside.now):
        path = PurePosixPath(place)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{place!r} is not inside {root}")
    return aside


def _free(root: Path, place: str, taken: set[str]) -> str:
    """The place itself, or one beside it whose name nobody has."""
    path = PurePosixPath(place)
    number = 1
    while place in taken or os.path.lexists(root / place):
        number += 1
        place = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    return place


def _move(source: Path, target: Path) -> bool:
    """Moves a file unless something is in its place: linked there first and then unlinked here, so never lost."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if not _is_same(source, target):
            return False  # else a run was killed between the two steps
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if error.errno != errno.EXDEV:
            source.rename(target)  # that nothing is there was seen above
            return True
        part = target.with_name(f".{target.name}.part")
        shutil.copy2(source, part, follow_symlinks=False)
        part.replace(target)
    source.unlink()
    return True


def _write(root: Path, found: Sequence[Aside]) -> None:
    told: dict[str, Any] = {
        "about": "Set aside by `milliner check --fix`; `milliner check --undo` moves everything back.",
        "files": [asdict(each) for each in found],
    }
    write_atomically(root / FOLDER / _LIST, f"{json.dumps(told, indent=1)}\n".encode())


def _remove_empty(folder: Path) -> None:
    """Takes away the folders that are empty now, and the list when it is all that is left."""
    if folder.is_dir() and not any(folder.iterdir()):  # a run was killed in the midst of this
        folder.rmdir()
    if not holds_asides(folder):
        return
    for place, _, _ in os.walk(folder, topdown=False):
        if Path(place) != folder and not any(Path(place).iterdir()):
            Path(place).rmdir()
    if [path.name for path in folder.iterdir()] == [_LIST] and not asides(folder.parent):
        (folder / _LIST).unlink()
        folder.rmdir()


def _unwritable(root: Path, error: OSError) -> DatasetError:
    where = error.filename or root / FOLDER
    return DatasetError(
        f"{where} cannot be written ({error.strerror}); check the folder's rights and space, and run it again."
    )
