"""From embeddings to a head: the choices by cross-validation, the fit, and the learning curve."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.progress import Progress, silent
from milliner.probe.choose import Choice, choose_strength
from milliner.probe.head import Head, fit_head
from milliner.training.learning_curve import LearningCurve, fit_with, learning_curve


@dataclass(frozen=True)
class Fitted:
    """A head and how it was found."""

    head: Head
    choice: Choice
    curve: LearningCurve | None
    """None where there are too few pictures for one, or it was not asked for."""

    def metrics(self) -> dict[str, Any]:
        """As they stand in a model's metadata."""
        drawn = {"learning_curve": self.curve.to_json()} if self.curve else {}
        return {"cross_validated": self.choice.metrics(), **drawn}


def fit(
    embeddings: NDArray[np.float32],
    targets: NDArray[np.int64],
    classes: int,
    seed: int = 0,
    progress: Progress = silent,
    *,
    curve: bool = True,
) -> Fitted:
    """What training does with [n, width] embeddings and [n] class numbers; every class needs two samples or more.

    Raises DatasetError where no head can come of them.
    """
    choice = choose_strength(embeddings, targets, classes, seed, progress)
    head = fit_head(embeddings, targets, classes, choice.strength)
    drawn = learning_curve(embeddings, targets, classes, fit_with(choice.strength), seed) if curve else None
    return Fitted(head, choice, drawn)
