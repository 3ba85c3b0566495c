"""Opens whatever a user calls a dataset: a folder of class folders, or packed files, one or many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.core.plugins import find_plugins
from milliner.core.progress import Progress, silent
from milliner.images.folder import FolderDataset
from milliner.images.listing import RECORDS_NAME
from milliner.images.local_copy import path_of
from milliner.shards.format import Format, Packed
from milliner.shards.patterns import expanded, is_pattern
from milliner.shards.picture_folder import PictureFolder

_COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def formats() -> dict[str, Format]:
    """All shard formats by their names."""
    return find_plugins("milliner.shards", "FORMAT")


def open_dataset(path: str | Path, progress: Progress = silent) -> Packed | FolderDataset:
    """Opens a dataset; raises DatasetError when there is none or it has no samples.

    `path` is a folder of class folders, a packed file, or many: a pattern such as ``train-*.tar`` or
    ``train-{000000..000003}.tar``. What is there under that very name is no pattern. An imagefolder that is still as
    it was written gives its records; once pictures have come or gone it is a folder like any other. Of
    what lies at a URL a copy is opened, in the user's cache; `progress` is told of what is copied.
    """
    place = path_of(path, progress)
    dataset = _open_folder(place) if place.is_dir() else open_packed(place)
    if not len(dataset):
        raise DatasetError(f"{path} holds no usable picture; see `milliner check`.")
    return dataset


def open_packed(path: str | Path, progress: Progress = silent) -> Packed:
    """Opens packed files, or an imagefolder as it was written; raises DatasetError where there are none.

    `path` and `progress` are as for `open_dataset`.
    """
    place = path_of(path, progress)
    if (place / RECORDS_NAME).exists():
        return PictureFolder(place)
    if place.is_dir():
        raise DatasetError(
            f"{path} is a folder of pictures and not packed; give packed files, or see `milliner check`."
        )
    if place.exists():
        return _opened([place], path)
    if is_pattern(str(place)):
        return _opened(expanded(str(place)), path)
    raise DatasetError(f"There is no {path}; give a folder of class folders or {_kinds()}.")


def _open_folder(folder: Path) -> Packed | FolderDataset:
    plain = FolderDataset(folder)
    if (folder / RECORDS_NAME).exists():
        packed = PictureFolder(folder)
        if sorted(packed.pictures) == [plain.key(index) for index in range(len(plain))]:
            return packed
    return plain


def _opened(files: Sequence[Path], path: str | Path) -> Packed:
    suffixes = {found.suffix: found for found in formats().values() if found.suffix}
    if str(files[0]).lower().endswith(_COMPRESSED):
        raise DatasetError(f"{files[0]} is compressed, so that nothing in it can be read alone; unpack it to a .tar.")
    kinds = {file.suffix for file in files}
    if kinds == {".rec"} and len(files) > 1:
        raise DatasetError(f"{path} stands for {len(files)} record files; give one at a time.")
    if len(kinds) > 1 or not kinds <= set(suffixes):
        raise DatasetError(f"{path} is not a dataset; give a folder of class folders or {_kinds()}.")
    return suffixes[kinds.pop()].open(files)


def _kinds() -> str:
    suffixes = sorted(found.suffix for found in formats().values() if found.suffix)
    return f"a {', '.join(suffixes[:-1])} or {suffixes[-1]} file, or a pattern such as train-*.tar"
