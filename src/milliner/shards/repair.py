"""Salvages what is whole in a damaged packed file; each format knows how for its own."""

from dataclasses import dataclass
from pathlib import Path

from milliner.core.address import is_url
from milliner.core.errors import DatasetError
from milliner.core.plugins import find_plugins
from milliner.core.progress import Progress, silent
from milliner.shards.format import Damage


@dataclass(frozen=True)
class Repaired:
    """What became of a damaged file."""

    kept: int
    """Records that are in the new files, byte for byte as they were."""
    lost: tuple[Damage, ...]
    """What could not be kept, and what else was found to be damaged."""
    files: tuple[Path, ...]
    """What a user gives to open the new split."""


def repair(file: str | Path, *, into: str | Path, progress: Progress = silent) -> Repaired:
    """Writes every whole record of a damaged file into a new split; the damaged one is never touched.

    With checksums beside it a record is whole where its own fits, otherwise where its frame holds together and its
    picture can be decoded.

    Args:
        file: the damaged file.
        into: the folder that the new file is written into, with what belongs beside it; or the new file's own name.
        progress: told of every byte that has been looked through.

    Raises:
        DatasetError: the file cannot be read, nothing in it can be salvaged, or `into` is the same file.
    """
    if is_url(file) or is_url(into):
        raise DatasetError("Only files of this machine can be repaired; copy the damaged one here first.")
    path = Path(file)
    target = Path(into) if Path(into).suffix == path.suffix else Path(into) / path.name
    plugins = find_plugins("milliner.shards", "FORMAT").values()
    salvage = next((getattr(plugin, "repair", None) for plugin in plugins if plugin.suffix == path.suffix), None)
    if salvage is None:
        raise DatasetError(f"{path} is of no kind that can be repaired; restore it from a copy or pack it again.")
    if target.with_suffix("").resolve() == path.with_suffix("").resolve() or _is_same(path, target):
        raise DatasetError(f"{target} is the damaged file itself; repair it into another one.")
    repaired: Repaired = salvage(path, into=target, progress=progress)
    return repaired


def _is_same(path: Path, into: Path) -> bool:
    return path.exists() and into.exists() and path.samefile(into)
