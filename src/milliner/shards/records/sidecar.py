"""The small files beside a ``.rec``: names of classes, and whether checksums belong to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.shards.classes import LABELS_SUFFIX
from milliner.shards.classes import read_names as names_of
from milliner.shards.format import Damage
from milliner.shards.mapped import MappedFile
from milliner.shards.sums import SUFFIX, FileSum, Sums

BESIDE: Final = (".idx", ".lst", ".labels", SUFFIX)
"""What the names of the files end with that milliner writes beside a record file."""


def read_names(path: Path) -> tuple[str, ...]:
    """The classes' names of a record file, none without a ``.labels``; raises DatasetError where they are none."""
    return names_of(path.with_suffix(LABELS_SUFFIX))


def written_names(path: Path, sums: Sums) -> tuple[str, ...]:
    """The classes' names as they were written with these checksums of the file, also where ``.labels`` is gone.

    Raises DatasetError where that is there and says otherwise: names in another order would be other classes.
    """
    labels = path.with_suffix(".labels")
    if ".labels" not in _by_suffix(sums):
        return read_names(path)
    if labels.exists() and read_names(path) != sums.names:
        raise DatasetError(
            f"{labels} has other names than were written with {path}; restore it, or delete it, "
            f"since {sums.path.name} has the names as well."
        )
    return sums.names


def own_sums(path: Path) -> tuple[Sums, int] | None:
    """The checksums of a record file and the bytes that it was written with, where its index was written with them.

    Whoever writes the records anew, as with MXNet's own tools, writes the index anew: then they are not of this file.
    """
    if not path.with_suffix(SUFFIX).exists():
        return None
    try:
        sums = Sums.open(path.with_suffix(SUFFIX))
        files = _by_suffix(sums)
    except DatasetError:
        return None  # `damage` tells of it; the records can be read all the same
    index = path.with_suffix(".idx")
    if path.suffix not in files or ".idx" not in files:
        return None
    own = _is_as_written(index, files[".idx"]) if index.exists() else files[path.suffix].size == path.stat().st_size
    return (sums, files[path.suffix].size) if own else None


def sound_sums(path: Path) -> Sums | None:
    """The checksums of a record file, whatever has become of that, where they can be relied on."""
    try:
        sums = Sums.open(path.with_suffix(SUFFIX)) if path.with_suffix(SUFFIX).exists() else None
    except DatasetError:
        return None
    return sums if sums is not None and sums.sound("records", "files") else None


def damaged_sums(path: Path) -> list[Damage]:
    """What is wrong with the checksums themselves."""
    file = path.with_suffix(SUFFIX)
    try:
        sums = Sums.open(file) if file.exists() else None
    except DatasetError as error:
        return [Damage(file, 0, "", str(error))]
    if sums is None:
        return []
    what = "its {} are not as they were written"
    return [Damage(file, sums.place_of(name), "", what.format(name)) for name in sums.damaged()]


def damage_beside(path: Path, sums: Sums) -> list[Damage]:
    """What is wrong with the small files of a record file, by the checksums that were written with them."""
    found = []
    for suffix, written in _by_suffix(sums).items():
        file = path.with_suffix(suffix)
        if written.crc32 is None:
            continue
        if not file.exists():
            found.append(Damage(file, 0, "", "it is missing"))
        elif not _is_as_written(file, written):
            found.append(Damage(file, 0, "", f"its {written.size} bytes are not as they were written"))
    return found


def _by_suffix(sums: Sums) -> Mapping[str, FileSum]:
    """Who renames a split renames all of its files."""
    return {Path(file.name).suffix: file for file in sums.files}


def _is_as_written(path: Path, written: FileSum) -> bool:
    file = MappedFile(path)
    return len(file) == written.size and file.crc32() == written.crc32
