"""How much the samples of each class count in a fit."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassWeights:
    """How much classes count in the fit."""

    balanced: bool = True
    """Every class the same in total, however many samples it has; else every sample the same."""
    factors: NDArray[np.float64] | None = None
    """[classes] multiplied on that, over 0; None for 1."""

    def of(self, targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
        """[n] a weight for each sample, mean 1."""
        factors = np.ones(classes) if self.factors is None else self.factors
        if self.balanced:
            factors = factors / np.maximum(np.bincount(targets, minlength=classes), 1)
        weights = factors[targets]
        return np.asarray(weights / weights.mean(), np.float32)


BALANCED: Final = ClassWeights()


def balanced_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """A weight for each sample, mean 1, so that every class counts the same in total."""
    return BALANCED.of(targets, classes)
