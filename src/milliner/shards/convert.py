"""From any kind of dataset to any format: the same records, in the same order, with the pictures' bytes untouched."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from milliner.core.address import is_url
from milliner.core.errors import DatasetError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress, silent
from milliner.images.folder import FolderDataset
from milliner.images.listing import RECORDS_NAME
from milliner.images.published import published
from milliner.shards.classes import NoClassError, number_name
from milliner.shards.dataset import formats, open_dataset
from milliner.shards.format import Format, Packed, Record

_SPLIT: Final = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*")

_FILE_END: Final = re.compile(r"\.(rec|tar|parquet)$")
_WILD: Final = re.compile(r"[{*?\[]")
_NUMBERS: Final = re.compile(r"-\d+(-of-\d+)?$")


@dataclass(frozen=True)
class Converted:
    """What was written."""

    format: str
    split: str
    files: tuple[Path | str, ...]
    """URLs where they were written to one."""
    records: int
    resumed: int
    """Those of the records that an earlier run, which was broken off, had written."""

    def to_json(self) -> dict[str, Any]:
        """The `shards convert --json` shape."""
        files = [str(path) for path in self.files]
        facts = {"records": self.records, "resumed": self.resumed}
        return {"format": self.format, "split": self.split, "files": files, **facts}


def convert(
    source: str | Path,
    *,
    into: str | Path,
    to: str,
    split: str | None = None,
    shard_size: int | None = None,
    progress: Progress = silent,
) -> Converted:
    """Writes a dataset in another format; from there it can be converted back to the same records.

    Labels, ids, keys and the classes' names are kept; the records of a folder get the ids 0, 1, 2 ... in the order of
    their paths. A run that was killed is gone on with, behind its last finished file. What fails leaves nothing new.

    Args:
        source: anything that `open_dataset` takes.
        into: the folder, or its URL, that the files are written into; earlier files of the same split and format go.
        to: the format's name: recordio, webdataset, parquet or imagefolder.
        split: what the files are named after; the source's name when left out.
        shard_size: bytes after which WebDataset and Parquet begin the next file; 256 MiB when left out.
        progress: told of every record.

    Raises:
        DatasetError: the source cannot be used, a record is damaged, or the format cannot hold what there is.
        MillinerError: the format needs a package that is not installed, or another process writes the same split.
    """
    plugin = _format(to)
    dataset, name = open_dataset(source, progress), split or split_name(source)
    if is_url(into):
        with published(str(into), obsolete=partial(_earlier, name, plugin.suffix), progress=progress) as scratch:
            made = convert(source, into=scratch, to=to, split=name, shard_size=shard_size, progress=progress)
        return replace(made, files=tuple(f"{str(into).rstrip('/')}/{Path(file).name}" for file in made.files))
    target = Path(into)
    _check(dataset, target, name, shard_size)
    labels, read = _names(dataset), _reader(dataset)
    with _no_new_folders_on_failure(target), progress("convert", len(dataset)) as advance:
        with plugin.writer(target, name, labels, plan=_plan(dataset, to), shard_size=shard_size) as writer:
            done = writer.done
            advance(done)
            for record in _records(dataset, read, range(done, len(dataset))):
                writer.add(record)
                advance()
            writer.sync()
        return Converted(to, name, writer.files, len(dataset), done)


def _earlier(split: str, suffix: str, names: Collection[str]) -> list[str]:
    """Of the names of a folder's files those of the split in this format; of many there may be fewer now."""
    pattern = re.compile(rf"{re.escape(split)}(-\d{{5,}}(-of-\d{{5,}})?)?({re.escape(suffix)}|\.sums)")
    return [name for name in names if pattern.fullmatch(name)] if suffix else []


def split_name(source: str | Path) -> str:
    """What a source is called, without the numbers and the ending of its files: ``train`` for ``train-*.tar``."""
    place = Path(source)
    if place.is_dir():
        return place.resolve().name
    name = _FILE_END.sub("", place.name if place.exists() else _WILD.split(place.name, maxsplit=1)[0])
    return _NUMBERS.sub("", name).rstrip("-_.") or "data"


def _format(name: str) -> Format:
    found = formats()
    if name not in found:
        raise DatasetError(f"There is no format {name!r}; give one of {', '.join(found)}.")
    return found[name]


def _check(dataset: Packed | FolderDataset, target: Path, split: str, shard_size: int | None) -> None:
    if not _SPLIT.fullmatch(split) or len(split.encode()) > 100:
        raise DatasetError(f"{split!r} cannot be a file's name; give another --split.")
    if shard_size is not None and shard_size < 1:
        raise DatasetError(f"A shard of {shard_size} bytes holds nothing; give a larger --shard-size.")
    here = target.resolve()
    if isinstance(dataset, FolderDataset):
        folders, packed_in = [Path(dataset.name).resolve()], []
    else:
        files = [path.resolve() for path in dataset.files]
        folders, packed_in = [path for path in files if path.is_dir()], [path.parent for path in files]
    if any(here.is_relative_to(folder) for folder in folders):
        raise DatasetError(f"{target} lies inside {dataset.name}, which is the source; write into another folder.")
    if (here / split) in folders or here in packed_in:
        raise DatasetError(
            f"{target} is where the source lies, whose files may be replaced; write into another folder."
        )


def _names(dataset: Packed | FolderDataset) -> tuple[str, ...]:
    """The classes' names; none where they are but the numbers of their labels."""
    if isinstance(dataset, FolderDataset):
        return dataset.labels
    try:
        labels = dataset.labels
    except NoClassError:  # there are no names, and the labels are no class numbers
        return ()
    first = {target: index for index, target in reversed(list(enumerate(dataset.targets)))}
    numbers = {labels[target]: dataset.record(index).labels[0] for target, index in first.items()}
    nameless = all(label in numbers and label == number_name(numbers[label]) for label in labels)
    return () if nameless else labels


def _reader(dataset: Packed | FolderDataset) -> Callable[[int], Record]:
    if not isinstance(dataset, FolderDataset):
        return dataset.record
    targets = list(dataset.targets)

    def read(index: int) -> Record:
        sample = dataset[index]
        return Record(index, (float(targets[index]),), sample.encoded, sample.key)

    return read


def _records(dataset: Packed | FolderDataset, read: Callable[[int], Record], places: range) -> Iterator[Record]:
    """Many files are read ahead of the writing; mapped ones need no help."""
    return ordered_map(read, places) if isinstance(dataset, FolderDataset) else map(read, places)


def _plan(dataset: Packed | FolderDataset, to: str) -> str:
    """A digest of what is to be written: a source that has changed since is converted from the beginning."""
    digest = hashlib.sha256(to.encode())
    for path in _paths(dataset):
        found = path.stat() if path.exists() else None
        facts = [str(path.absolute()), *([found.st_size, found.st_mtime_ns] if found else [])]
        digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


def _paths(dataset: Packed | FolderDataset) -> Iterator[Path]:
    if isinstance(dataset, FolderDataset):
        yield from (Path(dataset.name, dataset.key(index)) for index in range(len(dataset)))
        return
    for path in dataset.files:
        yield path / RECORDS_NAME if path.is_dir() else path
        yield from (path.with_suffix(suffix) for suffix in (".idx", ".lst", ".labels", ".sums") if path.suffix)


@contextmanager
def _no_new_folders_on_failure(target: Path) -> Iterator[None]:
    new = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        yield
    except Exception:
        with suppress(OSError):  # what failed is to be told, not this
            for folder in new:
                folder.rmdir()
        raise
