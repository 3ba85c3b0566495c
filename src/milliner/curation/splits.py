"""Checks a given split for leaks, whatever its parts are kept in: folders, packed files, or lists of a folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError, SettingsError, UnreadableImageError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress
from milliner.core.sample import Dataset, Sample
from milliner.curation.across import compare_all
from milliner.curation.compare import Pair, Reader, Work
from milliner.curation.leaks import Leaks, leaks
from milliner.images.check import judge_picture
from milliner.images.folder import read_bounded
from milliner.images.ledger import PictureRow
from milliner.images.local_copy import path_of
from milliner.shards.dataset import open_dataset
from milliner.shards.lists import ListLine, read_list

_LIST: Final = ".lst"


@dataclass(frozen=True)
class SplitCheck:
    """The rows of all splits, whose files begin with their split's name, and what crosses between them."""

    rows: tuple[PictureRow, ...]
    pairs: tuple[Pair, ...]
    leaks: tuple[Leaks, ...]
    read: Reader


@dataclass(frozen=True)
class ListedPictures:
    """The pictures that a list names, as a dataset of a folder."""

    root: Path
    lines: Sequence[ListLine]
    name: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The class folders' names, or the numbers of pictures that lie in none, sorted."""
        return tuple(sorted({_label(line) for line in self.lines}))

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every picture."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return [numbers[_label(line)] for line in self.lines]

    def __len__(self) -> int:
        return len(self.lines)

    def key(self, index: int) -> str:
        """The picture's path relative to the folder."""
        return self.lines[index].path

    def __getitem__(self, index: int) -> Sample:
        line = self.lines[index]
        return Sample(line.path, _label(line), read_bounded(self.root / line.path))


def _label(line: ListLine) -> str:
    return line.path.partition("/")[0] if "/" in line.path else f"{line.labels[0]:g}"


class DatasetReader:
    """Reads the pictures of named datasets; a row's file begins with the name, where there is one."""

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        self._places: dict[str, tuple[Dataset, int, str]] = {}
        for name, dataset in datasets.items():
            for index, target in enumerate(dataset.targets):
                file = f"{name}/{dataset.key(index)}" if name else dataset.key(index)
                unique = f"{file}#{index}" if file in self._places else file
                self._places[unique] = (dataset, index, dataset.labels[target])

    def rows(self, progress: Progress) -> Iterator[PictureRow]:
        """What can be said of each picture by itself."""
        with progress("check", len(self._places)) as advance:
            for row in ordered_map(self._row, self._places):
                yield row
                advance()

    def _row(self, file: str) -> PictureRow:
        dataset, index, label = self._places[file]
        row = PictureRow(file, label, 0, 0, "set aside", reason="unreadable")
        try:
            encoded = dataset[index].encoded
        except UnreadableImageError as error:
            return replace(row, reason=error.reason)
        except DatasetError:
            return replace(row, reason="damaged record")
        return judge_picture(replace(row, bytes=len(encoded)), encoded)

    def __call__(self, row: PictureRow) -> bytes:
        """A picture's bytes; raises UnreadableImageError."""
        dataset, index, _ = self._places[row.file]
        return dataset[index].encoded


def check_splits(
    splits: Mapping[str, str | Path], root: Path | None, *, quick: bool, cache: Path | None, progress: Progress
) -> SplitCheck:
    """Looks at every picture of every split and compares them all.

    Args:
        splits: a dataset for each name, or a ``.lst`` file whose pictures lie in `root`.
        root: needed for lists only.
        quick: without the network.
        cache: the embedding cache.
        progress: told of every picture.

    Raises:
        DatasetError: a split cannot be opened, or a list names what is not there.
        SettingsError: there are fewer than two splits, or a list without a folder.
    """
    if len(splits) < 2:
        raise SettingsError("Give two splits or more, such as train=DIR,test=DIR.")
    reader = DatasetReader({name: _opened(name, path_of(place, progress), root) for name, place in splits.items()})
    rows = tuple(reader.rows(progress))
    kept = [row for row in rows if row.status == "kept"]
    copies: dict[str, list[PictureRow]] = {}
    for row in kept:
        copies.setdefault(row.sha256 or "", []).append(row)
    work = Work(reader, ordered_map, progress)
    pairs = tuple(compare_all([group[0] for group in copies.values()], work, quick=quick, cache=cache))
    keys = {name: [row.file for row in kept if row.file.startswith(f"{name}/")] for name in splits}
    groups = [[row.file for row in group] for group in copies.values() if len(group) > 1]
    return SplitCheck(rows, pairs, leaks(keys, groups, pairs), reader)


def _opened(name: str, place: Path, root: Path | None) -> Dataset:
    if place.suffix != _LIST:
        return open_dataset(place)
    if root is None:
        raise SettingsError(f"{place} is a list: give the folder that its pictures lie in as well.")
    lines = read_list(place)
    for line in lines:
        if not (root / line.path).is_file():
            raise DatasetError(
                f"The list for {name} names {line.path}, which is not in {root}; mend the list or the folder."
            )
    return ListedPictures(root, lines, str(place))
