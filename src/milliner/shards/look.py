"""What is in packed files, told without reading their pictures."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from milliner.core.progress import Progress, silent
from milliner.shards.classes import NoClassError, number_name
from milliner.shards.dataset import open_packed


@dataclass(frozen=True)
class Look:
    """An overview of a split in packed files."""

    files: Mapping[Path, int]
    """The files, each with its bytes; a folder with those of all its files."""
    records: int
    classes: Mapping[str, int]
    """How many records each class has, in the order of the class numbers."""
    keys: tuple[str, ...]
    """Those of the first records."""

    def to_json(self) -> dict[str, Any]:
        """The `shards ls --json` shape."""
        files = [{"path": str(path), "bytes": size} for path, size in self.files.items()]
        return {"files": files, "records": self.records, "classes": dict(self.classes), "keys": list(self.keys)}


def look(files: str | Path, *, limit: int = 10, progress: Progress = silent) -> Look:
    """Looks into what `open_dataset` opens as packed files; `limit` is how many keys are told.

    `progress` is told of what is copied from a URL.

    Raises DatasetError where the files cannot be used.
    """
    packed = open_packed(files, progress)
    try:
        counts = Counter(packed.targets)
        classes = {label: counts[number] for number, label in enumerate(packed.labels)}
    except NoClassError:
        labels = Counter(packed.record(index).labels[0] for index in range(len(packed)))
        classes = {number_name(label): count for label, count in sorted(labels.items())}
    keys = tuple(packed.key(index) for index in range(min(limit, len(packed))))
    return Look({path: _size(path) for path in packed.files}, len(packed), classes, keys)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size
