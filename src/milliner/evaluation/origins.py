"""What a ledger knows of the test pictures' origins."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.core.sample import Dataset
from milliner.curation.groups import COLUMNS
from milliner.images.folder import FolderDataset
from milliner.images.ledger import LEDGER_NAME, FetchRow, Ledger, PictureRow

UNKNOWN: Final = "unknown"
"""The value of pictures of which the ledger has none."""

_DAY: Final = "day"
_OF_FETCHED: Final = tuple(sorted({*COLUMNS, "licence_version", "licence_url"}))
_OF_CHECKED: Final = ("format", "notes")

ORIGINS: Final = (*_OF_FETCHED, *_OF_CHECKED, _DAY)
"""The columns: what fetching and checking wrote of a picture, and the day on which it was fetched."""


def find_ledger(dataset: Dataset, given: Path | None) -> Path:
    """The ledger of a dataset: the given one, a file or its folder, or else the one in its folder or beside its files.

    Raises DatasetError where there is none.
    """
    if given is not None:
        found = given / LEDGER_NAME if given.is_dir() else given
        if not found.is_file():
            raise DatasetError(f"There is no ledger {found}; give the folder that `milliner fetch` wrote into.")
        return found
    files: Sequence[Path] = getattr(dataset, "files", ())
    folder = Path(dataset.name) if isinstance(dataset, FolderDataset) else files[0].parent if files else None
    if folder is None or not (folder / LEDGER_NAME).is_file():
        raise DatasetError(
            f"{dataset.name} has no ledger beside it that could say where its pictures come from; give the one of "
            "the folder that they were fetched into with --ledger."
        )
    return folder / LEDGER_NAME


def origins(ledger: Path, columns: Sequence[str], sha256s: Sequence[str], keys: Sequence[str]) -> list[dict[str, str]]:
    """[n] the values of some of `ORIGINS` for n pictures, `UNKNOWN` where the ledger has none.

    A picture is known by its bytes, and where these were written anew, as by `pack --size`, by its path.

    Raises DatasetError where the ledger cannot be read.
    """
    with Ledger.read(ledger) as book:
        days = {row.run: row.started[:10] for row in book.runs()} if _DAY in columns else {}
        rows = [row for row in book.fetched() if row.file]
        fetched = _both((row.sha256, row.file, _origin(row, days)) for row in rows)
        checked = _both((row.sha256, row.file, _check(row)) for row in book.pictures().values())
    found = []
    for sha256, key in zip(sha256s, keys, strict=True):
        known: dict[str, str] = {}
        for by_content, by_file in (checked, fetched):
            known |= by_content.get(sha256) or by_file.get(key) or {}
        found.append({column: known.get(column) or UNKNOWN for column in columns})
    return found


Known = Mapping[str, dict[str, str]]


def _both(rows: Iterable[tuple[str | None, str | None, dict[str, str]]]) -> tuple[Known, Known]:
    """What is known by content and by file; of several rows the first."""
    by_content: dict[str, dict[str, str]] = {}
    by_file: dict[str, dict[str, str]] = {}
    for sha256, file, known in rows:
        if sha256:
            by_content.setdefault(sha256, known)
        if file:
            by_file.setdefault(file, known)
    return by_content, by_file


def _origin(row: FetchRow, days: Mapping[int, str]) -> dict[str, str]:
    known = {column: getattr(row, column) for column in _OF_FETCHED} | {_DAY: days.get(row.run)}
    return {column: str(value) for column, value in known.items() if value is not None}


def _check(row: PictureRow) -> dict[str, str]:
    return {"format": row.format or "", "notes": row.notes or "none"}
