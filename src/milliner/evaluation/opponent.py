"""The model that another one is compared with."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import ModelError
from milliner.core.sample import Sample
from milliner.evaluation.result import Classifier


@dataclass(frozen=True)
class OtherAnswer:
    """What it says of one picture, classes numbered as the compared model does."""

    probabilities: NDArray[np.float32]
    """[classes]"""
    said: int
    """By its own operating point."""


@dataclass(frozen=True)
class Opponent:
    """Another model of the same classes, whatever its backbone, size, resizing and order of classes."""

    model: Classifier
    columns: NDArray[np.int64]
    """[classes] where each class of the compared model stands in this one's outputs."""

    @classmethod
    def of(cls, other: Classifier, model: Classifier) -> Self:
        """Matches the classes by name; raises ModelError where they are not the same."""
        mine, theirs = model.metadata.labels, other.metadata.labels
        if set(mine) != set(theirs):
            odd = sorted(set(mine) ^ set(theirs))[0]
            knows, lacks = (model, other) if odd in mine else (other, model)
            raise ModelError(
                f"{knows.name} knows a class {odd!r} and {lacks.name} does not; compare models of the same classes."
            )
        return cls(other, np.array([theirs.index(label) for label in mine], np.int64))

    def ask(self, sample: Sample) -> OtherAnswer | None:
        """Its answer; None where it was trained on the picture. Raises UnreadableImageError."""
        metadata = self.model.metadata
        if sample.sha256 in metadata.trained_on:
            return None
        look = self.model.look(sample.encoded, metadata.operating_point.outputs)
        probabilities, distance = look["probabilities"], look.get("distance")
        distances = None if distance is None else distance[None]
        said = metadata.operating_point.decide(probabilities[None], distances, metadata.labels).said[0]
        return OtherAnswer(probabilities[self.columns], int(np.flatnonzero(self.columns == said)[0]))
