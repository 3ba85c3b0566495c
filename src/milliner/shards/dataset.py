"""Opens whatever a user calls a dataset: a folder of class folders, or a packed file."""

from pathlib import Path

from milliner.core.errors import DatasetError
from milliner.core.plugins import find_plugins
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset
from milliner.images.folder import FolderDataset
from milliner.images.local_copy import path_of
from milliner.shards.format import Format


def open_dataset(path: str | Path, progress: Progress = silent) -> Dataset:
    """Opens a dataset, at any URL that fsspec knows as well, of which there then is a copy in the user's cache.

    `progress` is told of what is copied. Raises DatasetError when there is none or it has no samples.
    """
    place = path_of(path, progress)
    if not place.exists():
        raise DatasetError(f"There is no {place}; give a folder of class folders or a .rec file.")
    dataset = FolderDataset(place) if place.is_dir() else _open_packed(place)
    if not len(dataset):
        raise DatasetError(f"{place} holds no usable picture; see `milliner check`.")
    return dataset


def _open_packed(path: Path) -> Dataset:
    plugins: dict[str, Format] = find_plugins("milliner.shards", "FORMAT")
    formats = {found.suffix: found for found in plugins.values()}
    if path.suffix not in formats:
        raise DatasetError(f"{path} is not a dataset; give a folder of class folders or a {', '.join(formats)} file.")
    return formats[path.suffix].open([path])
