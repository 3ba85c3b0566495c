"""What other thresholds would have given on the test set: the counts at every stop of the page's slider.

A class is said where its weighted probability leads the best other one's. The lead is taken in log odds, because
that is the scale on which trained probabilities spread out; a stop moves the least lead that is asked for, which is
the same as dividing the class's weight. The counts between the stops are all that the page needs, so what it carries
does not grow with the pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAX_CLASSES: Final = 40
"""Classes that the page offers a slider for."""

STEP: Final = 0.05
"""Log odds between two stops."""

_REACH: Final = 7.0  # log odds at the slider's ends: odds of about 1:1,000
_LEAST: Final = 1e-30


@dataclass(frozen=True)
class Sweep:
    """One class against the rest, at every stop; the stop 0 is the model's own operating point."""

    label: str
    number: int
    """Of the class, as the model numbers them."""
    own: float
    """Log odds of the class against the others from which the model says it."""
    lowest: int
    """The first stop, 0 or less; the following ones count up by one."""
    positives: NDArray[np.int64]
    """[stops + 1] pictures of the class that lie below the first stop, from it to the second, and so on."""
    negatives: NDArray[np.int64]
    """[stops + 1] the same for all other pictures."""

    @property
    def highest(self) -> int:
        """The last stop."""
        return self.lowest + len(self.positives) - 2

    def counts(self, stop: int) -> tuple[int, int]:
        """How many pictures of the class, and of others, are called the class at that stop."""
        first = stop - self.lowest + 1
        return int(self.positives[first:].sum()), int(self.negatives[first:].sum())

    def threshold(self, stop: int) -> float:
        """The probability from which the class is said at that stop where there are two classes, 0 to 1."""
        return float(1 / (1 + np.exp(-(self.own + stop * STEP))))

    def to_json(self) -> dict[str, Any]:
        """As the page reads it."""
        return {
            "label": self.label,
            "own": round(self.own, 6),
            "lowest": self.lowest,
            "positives": self.positives.tolist(),
            "negatives": self.negatives.tolist(),
        }


def sweep(
    probabilities: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    said: NDArray[np.int64],
    weights: Sequence[float],
    labels: Sequence[str],
    number: int,
) -> Sweep:
    """One class at every stop.

    Args:
        probabilities: [n, classes].
        targets: [n] true classes.
        said: [n] classes that the model says, its operating point's weights considered.
        weights: of each class, above 0.
        labels: the classes' names.
        number: the class.
    """
    own = float(np.log(np.delete(np.asarray(weights, np.float64), number).mean() / weights[number]))
    own = float(np.clip(own, -_REACH, _REACH))
    lowest, highest = int(np.ceil((-_REACH - own) / STEP)), int(np.floor((_REACH - own) / STEP))
    stops = np.arange(lowest, highest + 1) * STEP
    passed = np.searchsorted(stops, _lead(probabilities, said, weights, number), side="right")
    positive = targets == number
    return Sweep(
        label=labels[number],
        number=number,
        own=own,
        lowest=lowest,
        positives=np.bincount(passed[positive], minlength=len(stops) + 1),
        negatives=np.bincount(passed[~positive], minlength=len(stops) + 1),
    )


def _lead(
    probabilities: NDArray[np.floating[Any]], said: NDArray[np.int64], weights: Sequence[float], number: int
) -> NDArray[np.float64]:
    """[n] log of how far the class leads the best other one; at 0 and above exactly where the model says it."""
    weighed = np.log(np.maximum(probabilities.astype(np.float64), _LEAST)) + np.log(np.asarray(weights, np.float64))
    lead = weighed[:, number] - np.delete(weighed, number, axis=1).max(axis=1)
    return np.asarray(np.where(said == number, np.maximum(lead, 0.0), np.minimum(lead, -_LEAST)), np.float64)
