"""From what the user states to an operating point, on out-of-fold probabilities, and what it can promise.

A class's weight is moved from 1 (or its cost) only as far as a wish needs. The threshold behind it stands at one of
the out-of-fold pictures, so that the promise takes into account that it was chosen on them: of n pictures of a class
at most k are let go, the largest k with (k + 1) / (n + 1) <= 1 - recall. A new picture of the class, like these, is
then found with at least the stated probability, whatever the distribution (Wilks 1941 on tolerance limits; Vovk et
al. 2005 on conformal prediction); false alarms likewise. The intervals say by how much one training set may be off.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.operating_point import Decisions, OperatingPoint
from milliner.core.errors import SettingsError
from milliner.core.shares import wilson_interval
from milliner.training.wishes import Wishes

Floats = NDArray[np.float64]

_ROUNDS: Final = 100
_STEP: Final = 0.05  # how far beyond the picture that decides a weight's logarithm goes, at most


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """0 to 1; 0 of none."""
        return self.part / self.whole if self.whole else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval (Wilson 1927)."""
        if not self.whole:
            return 0.0, 1.0
        return wilson_interval(self.part, self.whole)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        return {"value": self.value, "interval": list(self.interval), "pictures": self.whole}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} ({low:.1%} to {high:.1%} of {self.whole})"


@dataclass(frozen=True)
class Operation:
    """An operating point, and what it gives on the pictures that it was chosen on."""

    point: OperatingPoint
    recall: Mapping[str, Share]
    """By label: of the pictures of the class those that are called it, also where the point abstains."""
    false_alarms: Mapping[str, Share]
    """By label: of the pictures of other classes those that are called it."""
    abstained: Share

    def metrics(self) -> dict[str, Any]:
        """As they stand in a model's metadata."""
        return {
            "recall": {label: share.to_json() for label, share in self.recall.items()},
            "false_alarms": {label: share.to_json() for label, share in self.false_alarms.items()},
            "abstained": self.abstained.to_json(),
        }

    def sentences(self, wishes: Wishes) -> Iterator[str]:
        """What was wished, and what it gives out of fold."""
        shown = wishes.named or (self.recall if len(self.recall) == 2 else {})
        for label in shown:
            yield f"{label}: recall {self.recall[label]}, false alarms {self.false_alarms[label]}"
        yield f"abstained on {self.abstained}"


def operate(
    wishes: Wishes,
    probabilities: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    labels: Sequence[str],
    max_distance: float | None = None,
    refused: int = 0,
) -> Operation:
    """The operating point for [n, classes] out-of-fold probabilities and [n] class numbers.

    `refused` of the pictures are farther than `max_distance`. Raises SettingsError where wishes contradict each other
    or where there are too few pictures to promise them.
    """
    weights = _weights(wishes, np.log(np.maximum(probabilities, 1e-30, dtype=np.float64)), targets, labels)
    point = OperatingPoint(
        wishes.abstain_below,
        wishes.abstain_margin,
        max_distance,
        {label: weight for label, weight in zip(labels, weights.tolist(), strict=True) if weight != 1},
        wishes.words,
    )
    decisions = point.decide(probabilities, None, labels)
    counts = np.bincount(targets, minlength=len(labels))
    called = np.bincount(decisions.said, minlength=len(labels))
    right = np.bincount(targets[decisions.said == targets], minlength=len(labels))
    return Operation(
        point,
        {label: Share(int(right[c]), int(counts[c])) for c, label in enumerate(labels)},
        {label: Share(int(called[c] - right[c]), int(len(targets) - counts[c])) for c, label in enumerate(labels)},
        _abstained(decisions, refused),
    )


def _abstained(decisions: Decisions, refused: int) -> Share:
    """Those that are far are counted as if they were others than those in doubt."""
    return Share(min(int(decisions.abstained.sum()) + refused, len(decisions.said)), len(decisions.said))


@dataclass(frozen=True)
class _Range:
    """Where the logarithm of a class's weight may lie, between two out-of-fold pictures."""

    low: float
    high: float


def _weights(wishes: Wishes, logs: Floats, targets: NDArray[np.int64], labels: Sequence[str]) -> NDArray[np.float64]:
    """[classes] weights that keep every wish; the costs where these already do."""
    costs = np.array([wishes.cost.get(label, 1.0) for label in labels], np.float64)
    weights = start = np.log(costs)
    alarms = wishes.false_alarms(labels)
    wished = [c for c, label in enumerate(labels) if label in wishes.min_recall or label in alarms]
    check_promises(wishes, targets, labels)
    for _ in range(_ROUNDS):
        before, weights = weights, weights.copy()
        for c in wished:
            lead = _lead(logs, weights, c)
            found = _range(lead, targets == c, wishes.min_recall.get(labels[c]), alarms.get(labels[c]))
            if not found.low < found.high:
                raise SettingsError(_contradiction(lead, targets == c, labels[c], wishes.min_recall[labels[c]], alarms))
            weights[c] = _within(weights[c], found, -lead)
        if (weights == before).all():
            return np.where(weights == start, costs, np.exp(weights))
    raise SettingsError(_conflict(wishes, logs, targets, labels, [labels[c] for c in wished]))


