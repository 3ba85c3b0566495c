"""What a folder's pictures say of each other: which look alike, and whose label the others contradict."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.sample import fingerprint
from milliner.curation.compare import Pair, Work, all_compared, compare_by_embedding, compare_by_likeness
from milliner.curation.findings import Mislabel
from milliner.curation.mislabels import group_numbers, judge_labels
from milliner.curation.vectors import embedding_recipe, vectors_of
from milliner.images.comparisons import Comparisons, JudgedRow
from milliner.images.inspect import RULES
from milliner.images.ledger import LEDGER_NAME, Ledger, PictureRow

_RULES: Final = f"comparing 1, {RULES}"
"""Raise the number when pictures are compared or labels judged otherwise."""

QUICK: Final = f"likeness, {_RULES}"


@dataclass(frozen=True)
class Across:
    """What was found."""

    pairs: tuple[Pair, ...]
    mislabels: tuple[Mislabel, ...]
    largest_group: int
    """Pictures that pairs join, over however many others."""


def look_across(kept: Sequence[PictureRow], ledger: Path, work: Work, *, quick: bool, cache: Path | None) -> Across:
    """Compares what is new with all the rest, and judges the labels anew where anything has changed."""
    with Ledger.open(ledger) as book:
        memory = book.comparisons
        memory.forget_gone()
        if quick:
            pairs, mislabels = compare_by_likeness(kept, work, memory, QUICK), list[Mislabel]()
        else:
            pairs, mislabels = _look(kept, memory, work, cache)
    sizes = Counter(_groups([row.file for row in kept], pairs).tolist())
    return Across(tuple(pairs), tuple(mislabels), max(sizes.values(), default=0))


def compare_all(rows: Sequence[PictureRow], work: Work, *, quick: bool, cache: Path | None) -> list[Pair]:
    """Compares pictures of different content with each other, and remembers nothing but their embeddings."""
    with TemporaryDirectory(prefix="milliner-") as folder, Ledger.open(Path(folder, LEDGER_NAME)) as book:
        if quick:
            return compare_by_likeness(rows, work, book.comparisons, QUICK)
        usable, vectors = vectors_of(rows, work.read, cache, work.progress)
        return compare_by_embedding(usable, vectors, work, book.comparisons, _RULES)


def _look(
    kept: Sequence[PictureRow], book: Comparisons, work: Work, cache: Path | None
) -> tuple[list[Pair], list[Mislabel]]:
    recipe = f"{embedding_recipe()}, {_RULES}"
    version = f"{recipe}, {fingerprint((row.sha256 or '', row.label) for row in kept)}"
    rows, vectors = kept, None
    if not all_compared(kept, book, recipe) or book.fact(version) is None:
        rows, vectors = vectors_of(kept, work.read, cache, work.progress, work.spread)
    pairs = compare_by_embedding(rows, vectors, work, book, recipe)
    if vectors is not None:
        book.forget_all_but((recipe, QUICK), (recipe, version))
        book.judge(version, _judged(rows, vectors, pairs, work))
        book.note_fact(version, str(len(rows)))
    by_content = {row.sha256: row for row in kept}
    told = [(by_content[found.sha256], found) for found in book.judged(version) if found.said is not None]
    return pairs, [Mislabel(row.file, row.label, found.said or "", found.said_probability) for row, found in told]


def _judged(rows: Sequence[PictureRow], vectors: NDArray[np.float32], pairs: list[Pair], work: Work) -> list[JudgedRow]:
    labels = sorted({row.label for row in rows})
    targets = np.array([labels.index(row.label) for row in rows], np.int64)
    judged = judge_labels(vectors, targets, _groups([row.file for row in rows], pairs), work.progress)
    if judged is None:
        return []
    probabilities, suspect = judged
    return [
        JudgedRow(
            row.sha256 or "",
            float(probabilities[place, targets[place]]),
            labels[said] if said >= 0 else None,
            float(probabilities[place, said if said >= 0 else targets[place]]),
        )
        for place, (row, said) in enumerate(zip(rows, suspect.tolist(), strict=True))
    ]


def _groups(files: Sequence[str], pairs: list[Pair]) -> NDArray[np.int64]:
    return group_numbers(files, ((pair.first, pair.second) for pair in pairs))
