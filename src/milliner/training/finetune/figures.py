"""What validation found, and which of two models it prefers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.probe.head import log_softmax


@dataclass(frozen=True)
class Figures:
    """Of one model on the pictures that were held out."""

    pictures: int
    accuracy: float
    log_loss: float

    @classmethod
    def of(cls, logits: NDArray[np.float32], targets: NDArray[np.int64]) -> "Figures":
        """From [n, classes] logits and [n] class numbers."""
        of_truth = log_softmax(logits)[np.arange(len(targets)), targets]
        return cls(len(targets), float((logits.argmax(axis=1) == targets).mean()), -float(of_truth.mean()))

    def beats(self, other: "Figures") -> bool:
        """The rule by which a fine-tuned model is kept: a lower log loss, and no lower accuracy."""
        return self.log_loss < other.log_loss and self.accuracy >= other.accuracy


@dataclass(frozen=True)
class Epoch:
    """How one pass over the pictures went."""

    number: int
    """From 1."""
    epochs: int
    """That there will be at most."""
    training_loss: float
    """Mean over the epoch, of augmented pictures, with weighted classes and smoothed labels."""
    validation: Figures

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Epoch":
        """Reads what `asdict` made."""
        return cls(value["number"], value["epochs"], value["training_loss"], Figures(**value["validation"]))

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        return asdict(self)
