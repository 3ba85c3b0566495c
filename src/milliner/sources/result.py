"""What a fetch has done, in numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from milliner.images.ledger import FetchRow


@dataclass(frozen=True)
class ClassCount:
    """What became of the pictures of one source and class; those that a limit left out are in no count."""

    source: str
    label: str
    stored: int
    """New files."""
    already: int
    """Pictures that were in the folder before, or came a second time under another address."""
    rejected: Mapping[str, int]
    """By reason; also those of earlier fetches, which are not asked for again."""
    failed: Mapping[str, int]
    """By reason; the next fetch tries them again."""
    bytes: int
    """Of the new files."""


@dataclass(frozen=True)
class FetchResult:
    """What became of everything that was asked for."""

    into: Path
    classes: tuple[ClassCount, ...]
    seconds: float

    def totals(self) -> dict[str, int]:
        """Stored, already, rejected and failed pictures, over all sources and classes."""
        return {
            "stored": sum(count.stored for count in self.classes),
            "already": sum(count.already for count in self.classes),
            "rejected": sum(sum(count.rejected.values()) for count in self.classes),
            "failed": sum(sum(count.failed.values()) for count in self.classes),
        }

    def to_json(self) -> dict[str, Any]:
        """The `fetch --json` shape."""
        return {
            "into": str(self.into),
            "classes": [asdict(count) for count in self.classes],
            "seconds": round(self.seconds, 3),
        }


class Tally:
    """Counts the rows of one source, so that the rows themselves need not be kept."""

    def __init__(self, source: str, labels: Iterable[str]) -> None:
        self._source = source
        self._labels = sorted(set(labels))
        self._rows: Counter[tuple[str, str, str]] = Counter()
        self._bytes: Counter[str] = Counter()

    def add(self, row: FetchRow) -> None:
        """Counts what became of one address."""
        self._rows[row.label, row.status, row.reason or ""] += 1
        if row.status == "stored":
            self._bytes[row.label] += row.bytes or 0

    def add_settled(self, row: FetchRow) -> None:
        """Counts what an earlier fetch has settled."""
        self._rows[row.label, "rejected" if row.status == "rejected" else "already", row.reason or ""] += 1

    def counts(self) -> list[ClassCount]:
        """One count for each label, sorted."""
        return [self._count(label) for label in self._labels]

    def _count(self, label: str) -> ClassCount:
        stored, already, rejected, failed = (
            self._reasons(label, status) for status in ("stored", "already", "rejected", "failed")
        )
        return ClassCount(
            self._source, label, sum(stored.values()), sum(already.values()), rejected, failed, self._bytes[label]
        )

    def _reasons(self, label: str, status: str) -> dict[str, int]:
        matching = ((reason, n) for (of, what, reason), n in self._rows.items() if (of, what) == (label, status))
        return dict(sorted(matching))