def _lead(logs: Floats, weights: Floats, c: int) -> Floats:
    """[n] by how much the logarithm of class c's probability leads the best other one's, weighted."""
    weighted = logs + weights
    weighted[:, c] = -np.inf
    return np.asarray(logs[:, c] - weighted.max(axis=1), np.float64)


def _allowed(share: float, pictures: int) -> int:
    """The largest k with (k + 1) / (n + 1) at most the share; -1 where there is none."""
    return math.floor(share * (pictures + 1) + 1e-9) - 1


def _range(lead: Floats, of_class: NDArray[np.bool_], recall: float | None, alarms: float | None) -> _Range:
    """Where every wish of one class holds: it is said where its lead exceeds less the logarithm of its weight."""
    low, high = -math.inf, math.inf
    if recall is not None:
        low = -float(np.sort(lead[of_class])[_allowed(1 - recall, int(of_class.sum()))])
    if alarms is not None:
        others = np.sort(lead[~of_class])[::-1]
        high = -float(others[_allowed(alarms, len(others))])
    return _Range(low, high)


def _within(now: float, wanted: _Range, turns: Floats) -> float:
    """The place nearest to `now`, half way to the next picture that turns, so that rounding decides nothing."""
    if wanted.low < now < wanted.high:
        return now
    if now <= wanted.low:
        following = min(float(turns[turns > wanted.low].min(initial=math.inf)), wanted.high)
        return wanted.low + min(_STEP, (following - wanted.low) / 2)
    following = max(float(turns[turns < wanted.high].max(initial=-math.inf)), wanted.low)
    return wanted.high - min(_STEP, (wanted.high - following) / 2)


def check_promises(wishes: Wishes, targets: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Raises SettingsError where pictures of these [n] class numbers are too few to promise what is wished."""
    for label, share in wishes.min_recall.items():
        _check_enough(label, 1 - share, int((targets == labels.index(label)).sum()), "min_recall")
    for label, share in wishes.false_alarms(labels).items():
        _check_enough(label, share, int((targets != labels.index(label)).sum()), "max_false_alarms")


def _check_enough(label: str, share: float, pictures: int, wish: str) -> None:
    if _allowed(share, pictures) >= 0:
        return
    needed = math.ceil(1 / share - 1 - 1e-9)
    best = math.ceil(1000 / (pictures + 1)) / 1000
    whose, said = ("it", f"{1 - share:g}") if wish == "min_recall" else ("other classes", f"{share:g}")
    at_best = f"at most {1 - best:.3f}" if wish == "min_recall" else f"no less than {best:.3f}"
    low, high = Share(pictures, pictures).interval if wish == "min_recall" else Share(0, pictures).interval
    raise SettingsError(
        f"{wish} of {said} for {label!r} needs {needed} pictures of {whose} to be promised, and there are {pictures}: "
        f"ask for {at_best} (were all named rightly, the 95 % interval would be {low:.3f} to {high:.3f}), or add more."
    )


def _conflict(
    wishes: Wishes, logs: Floats, targets: NDArray[np.int64], labels: Sequence[str], wished: Sequence[str]
) -> str:
    """What the wishes for the first class leave of the second."""
    first, second, *_ = wished
    alarms = wishes.false_alarms(labels)
    alone = replace(
        wishes,
        min_recall={label: value for label, value in wishes.min_recall.items() if label == first},
        max_false_alarms={label: value for label, value in alarms.items() if label == first},
    )
    found = operate(alone, np.exp(logs), targets, labels)
    return (
        f"What is wished of {first!r} leaves {second!r} a recall of {found.recall[second]} and false alarms of "
        f"{found.false_alarms[second]}, of the training pictures out of fold; ask for less of one of the two."
    )


def _contradiction(
    lead: Floats, of_class: NDArray[np.bool_], label: str, recall: float, alarms: Mapping[str, float]
) -> str:
    """What the wish for recall costs in false alarms."""
    low = _range(lead, of_class, recall, None).low
    costs = Share(int((lead[~of_class] >= -low).sum()), int((~of_class).sum()))
    return (
        f"A recall of {recall:g} for {label!r} comes with false alarms of {costs}, of the training pictures out of "
        f"fold, and at most {alarms[label]:g} was asked for; ask for less recall, or allow more of them."
    )
