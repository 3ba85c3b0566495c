"""The operating point: from probabilities to what is said, and when nothing should be said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

FAR: Final = "unlike anything it was trained on"
UNLIKELY: Final = "below the least probability"
CLOSE: Final = "too close to call"


@dataclass(frozen=True)
class Decisions:
    """What an operating point says of n pictures."""

    said: NDArray[np.int64]
    """[n] class numbers, also of the pictures that it abstains on."""
    abstained: NDArray[np.bool_]
    """[n] true where the model should not be believed."""
    reasons: tuple[str, ...]
    """[n] why it abstains: `FAR`, `UNLIKELY` or `CLOSE`, the first of them that holds; "" where it does not."""


@dataclass(frozen=True)
class OperatingPoint:
    """What is said of a picture, and when to believe it. Raises ValueError for numbers that make no such point.

    What is said is the class with the largest weight times probability, of equal ones the first. Of two classes a
    weight is a threshold: class c is said where its probability exceeds 1 / (1 + weight). The rule is that of least
    expected cost where missing a class costs its weight (Elkan 2001, "The foundations of cost-sensitive learning").
    """

    abstain_below: float = 0.0
    """Abstains where the probability of what is said is lower; 0 to below 1, 0 never does."""
    min_margin: float = 0.0
    """Abstains where the weighted probabilities, scaled to sum to 1, differ by less between the best and the second;
    0 to below 1, 0 never does. Without weights this is the margin of the probabilities."""
    max_distance: float | None = None
    """Abstains where the model's `distance` output is larger; None never does."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Label to its weight, over 0; a label that is not named has 1."""
    stated: str = ""
    """What was asked for, in words."""

    def __post_init__(self) -> None:
        for name in ("abstain_below", "min_margin"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        if self.max_distance is not None and not 0 < self.max_distance < math.inf:
            raise ValueError(f"max_distance must be over 0, not {self.max_distance}")
        for label, weight in self.weights.items():
            if not 0 < weight < math.inf:
                raise ValueError(f"the weight of {label!r} must be over 0, not {weight}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The model outputs that it decides by."""
        return ("probabilities",) if self.max_distance is None else ("probabilities", "distance")

    def decide(
        self,
        probabilities: NDArray[np.floating[Any]],
        distances: NDArray[np.floating[Any]] | None,
        labels: Sequence[str],
    ) -> Decisions:
        """The decisions for [n, classes] probabilities and [n] distances, classes in the order of `labels`.

        Without distances `max_distance` is not asked; a distance that is not a number is too far. Raises ValueError
        where a weight names none of the labels.
        """
        exact = np.asarray(probabilities, np.float64)
        weighted = exact * self.factors(labels)
        said = weighted.argmax(axis=1)
        reasons = np.full(len(said), "", object)
        if self.min_margin:
            shares = np.sort(weighted / weighted.sum(axis=1, keepdims=True), axis=1)
            reasons[shares[:, -1] - shares[:, -2] < self.min_margin] = CLOSE
        if self.abstain_below:
            reasons[exact[np.arange(len(said)), said] < self.abstain_below] = UNLIKELY
        if self.max_distance is not None and distances is not None:
            reasons[~(np.asarray(distances, np.float64) <= self.max_distance)] = FAR
        return Decisions(said.astype(np.int64), np.asarray(reasons != "", np.bool_), tuple(reasons.tolist()))

    def factors(self, labels: Sequence[str]) -> NDArray[np.float64]:
        """[classes] the weights in the order of `labels`; raises ValueError where one names none of them."""
        if strangers := sorted(set(self.weights) - set(labels)):
            raise ValueError(f"a weight names {strangers[0]!r}, which is none of its labels")
        return np.array([self.weights.get(label, 1.0) for label in labels], np.float64)

    @property
    def words(self) -> str:
        """The rule as a fragment of a sentence."""
        weights = ", ".join(f"{label} {weight:.3g}" for label, weight in self.weights.items())
        rules = [
            f"below a probability of {self.abstain_below:g}" if self.abstain_below else "",
            f"within a margin of {self.min_margin:g}" if self.min_margin else "",
            f"beyond a distance of {self.max_distance:.3g}" if self.max_distance is not None else "",
        ]
        abstains = " or ".join(filter(None, rules))
        says = f"says the largest weighted probability ({weights}); " if weights else ""
        return says + (f"abstains {abstains}" if abstains else "never abstains")

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        return {
            "abstain_below": self.abstain_below,
            "min_margin": self.min_margin,
            "max_distance": self.max_distance,
            "weights": dict(self.weights),
            "stated": self.stated,
        }

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Reads what `to_json` wrote; earlier files have `abstain_below` alone. Raises ValueError for anything else.

        A key that is not known is refused, because a point that is obeyed in part is another point.
        """
        known = {"abstain_below", "min_margin", "max_distance", "weights", "stated"}
        if not isinstance(document, dict) or not {"abstain_below"} <= set(document) <= known:
            raise ValueError("its operating point is none")
        distance, weights, stated = (
            document.get("max_distance"),
            document.get("weights", {}),
            document.get("stated", ""),
        )
        if not isinstance(weights, dict) or not isinstance(stated, str):
            raise ValueError("its operating point has weights or words that are none")
        return cls(
            _number(document["abstain_below"]),
            _number(document.get("min_margin", 0.0)),
            None if distance is None else _number(distance),
            {label: _number(weight) for label, weight in weights.items()},
            stated,
        )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("its operating point holds what is not a number")
    return float(value)
