"""A test set by the values of a column, so that it shows where a model is weak."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError, SettingsError
from milliner.core.sample import Dataset
from milliner.evaluation.exact import fisher, holm
from milliner.evaluation.figures import SliceFigures
from milliner.evaluation.metrics import headline
from milliner.evaluation.origins import ORIGINS, find_ledger, origins
from milliner.evaluation.result import Answers
from milliner.evaluation.traits import ORDERS, TRAITS

COLUMNS: Final = tuple(sorted((*ORIGINS, *TRAITS)))
"""What slices can be made by."""

MOST_VALUES: Final = 1000


def check_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns without repetition; raises SettingsError for one that there is none of."""
    for column in columns:
        if column not in COLUMNS:
            raise SettingsError(f"There are no slices by {column!r}; give some of {', '.join(COLUMNS)}.")
    return tuple(dict.fromkeys(columns))


class Slicing:
    """The columns that were asked for, and where their values are found."""

    def __init__(self, columns: Sequence[str], dataset: Dataset, ledger: Path | None) -> None:
        """Raises SettingsError for an unknown column, DatasetError where a ledger is needed and there is none."""
        self.columns = check_columns(columns)
        self.traits = tuple(column for column in self.columns if column in TRAITS)
        self._origins = tuple(column for column in self.columns if column not in TRAITS)
        self._ledger = find_ledger(dataset, ledger) if self._origins else None

    def figures(self, answers: Answers, traits: Sequence[Mapping[str, str]]) -> tuple[SliceFigures, ...]:
        """The figures of every value of every column, however few pictures have it.

        `traits` are what the n pictures themselves show. Raises DatasetError where the ledger cannot be read, or a
        column has so many values that it makes no slices.
        """
        rows = [dict(each) for each in traits]
        if self._ledger is not None:
            known = origins(self._ledger, self._origins, answers.sha256s, answers.keys)
            rows = [row | more for row, more in zip(rows, known, strict=True)]
        parts = [
            (column, value, np.array([row[column] == value for row in rows]))
            for column in self.columns
            for value in _values(column, [row[column] for row in rows])
        ]
        ps = holm([_p(answers.said == answers.targets, part) for _, _, part in parts])
        return tuple(
            _figures(answers, column, value, part, p) for (column, value, part), p in zip(parts, ps, strict=True)
        )


def _values(column: str, found: list[str]) -> list[str]:
    """By nature's order where there is one, and otherwise the most frequent first."""
    counts = Counter(found)
    if len(counts) > MOST_VALUES:
        raise DatasetError(
            f"The column {column!r} has {len(counts)} values for {len(found)} pictures, which makes no slices; "
            "give another one."
        )
    if column in ORDERS:
        return [value for value in ORDERS[column] if value in counts]
    return sorted(counts, key=lambda value: (-counts[value], value))


def _p(right: NDArray[np.bool_], part: NDArray[np.bool_]) -> float:
    hits, hits_of_rest = int(right[part].sum()), int(right[~part].sum())
    return fisher(hits, int(part.sum()) - hits, hits_of_rest, int((~part).sum()) - hits_of_rest)


def _figures(answers: Answers, column: str, value: str, part: NDArray[np.bool_], p: float) -> SliceFigures:
    found = headline(
        answers.probabilities[part], answers.targets[part], said=answers.said[part], groups=answers.groups[part]
    )
    rest = (answers.said == answers.targets)[~part]
    return SliceFigures(
        column=column,
        value=value,
        samples=int(part.sum()),
        accuracy=found["accuracy"],
        roc_auc=found["roc_auc"],
        log_loss=found["log_loss"],
        rest=float(rest.mean()) if len(rest) else None,
        p=p,
    )
