"""What an evaluation is made of: the model it asks, every picture's answer, and the figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.metadata import Metadata
from milliner.classifier.operating_point import Decisions
from milliner.evaluation.compared import Comparison
from milliner.evaluation.figures import Figure, Metrics, Resampling, SliceFigures
from milliner.evaluation.formats import NO_BREAK, percent, pictures, points
from milliner.evaluation.likenesses import Leakage

TRAINED_ON: Final = "trained on"
"""Why a picture is set aside of which the model knows the answer."""


class Classifier(Protocol):
    """What evaluation needs of a model; `milliner.classifier.model.Model` is one."""

    @property
    def name(self) -> str:
        """The model file's name."""
        ...

    @property
    def sha256(self) -> str:
        """Of the model file."""
        ...

    @property
    def metadata(self) -> Metadata:
        """What the file says of itself."""
        ...

    def look(self, encoded: bytes, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The named outputs for one picture file; called from many threads. Raises UnreadableImageError."""
        ...


@dataclass(frozen=True)
class Answers:
    """What was said of every picture that could be read, in the order of the dataset."""

    places: NDArray[np.int64]
    """[n] indices into the dataset."""
    keys: tuple[str, ...]
    targets: NDArray[np.int64]
    """[n] true classes, numbered as the model does."""
    probabilities: NDArray[np.float32]
    """[n, classes] from the model."""
    before: NDArray[np.float64]
    """[n, classes] from the untrained baseline."""
    decisions: Decisions
    """By the model's operating point."""
    groups: NDArray[np.int64]
    """[n] numbers of the shoots that the pictures are of, from 0; where nobody looked for them each is alone."""
    sha256s: tuple[str, ...]
    """Of the picture files."""

    @property
    def said(self) -> NDArray[np.int64]:
        """[n] classes that the model says, also where it abstains."""
        return self.decisions.said

    @property
    def abstained(self) -> NDArray[np.bool_]:
        """[n] where it abstains."""
        return self.decisions.abstained

    @property
    def reasons(self) -> tuple[str, ...]:
        """[n] why it does; "" where it does not."""
        return self.decisions.reasons

    @property
    def best(self) -> NDArray[np.float32]:
        """[n] the probabilities of what is said."""
        return np.asarray(self.probabilities[np.arange(len(self.said)), self.said], np.float32)


@dataclass(frozen=True)
class SetAside:
    """A picture of the dataset that is not counted: it cannot be read, or the model was trained on it."""

    file: str
    reason: str


@dataclass(frozen=True)
class Evaluation:
    """A model measured on a dataset."""

    model: str
    """The model file's name."""
    dataset: str
    after: Metrics
    """The trained model's figures."""
    before: Metrics
    """The same for the untrained baseline."""
    before_kind: str
    """What that baseline is, as a fragment of a sentence."""
    abstained: int
    """Pictures that the model's operating point abstains on; the figures count them all the same."""
    believed: Figure
    """The accuracy of all others."""
    set_aside: tuple[SetAside, ...]
    notes: tuple[str, ...]
    """Sentences on how the dataset was taken, where that might be unexpected."""
    resampling: Resampling
    """How the intervals came about."""
    answers: Answers = field(repr=False, compare=False)
    slices: tuple[SliceFigures, ...] = ()
    """The pictures by the values of the columns that were asked for."""
    comparison: Comparison | None = None
    """With the model that was asked for."""
    leakage: Leakage | None = None
    """What its pictures have in common with each other and with the training pictures; None where nobody looked."""

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        low, high = self.after.interval
        return (
            f"{percent(self.after.accuracy)} of {pictures(self.after.samples)} are named correctly "
            f"(95 % interval {points(low)} to {percent(high)}); untrained, {percent(self.before.accuracy)}."
        ).replace(NO_BREAK, " ")

    def to_json(self) -> dict[str, Any]:
        """The `evaluate --json` shape."""
        return {
            "model": self.model,
            "dataset": self.dataset,
            **self.after.to_json(),
            "before": {"kind": self.before_kind, **self.before.to_json()},
            "abstained": self.abstained,
            "believed": self.believed.to_json(),
            "resampling": self.resampling.to_json(),
            "slices": [each.to_json() for each in self.slices],
            "leakage": self.leakage.to_json() if self.leakage else None,
            "comparison": self.comparison.to_json() if self.comparison else None,
            "set_aside": [{"file": each.file, "reason": each.reason} for each in self.set_aside],
            "notes": list(self.notes),
        }
