"""Goes through a labelled folder and sets aside what would spoil training: nothing is moved, the ledger says it."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from milliner.core.errors import DatasetError, UnreadableImageError
from milliner.core.parallel import Spread, ordered_map
from milliner.core.progress import Progress, silent
from milliner.images.folder import Entry, list_entries, read_bounded, storable
from milliner.images.inspect import RULES, inspect, named_wrongly
from milliner.images.ledger import LEDGER_NAME, Ledger, PictureRow
from milliner.images.placeholders import is_placeholder
from milliner.images.verdicts import set_twins_aside, stands

_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class FileCheck:
    """Every file's row, kept and set aside; `looked_at` counts those that were new or had changed."""

    rows: tuple[PictureRow, ...]
    looked_at: int

    @property
    def kept(self) -> tuple[PictureRow, ...]:
        """The files that training may use."""
        return tuple(row for row in self.rows if row.status == "kept")

    @property
    def set_aside(self) -> tuple[PictureRow, ...]:
        """The files that it may not, each with its reason."""
        return tuple(row for row in self.rows if row.status == "set aside")


def check_files(
    folder: str | Path,
    *,
    ledger: str | Path | None = None,
    progress: Progress = silent,
    spread: Spread = ordered_map,
) -> FileCheck:
    """Checks every picture of a labelled folder by itself and records what it finds.

    Set aside are files that do not decode, are tiny or blank or a known placeholder, have a name that lists cannot
    hold, or equal another file byte for byte (of equal files under one label the first stays; under two labels none
    does). Files that have not changed since they were last checked by the same rules are not opened again.

    Args:
        folder: ``<folder>/<label>/<file>``.
        ledger: where the findings are recorded; ``<folder>/ledger.sqlite`` when left out.
        progress: told of every file.
        spread: the engine that opens the files.

    Raises:
        DatasetError: the folder has no classes, holds no usable picture, or the ledger cannot be written.
    """
    root = Path(folder)
    place = Path(ledger) if ledger else root / LEDGER_NAME
    return check_entries(root, list_entries(root), ledger=place, progress=progress, spread=spread)


def check_entries(
    root: Path, entries: list[Entry], *, ledger: Path, progress: Progress = silent, spread: Spread = ordered_map
) -> FileCheck:
    """`check_files` for some of a folder's files, as lists name them.

    What the ledger knows of the others counts as well: they may be twins, of which one of these then stays.
    """
    place = _place(root, ledger)
    with Ledger.open(ledger) as book:
        stored = book.pictures()
        known = {file: row for file, row in stored.items() if row.root == place}
        book.forget_pictures(stored.keys() - known.keys())
        rows, fresh = _look(entries, known, place, book, progress, spread)
        named = {row.file for row in rows}
        unnamed = [row for file, row in known.items() if file not in named]
        others = [row for row in unnamed if stands(row, root / row.file)]
        judged = set_twins_aside([*rows, *others])
        book.add_all(row for row in judged if known.get(row.file) != row and storable(row.file))
        book.forget_pictures(row.file for row in unnamed if not (root / row.file).exists())
    judged = judged[: len(rows)]
    result = FileCheck(tuple(judged), fresh)
    if not result.kept:
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in Counter(row.reason for row in judged).most_common(3)
        )
        raise DatasetError(f"{root} holds no usable picture ({reasons}); add pictures as JPEG, PNG or WebP files.")
    return result


def _place(root: Path, ledger: Path) -> str:
    """The checked folder as the ledger's rows name it."""
    if ledger.parent.resolve() == root.resolve():
        return ""
    return str(root.resolve()).encode("utf-8", "backslashreplace").decode()  # a ledger holds text only


def _look(
    entries: list[Entry],
    known: dict[str, PictureRow],
    place: str,
    book: Ledger,
    progress: Progress,
    spread: Spread,
) -> tuple[list[PictureRow], int]:
    """Rows of all entries, with the verdict on each file alone; new ones are recorded on the way."""
    rows = {entry.key: row for entry in entries if (row := _still_known(entry, known.get(entry.key)))}
    fresh = [entry for entry in entries if entry.key not in rows]
    unsaved: list[PictureRow] = []
    with progress("check", len(entries)) as advance:
        advance(len(rows))
        for row in spread(_Looking(place), fresh):
            rows[row.file] = row
            if storable(row.file):
                unsaved.append(row)
            if len(unsaved) == _ROWS_AT_ONCE:
                book.add_all(unsaved)
                unsaved.clear()
            advance()
        book.add_all(unsaved)
    return [rows[entry.key] for entry in entries], len(fresh)


def _still_known(entry: Entry, known: PictureRow | None) -> PictureRow | None:
    return known if known and known.label == entry.label and stands(known, entry.path) else None


@dataclass(frozen=True)
class _Looking:
    """Opens a file and judges it; can be sent to another process."""

    place: str

    def __call__(self, entry: Entry) -> PictureRow:
        row = PictureRow(entry.key, entry.label, 0, 0, "set aside", reason="unreadable", root=self.place, rules=RULES)
        try:
            facts = entry.path.stat()
        except OSError:
            return row
        row = replace(row, bytes=facts.st_size, modified_ns=facts.st_mtime_ns)
        try:
            encoded = read_bounded(entry.path)
        except UnreadableImageError as error:
            return replace(row, modified_ns=0, reason=error.reason)  # rights can change without the file's time
        return judge_picture(row, encoded)


def judge_picture(row: PictureRow, encoded: bytes) -> PictureRow:
    """A row with all that can be said of a picture by itself."""
    sha256 = hashlib.sha256(encoded).hexdigest()
    seen = inspect(encoded)
    placeholder = "placeholder" if is_placeholder(encoded, sha256) else None
    reason = _name_fault(row.file) or placeholder or seen.reason
    wrong_name = ("wrong extension",) if named_wrongly(row.file, seen.format) else ()
    return replace(
        row,
        status="set aside" if reason else "kept",
        reason=reason,
        sha256=sha256,
        width=seen.width,
        height=seen.height,
        format=seen.format,
        likeness=None if seen.likeness is None else f"{seen.likeness:016x}",
        notes=",".join(seen.notes + wrong_name),
    )


def _name_fault(key: str) -> str | None:
    """Lists are lines of tab-separated UTF-8: a name that holds one of these would break them."""
    if not storable(key):
        return "name is not UTF-8"
    return "name holds a tab or line break" if any(sign in key for sign in "\t\n\r") else None
