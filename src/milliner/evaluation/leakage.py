"""Whether the test pictures are what a test needs: new to the model, and different from each other.

Exact copies of training pictures are set aside before anything is measured, because the model file knows its training
pictures by their bytes. What only looks like them is found here: among the test pictures by their likeness, and, where
the training pictures are at hand, across, also by embeddings, which find crops and photographs of the same scene.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset, Sample
from milliner.curation.across import compare_all
from milliner.curation.compare import Pair, Work
from milliner.curation.groups import components
from milliner.curation.leaks import Leaks, leaks
from milliner.curation.splits import DatasetReader
from milliner.evaluation.likenesses import Across, Alike, Leakage, Share, Within
from milliner.evaluation.result import Answers
from milliner.images.ledger import PictureRow

_TEST: Final = "test"
_TRAIN: Final = "train"


def look_for_leaks(
    answers: Answers,
    labels: Sequence[str],
    dataset: Dataset,
    train: Dataset | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Leakage:
    """Compares the evaluated pictures with each other, and with the training pictures where these are given.

    Args:
        answers: of the evaluation, whose pictures `dataset` has.
        labels: the classes' names, in the order of the model's numbers.
        dataset: what was evaluated.
        train: the training pictures; then the network looks at all of them too.
        cache: the embedding cache; the project's, or the user's outside of any project, when left out.
        progress: told of every picture.
    """
    tested = _Numbered(dataset, answers.places, [labels[target] for target in answers.targets])
    parts: dict[str, Dataset] = {_TEST: tested}
    if train is not None:
        parts[_TRAIN] = _Numbered(train, np.arange(len(train)), [train.labels[target] for target in train.targets])
    reader = DatasetReader(parts)
    kept = [row for row in reader.rows(progress) if row.status == "kept"]
    copies: dict[str, list[PictureRow]] = {}
    for row in kept:
        copies.setdefault(row.sha256 or "", []).append(row)
    work = Work(reader, ordered_map, progress)
    pairs = compare_all([group[0] for group in copies.values()], work, quick=train is None, cache=cache)
    groups = [[row.file for row in group] for group in copies.values() if len(group) > 1]
    right = answers.said == answers.targets
    within = _within(answers, right, kept, groups, pairs)
    if train is None:
        return Leakage(within, None)
    split = {name: [row.file for row in kept if row.file.startswith(f"{name}/")] for name in parts}
    (crossing,) = leaks(split, groups, pairs)
    return Leakage(within, _across(answers, right, train, len(split[_TRAIN]), crossing))


def _within(
    answers: Answers,
    right: NDArray[np.bool_],
    kept: Iterable[PictureRow],
    copies: Sequence[Sequence[str]],
    pairs: Sequence[Pair],
) -> Within:
    tested = [row.file for row in kept if row.file.startswith(f"{_TEST}/")]
    links = [tuple(group) for group in copies]
    links += [(pair.first, pair.second) for pair in pairs if pair.kind == "near duplicate"]
    same = [sorted(_row(file) for file in group) for group in components(tested, _among(links, set(tested)))]
    repeated = sorted(group for group in same if len(group) > 1)
    contents = {_row(file): number for number, group in enumerate(copies) for file in group if file in set(tested)}
    found = []
    for first, *others in repeated:
        for other in others:
            copy = contents.get(first, -1) == contents.get(other, -2)
            found.append(_alike(answers, first, other, "exact" if copy else "near duplicate"))
    again = {other for _, *others in repeated for other in others}
    once = np.array([row for row in range(len(right)) if row not in again], np.int64)
    return Within(sum(map(len, repeated)), tuple(found), Share.of(right[once]) if again else None)


def _among(links: Iterable[tuple[str, ...]], files: set[str]) -> list[tuple[str, ...]]:
    """Links over training pictures join no test pictures."""
    return [link for link in (tuple(file for file in link if file in files) for link in links) if len(link) > 1]


def _across(answers: Answers, right: NDArray[np.bool_], train: Dataset, pictures: int, crossing: Leaks) -> Across:
    found = tuple(
        Alike(
            place=int(answers.places[_row(leak.file)]),
            file=answers.keys[_row(leak.file)],
            other_place=_row(leak.other_file),
            other_file=train.key(_row(leak.other_file)),
            kind=leak.level,
        )
        for leak in crossing.found
    )
    alike = np.zeros(len(right), np.bool_)
    same = np.zeros(len(right), np.bool_)
    for leak in crossing.found:
        alike[_row(leak.file)] = True
        same[_row(leak.file)] = leak.level != "sibling"
    return Across(
        train=train.name.encode(errors="replace").decode(),  # not every file name is UTF-8
        pictures=pictures,
        found=found,
        counts={str(level): number for level, number in crossing.counts.items()},
        without_duplicates=Share.of(right[~same]),
        without_any=Share.of(right[~alike]),
    )


def _alike(answers: Answers, row: int, other: int, kind: str) -> Alike:
    places, keys = answers.places, answers.keys
    return Alike(int(places[row]), keys[row], int(places[other]), keys[other], kind)


def _row(file: str) -> int:
    """The number within its part of the file that `DatasetReader` names after `_Numbered.key`."""
    return int(file.partition("/")[2])


@dataclass(frozen=True)
class _Numbered:
    """Some pictures of a dataset under their numbers, since its own keys need not differ."""

    dataset: Dataset
    places: NDArray[np.int64]
    names: Sequence[str]
    """The class of each of them."""
    name: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.names)))

    @property
    def targets(self) -> Sequence[int]:
        numbers = {label: number for number, label in enumerate(self.labels)}
        return [numbers[name] for name in self.names]

    def __len__(self) -> int:
        return len(self.places)

    def key(self, index: int) -> str:
        return str(index)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[int(self.places[index])]
