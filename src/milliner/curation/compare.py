"""Compares a folder's pictures with each other: near duplicates, and photographs of the same scene.

Only pictures that are new to the ledger are compared with all others, and what is found is kept by content. The
candidates come from the cosines of the embeddings that training uses too, and from the likenesses; `images.alike`
then lays the two pictures over each other. Without the network there are the likenesses only, and crops are not found.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import UnreadableImageError
from milliner.core.parallel import Spread
from milliner.core.progress import Progress
from milliner.curation.nearest import BLOCK, Near, nearest, nearest_by_hash
from milliner.images.alike import SAME, Look, sameness
from milliner.images.comparisons import Comparisons, PairRow
from milliner.images.ledger import PictureRow

SIBLING: Final = 0.82
"""The least cosine of siblings. In the list that Milliner grew out of, one test picture in ten has one in training."""

_WORTH: Final = 0.72  # cosine; of real photographs, crops to 60 % of the area have at least 0.725 with their origin
_NEAR_BITS: Final = 8  # of 64; what differs by more is no candidate without the network
_SPREADS: Final = 3.0
_SAMPLE: Final = 400  # pictures of a class by which it is judged how alike its pictures are anyway
_FEWEST: Final = 8  # pictures by which it can be judged at all
_NEVER: Final = 2.0  # above every cosine

Reader = Callable[[PictureRow], bytes]
"""Gives a picture's bytes; raises UnreadableImageError. Can be sent to another process."""


@dataclass(frozen=True)
class Pair:
    """Two kept pictures, by their files, that must not stand on two sides of a split."""

    first: str
    second: str
    kind: Literal["near duplicate", "sibling"]
    """A sibling is another photograph of the same scene."""
    cosine: float
    """Of their embeddings, -1 to 1; 0 where only the files were looked at."""
    sameness: float = 0.0
    """How well they agree when laid over each other, up to 1; see `images.alike`."""


@dataclass(frozen=True)
class Work:
    """What comparing needs of its surroundings."""

    read: Reader
    spread: Spread
    progress: Progress


def compare_by_embedding(
    rows: Sequence[PictureRow], vectors: NDArray[np.float32] | None, work: Work, book: Comparisons, recipe: str
) -> list[Pair]:
    """Near duplicates and siblings among kept pictures of different content.

    `vectors` are their embeddings [n, width]; they may be left out where `all_compared` says so.
    """
    if vectors is not None:
        order, known = _known_first(rows, book.compared(recipe))
        ordered = [rows[place] for place in order]
        unit = _unit(vectors, order)
        new = np.arange(known, len(order))
        by_cosine = nearest(new, unit, _WORTH, SIBLING)
        found = (_both(*each, unit) for each in zip(by_cosine, _by_likeness(ordered, new), strict=True))
        _note(ordered, known, found, work, book, recipe, least=SIBLING)
        book.note_fact(recipe, json.dumps(usual_cosines(unit, [row.label for row in ordered])))
    usual = json.loads(book.fact(recipe) or "{}")
    return _pairs(rows, book.pairs(recipe), usual)


def compare_by_likeness(rows: Sequence[PictureRow], work: Work, book: Comparisons, recipe: str) -> list[Pair]:
    """Near duplicates among kept pictures of different content, without crops."""
    order, known = _known_first(rows, book.compared(recipe))
    ordered = [rows[place] for place in order]
    found = _by_likeness(ordered, np.arange(known, len(order)))
    _note(ordered, known, found, work, book, recipe, least=np.inf)
    return _pairs(rows, [replace(pair, cosine=0.0) for pair in book.pairs(recipe)], {})


def _by_likeness(rows: Sequence[PictureRow], new: NDArray[np.int64]) -> Iterator[list[Near]]:
    hashes = np.array([int(row.likeness or "0", 16) for row in rows], np.uint64)
    return nearest_by_hash(new, hashes, _NEAR_BITS)


def _both(by_cosine: list[Near], by_likeness: list[Near], unit: NDArray[np.float16]) -> list[Near]:
    """The candidates of either kind, with their cosines, ordered by their first picture.

    Where all pictures resemble each other, a copy need not be among the few that the network finds most alike.
    """
    known = {(first, second): cosine for first, second, cosine in by_cosine}
    for first, second, _ in by_likeness:
        if (first, second) not in known:
            known[first, second] = float(unit[first].astype(np.float32) @ unit[second].astype(np.float32))
    return [(first, second, cosine) for (first, second), cosine in sorted(known.items())]


def all_compared(rows: Iterable[PictureRow], book: Comparisons, recipe: str) -> bool:
    """Whether there is nothing new to compare."""
    return {row.sha256 for row in rows} <= book.compared(recipe)


