"""The original's split as every peer's script reads it: squares of pixels, labels, and where the result goes.

The scripts run in environments of their own, of Python 3.8 and later, and know nothing of Milliner.
"""

import json
import random
import sys
from typing import List, NamedTuple, Sequence, Tuple  # noqa: UP035 - Python 3.8


class Task(NamedTuple):
    """What a script is told on its command line."""

    folder: str
    epochs: int
    most: int
    weights: str


def task() -> Task:
    """Folder of the pictures, epochs, the most pictures of either list (0 for all), and a weights file."""
    return Task(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])


def listed(of: Task, name: str) -> List[Tuple[str, int]]:  # noqa: UP006
    """Path and label (0 helmet, 1 nohelmet) of each picture of ``<name>.lst``; of some of them where so asked."""
    with open(f"{of.folder}/{name}.lst") as lines:  # noqa: PTH123
        rows = [line.rstrip("\n").split("\t") for line in lines]
    found = [(f"{of.folder}/{path}", int(float(label))) for _, label, path in rows]
    if of.most:
        random.Random(0).shuffle(found)
        found = found[: of.most]
    return found


def tell(seconds: float, probabilities: Sequence[float]) -> None:
    """Prints the one line that is read: seconds of training, and P(nohelmet) of each test picture, in its order."""
    print(json.dumps({"seconds": seconds, "probabilities": [float(value) for value in probabilities]}))
