"""MXNet's RecordIO, read and written without MXNet: ``.rec`` with its ``.idx``, ``.lst``, ``.labels`` and ``.sums``.

`records.framing` says how a record lies in the file, `sums` what the checksums beside it are.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from milliner.core.progress import Progress, silent
from milliner.shards.format import Format
from milliner.shards.records.sidecar import BESIDE
from milliner.shards.records.writer import RecordWriter, writing

if TYPE_CHECKING:
    from milliner.shards.records.dataset import RecordDataset
    from milliner.shards.repair import Repaired


class RecordIO:
    """The format as a plug-in."""

    name = "recordio"
    suffix = ".rec"
    beside = BESIDE

    def writer(
        self, folder: Path, split: str, labels: Sequence[str], *, plan: str = "", shard_size: int | None = None
    ) -> AbstractContextManager[RecordWriter]:
        """Writes ``<split>.rec`` and what belongs beside it; see `writing`."""
        return writing(folder, split, labels, plan)

    def open(self, files: Sequence[Path]) -> "RecordDataset":
        """Opens a record file as a dataset."""
        from milliner.shards.records.dataset import RecordDataset  # packing needs neither it nor Pillow

        (path,) = files
        return RecordDataset(path)

    def repair(self, path: Path, *, into: Path, progress: Progress = silent) -> "Repaired":
        """Writes the whole records of a damaged file into a new one; see `shards.repair`."""
        from milliner.shards.records.salvage import salvage

        return salvage(path, into=into, progress=progress)


FORMAT: Final[Format] = RecordIO()