def _known_first(rows: Sequence[PictureRow], compared: set[str]) -> tuple[NDArray[np.int64], int]:
    """The places of the rows, those that were compared already first, and how many these are."""
    known = np.array([row.sha256 in compared for row in rows], np.bool_)
    return np.argsort(~known, kind="stable"), int(known.sum())


def _note(
    ordered: list[PictureRow],
    known: int,
    found: Iterator[list[Near]],
    work: Work,
    book: Comparisons,
    recipe: str,
    least: float,
) -> None:
    """Looks closer at each block's candidates and writes down what they are, block by block."""
    done = known
    with work.progress("compare", len(ordered) - known) as advance:
        for candidates in found:
            end = min(done + BLOCK, len(ordered))
            seen = _sameness_of_each(ordered, candidates, work)
            pairs = [
                _pair_row(ordered[first], ordered[second], cosine, same)
                for (first, second, cosine), same in zip(candidates, seen, strict=True)
                if same >= SAME or cosine >= least
            ]
            book.add(recipe, (row.sha256 or "" for row in ordered[done:end]), pairs)
            advance(end - done)
            done = end


def _pair_row(one: PictureRow, other: PictureRow, cosine: float, same: float) -> PairRow:
    first, second = sorted((one.sha256 or "", other.sha256 or ""))
    return PairRow(first, second, round(cosine, 4), round(same, 4))


def _sameness_of_each(rows: list[PictureRow], candidates: list[Near], work: Work) -> list[float]:
    """In the order of the candidates, which stand together by their first picture."""
    groups = [list(group) for _, group in groupby(candidates, key=lambda near: near[0])]
    items = [(rows[group[0][0]], tuple(rows[other] for _, other, _ in group)) for group in groups]
    return [same for found in work.spread(_Overlaying(work.read), items) for same in found]


@dataclass(frozen=True)
class _Overlaying:
    """Lays a picture over some others; can be sent to another process."""

    read: Reader

    def __call__(self, item: tuple[PictureRow, tuple[PictureRow, ...]]) -> list[float]:
        row, others = item
        try:
            look = Look.of(self.read(row))
        except UnreadableImageError:  # it has gone since it was checked
            return [0.0] * len(others)
        return [self._sameness(look, other) for other in others]

    def _sameness(self, look: Look, other: PictureRow) -> float:
        try:
            return sameness(look, Look.of(self.read(other)))
        except UnreadableImageError:
            return 0.0


def _pairs(rows: Iterable[PictureRow], found: Iterable[PairRow], usual: Mapping[str, float]) -> list[Pair]:
    """What was found among these rows, by their files."""
    by_content = {row.sha256: row for row in rows}
    pairs = []
    for pair in found:
        one, other = by_content.get(pair.first), by_content.get(pair.second)
        if one is None or other is None:
            continue
        first, second = sorted((one, other), key=lambda row: row.file)
        if pair.sameness >= SAME:
            pairs.append(Pair(first.file, second.file, "near duplicate", pair.cosine, pair.sameness))
        elif pair.cosine >= max(SIBLING, usual.get(first.label, 0), usual.get(second.label, 0)):
            pairs.append(Pair(first.file, second.file, "sibling", pair.cosine, pair.sameness))
    return sorted(pairs, key=lambda pair: (pair.kind, -pair.cosine, -pair.sameness, pair.first, pair.second))


def usual_cosines(unit: NDArray[np.floating], labels: Sequence[str]) -> dict[str, float]:
    """For each class the cosine from which two of its pictures are nearer than its pictures are anyway.

    Where all pictures come from one camera they all resemble each other: then only those are siblings whose cosine
    is three standard deviations above the class's median (by its 90 % quantile). A class of few pictures is taken
    with all the others; where there are few in all, nothing can be said and nothing is a sibling.
    """
    names = np.array(labels)
    of_all = _usual_cosine(unit)
    usual = {}
    for label in sorted(set(labels)):
        own = unit[names == label]
        usual[label] = of_all if len(own) < _FEWEST else _usual_cosine(own)
    return usual


def _usual_cosine(unit: NDArray[np.floating]) -> float:
    if len(unit) < _FEWEST:
        return _NEVER
    sample = unit[:: -(-len(unit) // _SAMPLE)].astype(np.float32)
    cosines = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    median, high = np.quantile(cosines, [0.5, 0.9])
    return round(float(median + _SPREADS * (high - median) / 1.2816), 4)


def _unit(vectors: NDArray[np.float32], order: NDArray[np.int64]) -> NDArray[np.float16]:
    """The rows in an order, each of length 1, in half the memory; a block at a time."""
    unit = np.empty(vectors.shape, np.float16)
    for start in range(0, len(order), BLOCK):
        block = vectors[order[start : start + BLOCK]]
        unit[start : start + BLOCK] = block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
    return unit
