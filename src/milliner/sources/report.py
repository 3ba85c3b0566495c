"""What the ledger says of all fetches into a folder: the counts, and whom to credit."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from milliner.core.credit import LICENCES, Credit
from milliner.core.errors import FetchError
from milliner.images.files import write_atomically
from milliner.images.ledger import LEDGER_NAME, FetchRow, Ledger
from milliner.sources.result import ClassCount, FetchResult

_FORMULAS: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets calculate begins so, also in the full width of East Asian signs."""

_COLUMNS: Final = ("file", "title", "creator", "licence", "licence_url", "page", "attribution", "address")


def fetch_report(folder: str | Path) -> FetchResult:
    """The sums of every address that was ever asked for, by source and class.

    Raises FetchError where nothing was fetched into the folder, DatasetError where its ledger cannot be used.
    """
    root = Path(folder)
    counts: defaultdict[tuple[str, str], _Sums] = defaultdict(_Sums)
    with Ledger.open(_ledger_of(root)) as ledger:
        for source, label, status, reason, number, size in ledger.sums():
            counts[source, label].add(status, reason or "", number, size)
        # The classes of one source come side by side.
        seconds = sum({(run.run, run.source): run.seconds for run in ledger.runs()}.values())
    return FetchResult(root, tuple(sums.count(*key) for key, sums in sorted(counts.items())), (), seconds)


def write_attribution(folder: str | Path, path: str | Path) -> int:
    """Writes whom the licences of the folder's pictures ask to credit, and returns for how many pictures.

    Args:
        folder: a folder that was filled by `fetch`.
        path: ends in .md for a page, in .csv for a table (file, title, creator, licence, licence_url, page,
            attribution, address).

    Raises:
        FetchError: there is no ledger, `path` ends otherwise, or cannot be written.
    """
    root, target = Path(folder), Path(path)
    write = {".md": _markdown, ".csv": _csv}.get(target.suffix.lower())
    if write is None:
        raise FetchError(f"{target} must end in .md or .csv.")
    with Ledger.open(_ledger_of(root)) as ledger:
        rows = [row for row in ledger.fetched() if row.file and (root / row.file).exists()]
    due = [row for row in rows if row.licence is not None and credit_of(row).needed]
    unknown = sum(row.licence is None for row in rows)
    try:
        write_atomically(target, write(due, unknown).encode())
    except OSError as error:
        raise FetchError(f"{target} cannot be written ({error.strerror}); check its folder.") from error
    return len(due)


def credit_of(row: FetchRow) -> Credit:
    """The words of a picture's origin."""
    return Credit(**{name: getattr(row, name) for name in vars(Credit())})


class _Sums:
    def __init__(self) -> None:
        self._numbers: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._bytes = 0

    def add(self, status: str, reason: str, number: int, size: int) -> None:
        self._numbers[status][reason] = number
        self._bytes += size if status == "stored" else 0

    def count(self, source: str, label: str) -> ClassCount:
        stored, already, rejected, failed = (
            self._numbers[status] for status in ("stored", "already", "rejected", "failed")
        )
        stored_sum, already_sum = sum(stored.values()), sum(already.values())
        wanted = stored_sum + already_sum + sum(rejected.values()) + sum(failed.values())
        return ClassCount(source, label, wanted, stored_sum, already_sum, rejected, failed, 0, self._bytes, 0.0)


def _ledger_of(root: Path) -> Path:
    path = root / LEDGER_NAME
    if not path.exists():
        raise FetchError(f"Nothing was fetched into {root} yet; name a source to fetch from.")
    return path


def _markdown(rows: list[FetchRow], unknown: int) -> str:
    lines = ["# Credits", "", *(f"- {_credit_line(row)}" for row in rows)]
    if unknown:
        lines += ["", f"The licence of {unknown} more pictures is not known: ask their owners before you publish them."]
    return "\n".join(lines) + "\n"


def _credit_line(row: FetchRow) -> str:
    """Title, author, source and licence, as Creative Commons recommends, the file, and what else was asked for."""
    version = f" {row.licence_version}" if row.licence_version else ""
    name = f"CC {(row.licence or '').upper()}{version}" if _is_cc(row) else row.licence or ""
    title = _link(row.title or "Untitled", row.page or row.address)
    asked = f" {_plain(row.attribution)}" if row.attribution else ""
    by = f"{title} by {_plain(row.creator or 'unknown')}, {_link(name, row.licence_url)} ({_plain(row.file or '')})"
    return f"{by}{asked}"


def _is_cc(row: FetchRow) -> bool:
    """Whether the licence is one of Creative Commons' that asks for credit."""
    return row.licence in LICENCES


def _link(text: str, address: str | None) -> str:
    if address is None or not re.fullmatch(r"https?://[^\s<>\\\x00-\x1f]+", address):
        return _plain(text)
    return f"[{_plain(text)}](<{address}>)"


def _plain(text: str) -> str:
    """Strangers' words, without power over the page."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", _line(text))


def _line(text: str) -> str:
    """Text in one line, without the signs that turn its direction or cannot be seen."""
    return " ".join("".join(sign if sign.isprintable() or sign.isspace() else " " for sign in text).split())


def _csv(rows: list[FetchRow], unknown: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_cells(row) for row in rows)
    return out.getvalue()


def _cells(row: FetchRow) -> Iterator[str]:
    """A cell that a spreadsheet would take for a formula gets a ' before it."""
    for name in _COLUMNS:
        text = _line(str(getattr(row, name) or ""))
        if name == "licence" and row.licence_version:
            text = f"{text} {row.licence_version}"
        yield f"'{text}" if text.startswith(_FORMULAS) else text
