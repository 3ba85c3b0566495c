"""Goes through a labelled folder and says what is wrong with it, file by file and across its pictures."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from milliner.core.progress import Progress, silent
from milliner.images.check import check_files
from milliner.images.ledger import PictureRow
from milliner.images.local_copy import path_of


@dataclass(frozen=True)
class Pair:
    """Two kept pictures, by their files, that must not stand on two sides of a split."""

    first: str
    second: str
    kind: Literal["near duplicate", "sibling"]
    """A sibling is another photograph of the same scene."""
    cosine: float
    """Of their embeddings, -1 to 1."""


@dataclass(frozen=True)
class CheckResult:
    """Every file's row, kept and set aside; `looked_at` counts those that were new or had changed."""

    rows: tuple[PictureRow, ...]
    looked_at: int
    pairs: tuple[Pair, ...] = ()

    @property
    def kept(self) -> tuple[PictureRow, ...]:
        """The files that training may use."""
        return tuple(row for row in self.rows if row.status == "kept")

    @property
    def set_aside(self) -> tuple[PictureRow, ...]:
        """The files that it may not, each with its reason."""
        return tuple(row for row in self.rows if row.status == "set aside")

    def to_json(self) -> dict[str, Any]:
        """The `check --json` shape."""
        return {
            "pictures": len(self.rows),
            "looked_at": self.looked_at,
            "kept": dict(sorted(Counter(row.label for row in self.kept).items())),
            "set_aside": [{"file": row.file, "reason": row.reason} for row in self.set_aside],
        }


def check(
    folder: str | Path,
    *,
    ledger: str | Path | None = None,
    quick: bool = False,
    cache: str | Path | None = None,
    progress: Progress = silent,
) -> CheckResult:
    """Checks every picture of a labelled folder and records what it finds.

    Set aside are files that do not decode, are tiny or blank, have a name that lists cannot hold, or equal
    another file byte for byte (of equal files under one label the first stays; under two labels none does).
    Files that have not changed since they were last checked by the same rules are not opened again.

    Args:
        folder: ``<folder>/<label>/<file>``, or the URL of such a folder.
        ledger: where the findings are recorded; ``<folder>/ledger.sqlite`` when left out, of a URL that of its copy in
            the user's cache.
        quick: look at the files only, without the network.
        cache: the embedding cache; the project's, or the user's outside of any project, when left out.
        progress: told of every file.

    Raises:
        DatasetError: the folder has no classes, holds no usable picture, or the ledger cannot be written.
    """
    checked = check_files(path_of(folder, progress), ledger=ledger, progress=progress)
    return CheckResult(checked.rows, checked.looked_at)
