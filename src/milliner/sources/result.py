"""What a fetch has done, in numbers."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from milliner.images.ledger import FetchRow


@dataclass(frozen=True)
class ClassCount:
    """What became of the pictures of one source and class."""

    source: str
    label: str
    wanted: int
    """As many as the limit left room for, those that were there included; without a limit all that were offered."""
    stored: int
    """New files."""
    already: int
    """Pictures that were in the folder before, or came a second time under another address."""
    rejected: Mapping[str, int]
    """By reason; also those of earlier fetches, which are not asked for again."""
    failed: Mapping[str, int]
    """By reason; also those of earlier fetches that failed for good."""
    transient: int
    """Of those that failed, how many the next fetch tries again by itself."""
    bytes: int
    """Of the new files."""
    seconds: float


@dataclass(frozen=True)
class FetchResult:
    """What became of everything that was asked for."""

    into: Path
    classes: tuple[ClassCount, ...]
    faults: tuple[str, ...]
    """A sentence for each source that could not be used, or not to its end."""
    seconds: float

    def totals(self) -> dict[str, int]:
        """Wanted, stored, already, rejected, failed and transient pictures, over all sources and classes."""
        return {
            "wanted": sum(count.wanted for count in self.classes),
            "stored": sum(count.stored for count in self.classes),
            "already": sum(count.already for count in self.classes),
            "rejected": sum(sum(count.rejected.values()) for count in self.classes),
            "failed": sum(sum(count.failed.values()) for count in self.classes),
            "transient": sum(count.transient for count in self.classes),
        }

    def to_json(self) -> dict[str, Any]:
        """The `fetch --json` shape: the sums, `label` where there is one class, and the same for each class."""
        labels = {count.label for count in self.classes}
        totals = self.totals()
        return {
            "into": str(self.into),
            "label": next(iter(labels)) if len(labels) == 1 else None,
            "wanted": totals["wanted"],
            "stored": totals["stored"],
            "already": totals["already"],
            "rejected": dict(summed(count.rejected for count in self.classes)),
            "failed": dict(summed(count.failed for count in self.classes)),
            "bytes": sum(count.bytes for count in self.classes),
            "seconds": round(self.seconds, 3),
            "classes": [asdict(count) | {"seconds": round(count.seconds, 3)} for count in self.classes],
            "faults": list(self.faults),
        }


def summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Reasons with their counts, added up."""
    total = Counter[str]()
    for count in counts:
        total.update(count)
    return total


class Tally:
    """Counts the rows of one source, so that the rows themselves need not be kept."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows: Counter[tuple[str, str, str]] = Counter()
        self._bytes: Counter[str] = Counter()
        self._transient: Counter[str] = Counter()
        self._settled: Counter[str] = Counter()
        self.labels: set[str] = set()

    def add(self, row: FetchRow) -> None:
        """Counts what became of one address."""
        self.labels.add(row.label)
        self._rows[row.label, row.status, row.reason or ""] += 1
        if row.status == "stored":
            self._bytes[row.label] += row.bytes or 0
        if row.status == "failed" and row.transient:
            self._transient[row.label] += 1

    def add_settled(self, row: FetchRow) -> None:
        """Counts what an earlier fetch has settled."""
        self.labels.add(row.label)
        status = "already" if row.file is not None else row.status
        self._rows[row.label, status, row.reason or ""] += 1
        self._settled[row.label] += row.file is not None

    def take_back(self, row: FetchRow) -> None:
        """Counts a picture as rejected that was stored, or came again, and then turned out to be a placeholder."""
        self._rows[row.label, row.status, ""] -= 1
        self._rows[row.label, "rejected", "placeholder"] += 1
        if row.status == "stored":
            self._bytes[row.label] -= row.bytes or 0

    def sums(self) -> tuple[int, int]:
        """How many were rejected, and how many failed."""
        by_status = Counter[str]()
        for (_, status, _), count in self._rows.items():
            by_status[status] += count
        return by_status["rejected"], by_status["failed"]

    def count(self, label: str, room: float, seconds: float) -> ClassCount:
        """The counts of one class, which had `room` for so many more when the source began."""
        stored, already, rejected, failed = (
            self._reasons(label, status) for status in ("stored", "already", "rejected", "failed")
        )
        return ClassCount(
            self._source,
            label,
            self._offered(label) if room == math.inf else int(room) + self._settled[label],
            sum(stored.values()),
            sum(already.values()),
            rejected,
            failed,
            self._transient[label],
            self._bytes[label],
            seconds,
        )

    def _offered(self, label: str) -> int:
        return sum(count for (of, _, _), count in self._rows.items() if of == label)

    def _reasons(self, label: str, status: str) -> dict[str, int]:
        matching = ((reason, n) for (of, what, reason), n in self._rows.items() if (of, what) == (label, status) and n)
        return dict(sorted(matching))
