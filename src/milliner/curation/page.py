"""One self-contained page of HTML about what a check found: no scripts, no requests, the same bytes every time."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jinja2

from milliner.core.errors import UnreadableImageError
from milliner.curation.compare import Reader
from milliner.curation.findings import KINDS, Finding, Kind
from milliner.images.decode import decode
from milliner.images.files import write_atomically
from milliner.images.heatmap import to_jpeg
from milliner.images.ledger import PictureRow

if TYPE_CHECKING:
    from milliner.curation.check import CheckResult

MOST: Final = 100
"""Findings of a kind that are shown; the others are counted."""

_SIDE: Final = 240  # pixels of a thumbnail's longer side
_QUALITY: Final = 72


@dataclass(frozen=True)
class Shown:
    """A picture of a finding."""

    file: str
    label: str
    facts: str
    """Size and format, where they are known."""
    picture: str | None
    """A JPEG as a data URI; None where it cannot be decoded."""


@dataclass(frozen=True)
class Section:
    """All findings of one kind, of which not all may be shown."""

    kind: Kind
    total: int
    shown: tuple[tuple[Finding, tuple[Shown, ...]], ...]


def write_page(path: Path, name: str, result: "CheckResult", read: Reader) -> None:
    """Writes the page about the findings in the dataset of that name, whose pictures `read` gives."""
    rows = {row.file: row for row in result.rows}
    page = _template().render(
        name=name,
        result=result,
        pictures=len(result.rows),
        kept=len(result.kept),
        classes=sorted(_counts(result.kept).items()),
        sections=list(_sections(result.findings, rows, read)),
        actions=_ACTIONS,
    )
    write_atomically(path, page.encode("utf-8", "backslashreplace"))


_ACTIONS: Final = {
    "set aside": "left out of training",
    "kept": "used all the same",
    "look": "for you to judge",
}


def _counts(rows: Sequence[PictureRow]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.label] = counts.get(row.label, 0) + 1
    return counts


def _sections(findings: Sequence[Finding], rows: Mapping[str, PictureRow], read: Reader) -> Iterator[Section]:
    seen: dict[str, Shown] = {}
    for kind, group in groupby(findings, key=lambda each: each.kind):
        found = list(group)
        shown = [
            (each, tuple(_shown(rows[file], read, seen) for file in each.files if file in rows))
            for each in found[:MOST]
        ]
        yield Section(KINDS[kind], len(found), tuple(shown))


def _shown(row: PictureRow, read: Reader, seen: dict[str, Shown]) -> Shown:
    if row.file not in seen:
        size = f"{row.width} × {row.height}" if row.width and row.height else ""  # noqa: RUF001
        facts = ", ".join(part for part in (size, row.format) if part)
        seen[row.file] = Shown(row.file, row.label, facts, _thumbnail(row, read))
    return seen[row.file]


def _thumbnail(row: PictureRow, read: Reader) -> str | None:
    if row.sha256 is None:
        return None
    try:
        image = decode(read(row), shrink_to=_SIDE)
    except UnreadableImageError:
        return None
    image.thumbnail((_SIDE, _SIDE))
    return f"data:image/jpeg;base64,{base64.b64encode(to_jpeg(image, quality=_QUALITY)).decode('ascii')}"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("milliner.curation", "."),
        autoescape=True,  # labels and file names are strangers' text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return environment.get_template("page.html.j2")
