"""Classes of records: their numbers, which are first labels, and their names where there are any."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.shards.lists import read_lines

LABELS_SUFFIX = ".labels"
"""Of a text beside packed files: the classes' names in the order of their numbers, a line each."""


class Classes:
    """Names of classes, and the class of every record.

    Where there are no names, each label that occurs is a class, called by its number.
    """

    def __init__(self, names: Sequence[str], first_labels: NDArray[Any], where: Path) -> None:
        """Raises DatasetError where a label has no name although there are names."""
        first_labels = first_labels.astype(np.float32)  # as precise as record files keep them
        if names:
            self.labels = tuple(names)
            numbers = first_labels.astype(np.int64)
            wrong = (numbers != first_labels) | (numbers < 0) | (numbers >= len(names))
            if wrong.any():
                raise DatasetError(
                    f"{where} has a record with the label {first_labels[wrong][0]:g}, but names for {len(names)} "
                    "classes, 0, 1, 2 ...; pack it again, or mend or delete the .labels file."
                )
            self._numbers = numbers
        else:
            found, self._numbers = np.unique(first_labels, return_inverse=True)
            self.labels = tuple(number_name(float(number)) for number in found)

    def __getitem__(self, index: int) -> str:
        """The name of a record's class."""
        return self.labels[int(self._numbers[index])]

    @property
    def targets(self) -> list[int]:
        """The class number of every record."""
        return [int(number) for number in self._numbers]


def number_name(label: float) -> str:
    """What a class is called that has no name."""
    return str(int(label)) if label.is_integer() else str(np.float32(label))


def class_number(labels: Sequence[float]) -> int | None:
    """The first label where it can be the number of a class."""
    return int(labels[0]) if labels and labels[0] >= 0 and labels[0].is_integer() else None


def name_of(labels: Sequence[float], names: Sequence[str]) -> str:
    """The name of a record's class, or its number in words where it has none."""
    number = class_number(labels)
    if number is not None and number < len(names):
        return names[number]
    return number_name(labels[0]) if labels else ""


def read_names(path: Path) -> tuple[str, ...]:
    """The classes' names beside packed files, none where there are none; raises DatasetError where they are wrong."""
    if not path.exists():
        return ()
    names = tuple(read_lines(path))
    if len(set(names)) < len(names) or "" in names:
        raise DatasetError(f"{path} has an empty line or one name twice; give every class its own or pack again.")
    return names


def names_text(names: Sequence[str]) -> bytes:
    """The text of a file of names; raises DatasetError where a name does not fit on a line."""
    if any("\n" in name or "\r" in name for name in names):
        raise DatasetError("A class name holds a line break, which a .labels file cannot hold; rename its folder.")
    return "".join(f"{name}\n" for name in names).encode()
