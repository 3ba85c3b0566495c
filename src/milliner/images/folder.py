"""The labelled image folder: ``<root>/<label>/<file>``, as people keep it and as `fetch` writes it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.core.sample import Sample
from milliner.images.aside import holds_asides
from milliner.images.ledger import LEDGER_NAME, Ledger
from milliner.images.raw import read_bounded as read_bounded
from milliner.images.verdicts import set_twins_aside, stands

_LEDGER_FILES: Final = {LEDGER_NAME, f"{LEDGER_NAME}-wal", f"{LEDGER_NAME}-shm"}


@dataclass(frozen=True)
class Entry:
    """One file of a labelled folder; `key` is its path relative to the root, with forward slashes."""

    key: str
    label: str
    path: Path


def list_entries(root: Path) -> list[Entry]:
    """Every file below every class folder, sorted by key; hidden ones, and what is set aside, are left out.

    A class folder may be a link to a folder elsewhere; deeper links to folders are not followed, so a loop of
    links ends. Raises DatasetError when there is no class folder.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder; give a folder that holds one folder of pictures for each class.")
    try:
        folders = [path for path in sorted(root.iterdir()) if _is_class_folder(path, root)]
        entries = [entry for folder in folders for entry in _entries_below(folder, root)]
    except OSError as error:
        raise DatasetError(
            f"{error.filename or root} cannot be listed ({error.strerror}); check its rights."
        ) from error
    if not entries:
        raise DatasetError(
            f"{root} holds no class folders with files in them; "
            f"put pictures into {root}/<class>/, one folder for each class."
        )
    return sorted(entries, key=lambda entry: entry.key)


def storable(key: str) -> bool:
    """Whether a key can be written as UTF-8: the names of old file systems can hold bytes that are no text."""
    return not any("\ud800" <= sign <= "\udfff" for sign in key)


def _is_class_folder(path: Path, root: Path) -> bool:
    if path.name.startswith(".") or not path.is_dir() or holds_asides(path):
        return False
    return not root.resolve().is_relative_to(path.resolve())  # a link back up would make the root its own class


def _entries_below(folder: Path, root: Path) -> Iterator[Entry]:
    """One system call a folder and none a file, since there may be a hundred thousand."""
    waiting = [(str(folder), folder.name)]
    while waiting:
        place, key = waiting.pop()
        with os.scandir(place) as found:
            for each in found:
                if each.name.startswith("."):
                    continue
                if each.is_dir(follow_symlinks=False):
                    waiting.append((each.path, f"{key}/{each.name}"))
                elif each.name not in _LEDGER_FILES and _may_be_picture(each):
                    yield Entry(f"{key}/{each.name}", folder.name, Path(each.path))


def _may_be_picture(found: "os.DirEntry[str]") -> bool:
    """Whether it is a regular file or a link to one. A broken link is, to be reported as unreadable."""
    if not found.is_symlink():
        return found.is_file()
    path = Path(found.path)
    return path.is_file() or not path.exists()


def picture_files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that may be a picture, sorted: visible, regular, and no ledger's.

    Links to folders are not followed; pipes and devices are left out, since opening one may wait for ever.
    Raises OSError where a folder cannot be listed.
    """
    yield from sorted((path for path in _visible_below(folder) if path.is_file()), key=lambda path: path.as_posix())


def _visible_below(folder: Path) -> Iterator[Path]:
    for place, subfolders, files in os.walk(folder, onerror=_raise):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith(".") and name not in _LEDGER_FILES)


def _raise(error: OSError) -> None:
    raise error


class FolderDataset:
    """A labelled folder as a dataset, without the files that its ledger has set aside or could not name.

    What the ledger says of a file or of its twin counts only as long as that file is the one that was checked.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        entries = list_entries(root)
        set_aside = self._set_aside()
        self._entries = [entry for entry in entries if entry.key not in set_aside and storable(entry.key)]
        self._labels = tuple(sorted({entry.label for entry in self._entries}))

    def _set_aside(self) -> set[str]:
        path = self._root / LEDGER_NAME
        if not path.exists():
            return set()
        with Ledger.read(path) as ledger:
            rows = [row for row in ledger.pictures().values() if not row.root]
        standing = [row for row in rows if stands(row, self._root / row.file)]
        standing.sort(key=lambda row: row.status)  # of twins the one that was kept comes first, and stays
        return {row.file for row in set_twins_aside(standing) if row.status == "set aside"}

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._root)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class folders' names, sorted."""
        return self._labels

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every file."""
        numbers = {label: number for number, label in enumerate(self._labels)}
        return [numbers[entry.label] for entry in self._entries]

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, index: int) -> str:
        """The file's path relative to the folder."""
        return self._entries[index].key

    def __getitem__(self, index: int) -> Sample:
        """Reads one file; raises UnreadableImageError when that fails."""
        entry = self._entries[index]
        return Sample(entry.key, entry.label, read_bounded(entry.path))
