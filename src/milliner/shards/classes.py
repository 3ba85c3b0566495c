"""Classes of records: their numbers, which are first labels, and their names where there are any."""

from array import array
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.shards.lists import read_lines

LABELS_SUFFIX: Final = ".labels"
"""Of a text beside packed files: the classes' names in the order of their numbers, a line each."""


class NoClassError(DatasetError):
    """A label that is a number, but no class's: packed files may hold such, and datasets to learn from may not."""


class Classes:
    """Names of classes, and the class of every record; nothing is looked at before it is asked for.

    Where there are no names, each label that occurs is a class, called by its number. Raises DatasetError where a label
    is no class number, or has no name although there are names.
    """

    def __init__(self, names: Sequence[str], first_labels: Callable[[], NDArray[Any]], where: Path) -> None:
        """`first_labels` reads that of every record; `where` is named where one is wrong."""
        self._names, self._first_labels, self._where = tuple(names), first_labels, where

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes' names in the order of their numbers."""
        return self._names or tuple(number_name(float(number)) for number in np.unique(self._numbers))

    @cached_property
    def targets(self) -> Sequence[int]:
        """The class number of every record, four bytes for each."""
        numbers = self._numbers if self._names else np.unique(self._numbers, return_inverse=True)[1]
        return array("i", numbers.astype(np.int32).tobytes())

    def name(self, label: float) -> str:
        """What the class of a first label is called."""
        if not label.is_integer() or label < 0:
            raise NoClassError(
                f"{self._where} has the label {label:g}, which is not a class number; pack it with 0, 1, 2 ..."
            )
        if self._names and label >= len(self._names):
            raise DatasetError(
                f"{self._where} has a label {int(label)}, but names for {len(self._names)} classes; pack it again."
            )
        return self._names[int(label)] if self._names else number_name(label)

    @cached_property
    def _numbers(self) -> NDArray[np.float32]:
        numbers = self._first_labels().astype(np.float32)  # as precise as record files keep them
        for number in np.unique(numbers):
            self.name(float(number))
        return numbers


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
