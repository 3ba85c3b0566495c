"""What packing has written into a folder before, which goes when the folder is packed again."""

import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

from milliner.images.listing import RECORDS_NAME

_RECORDS: Final = (".rec", ".tar", ".parquet")
_BESIDE: Final = (".idx", ".lst", ".sums")
_NUMBER: Final = re.compile(r"-\d{5,}(-of-\d{5,})?$")  # that a file of many has behind the split's name


def packed_here(names: Collection[str]) -> list[str]:
    """Of the names of a folder's files those that packing has written, the ones with the records first.

    Only packing writes a list and names beside a record file, and checksums beside any file, so others' files stay.
    """
    there = set(names)
    stems = {name: name.removesuffix(ending) for ending in _RECORDS for name in names if name.endswith(ending)}
    ours = {name: stem for name, stem in stems.items() if _is_ours(name, stem, there)}
    beside = [f"{stem}{ending}" for stem in sorted(set(ours.values())) for ending in _BESIDE]
    labels = [f"{split}.labels" for split in sorted({_NUMBER.sub("", stem) for stem in ours.values()})]
    return [*sorted(ours), *(name for name in (*beside, *labels) if name in there)]


def _is_ours(name: str, stem: str, there: set[str]) -> bool:
    return f"{stem}.sums" in there or (name.endswith(".rec") and {f"{stem}.lst", f"{stem}.labels"} <= there)


def remove_earlier(folder: Path, new: Iterable[Path], spare: Iterable[Path]) -> None:
    """Removes what was packed before, since an old split might share pictures with a new one of another name.

    Args:
        folder: where it was packed.
        new: what is about to take its name there.
        spare: files that stay.
    """
    spared = {path.resolve() for path in spare}
    for path in new:
        if path.is_file():
            path.unlink()
    for path in _earlier(folder):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.resolve() not in spared:
            path.unlink()


def _earlier(folder: Path) -> Iterator[Path]:
    entries = list(folder.iterdir())
    yield from (folder / name for name in packed_here([path.name for path in entries if path.is_file()]))
    yield from (path for path in entries if not path.name.startswith(".") and (path / RECORDS_NAME).is_file())
