"""From embeddings to a head: the choices by cross-validation, the fit, what it is worth, and the learning curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.progress import Progress, silent
from milliner.probe.choose import Choice, choose_strength
from milliner.probe.head import Head, fit_head
from milliner.training.learning_curve import LearningCurve, fit_with, learning_curve
from milliner.training.reliability import Reliability, class_weights, reliability
from milliner.training.wishes import Wishes


@dataclass(frozen=True)
class Fitted:
    """A head and how it was found."""

    head: Head
    """With the temperature in its weights."""
    choice: Choice
    reliability: Reliability
    """Its temperature and operating point, and what they give out of fold."""
    curve: LearningCurve | None
    """None where there are too few pictures for one, or it was not asked for."""

    def metrics(self) -> dict[str, Any]:
        """As they stand in a model's metadata."""
        drawn = {"learning_curve": self.curve.to_json()} if self.curve else {}
        return {"cross_validated": self.choice.metrics(), **self.reliability.metrics(), **drawn}


def fit(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    labels: Sequence[str],
    seed: int = 0,
    progress: Progress = silent,
    *,
    wishes: Wishes | None = None,
    curve: bool = True,
) -> Fitted:
    """What training does with [n, width] embeddings and [n] class numbers; every class needs two samples or more.

    Raises DatasetError where no head can come of them, and SettingsError where the wishes contradict each other or ask
    more than so many pictures can promise.
    """
    wishes, classes = wishes or Wishes(), len(labels)
    weights = class_weights(wishes, labels)
    choice = choose_strength(embeddings, targets, classes, seed, progress, weights)
    head = fit_head(embeddings, targets, classes, choice.strength, counted=weights)
    found = reliability(choice.logits, embeddings, targets, choice.held_out, labels, wishes)
    drawn = learning_curve(embeddings, targets, classes, fit_with(choice.strength, weights), seed) if curve else None
    return Fitted(found.calibration.apply(head), choice, found, drawn)
