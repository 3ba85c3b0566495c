"""What a head's out-of-fold answers say of it: its temperature, its operating point, and what is too far to answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.operating_point import OperatingPoint
from milliner.probe.class_weights import ClassWeights
from milliner.probe.head import log_softmax
from milliner.training.calibrate import Calibration, calibrate
from milliner.training.distance import Limit, fit_limit
from milliner.training.operate import Operation, operate
from milliner.training.wishes import DEFAULT_FAR, Wishes


@dataclass(frozen=True)
class Reliability:
    """How far a head can be believed, known from the pictures that each of its folds left out."""

    calibration: Calibration
    limit: Limit
    operation: Operation
    wishes: Wishes

    @property
    def point(self) -> OperatingPoint:
        """What the model file obeys."""
        return self.operation.point

    def metrics(self) -> dict[str, Any]:
        """As they stand in a model's metadata and in `train --json`."""
        return {
            **self.calibration.metrics(),
            "operating_point": self.operation.metrics(),
            "distance": self.limit.metrics(),
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """For people: what it is about, and what it came to."""
        before, after = self.calibration.calibration_error
        loss, then = self.calibration.log_loss
        yield (
            "temperature",
            f"{self.calibration.temperature:.2f}; calibration error {before:.1%}, then {after:.1%}; "
            f"log loss {loss:.4f}, then {then:.4f}",
        )
        if self.point.stated:
            yield "wished", self.point.stated
        yield "operating point", self.point.words
        yield "out of fold", "; ".join(self.operation.sentences(self.wishes))


def reliability(
    logits: NDArray[np.float32],
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    folds: NDArray[np.int64],
    labels: Sequence[str],
    wishes: Wishes,
) -> Reliability:
    """From [n, classes] out-of-fold logits, [n, width] embeddings, [n] class numbers and [n] fold numbers.

    Raises SettingsError where the wishes contradict each other or ask more than so many pictures can promise.
    """
    calibration = calibrate(logits, targets)
    limit = fit_limit(embeddings, targets, folds, len(labels), wishes.abstain_far or DEFAULT_FAR)
    probabilities = np.exp(log_softmax(logits / np.float32(calibration.temperature)))
    abstains = wishes.abstain_far > 0
    operation = operate(
        wishes,
        probabilities,
        targets,
        labels,
        limit.largest if abstains else None,
        round(limit.refused * len(targets)) if abstains else 0,
    )
    return Reliability(calibration, limit, operation, wishes)


def class_weights(wishes: Wishes, labels: Sequence[str]) -> ClassWeights:
    """What the wishes mean for the fit; raises SettingsError where one names a class that there is not."""
    wishes.check(labels)
    factors = np.array([wishes.class_weight.get(label, 1.0) for label in labels], np.float64)
    return ClassWeights(wishes.balanced, factors if wishes.class_weight else None)
