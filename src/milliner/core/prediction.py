"""What a model says of one picture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A part of a picture that speaks for a class."""

    label: str
    probability: float
    """Of the class against the best other one, where the part speaks for it most: at least a half."""
    left: int
    top: int
    right: int
    bottom: int
    """Pixels of the upright picture; right and bottom lie behind the last pixel."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `predict --json`."""
        return {
            "label": self.label,
            "probability": self.probability,
            "box": [self.left, self.top, self.right, self.bottom],
        }


@dataclass(frozen=True)
class Prediction:
    """One picture's verdict. Raises ValueError when its parts do not fit together."""

    source: str
    """The file, address or record that was looked at."""
    label: str
    """What the operating point says, also when it abstains: the most probable class where classes weigh the same."""
    probabilities: Mapping[str, float]
    """Class name to probability; they sum to 1."""
    abstained: bool = False
    """True where the operating point says that the model should not be believed here."""
    reason: str = ""
    """Why it abstains, such as "too close to call"; "" where it does not."""
    distance: float | None = None
    """How far the picture is from everything that the model was trained on, at least 0; its training pictures have 1
    on average. None where the model does not tell."""
    heatmap: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """[classes, h, w], classes in the order of `probabilities`: what each cell adds to the logits."""
    embedding: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """[width] the pooled features that the head sees."""
    boxes: tuple[Box, ...] | None = field(default=None, compare=False)
    """Where the picture speaks for `label`, strongest first; None where it was not asked for."""

    def __post_init__(self) -> None:
        if self.label not in self.probabilities:
            raise ValueError(f"label {self.label!r} is not one of {list(self.probabilities)}")
        if not math.isclose(sum(self.probabilities.values()), 1.0, abs_tol=1e-3):
            raise ValueError("probabilities must sum to 1")
        if self.reason and not self.abstained:
            raise ValueError("what is believed has no reason for abstaining")
        if self.heatmap is not None and self.heatmap.shape[0] != len(self.probabilities):
            raise ValueError("the heatmap needs one plane for each class")

    @property
    def probability(self) -> float:
        """The probability of `label`, 0 to 1."""
        return self.probabilities[self.label]

    @property
    def margin(self) -> float:
        """The best probability less the second best, 0 to 1: small where the model is in doubt."""
        first, second = sorted(self.probabilities.values(), reverse=True)[:2]
        return first - second

    def to_json(self) -> dict[str, Any]:
        """The `predict --json` shape."""
        document = {
            "source": self.source,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "abstained": self.abstained,
            "reason": self.reason,
            "distance": self.distance,
        }
        boxes = {} if self.boxes is None else {"boxes": [box.to_json() for box in self.boxes]}
        return document | boxes
