"""The outcome of comparing two models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from milliner.evaluation.figures import SIGNIFICANT, Figure
from milliner.evaluation.formats import count


@dataclass(frozen=True)
class Disagreement:
    """A picture of which two models say different things."""

    file: str
    truth: str
    said: str
    said_by_other: str
    probability: float
    """Of what the model said, by itself."""
    probability_by_other: float
    """Of what the other one said, by itself."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return dict(vars(self))


@dataclass(frozen=True)
class Comparison:
    """A model beside another one, on the pictures that neither was trained on."""

    model: str
    other: str
    samples: int
    left_out: int
    """Pictures of the evaluation that the other one was trained on."""
    figures: Mapping[str, float | None]
    """The model's own `accuracy`, `roc_auc` and `log_loss` on these pictures."""
    figures_of_other: Mapping[str, float | None]
    differences: Mapping[str, Figure]
    """The model's less the other's."""
    only_right: int
    """Pictures that the model alone names correctly."""
    only_other_right: int
    p: float
    """Of McNemar's exact test."""
    pictures_for_a_point: int
    """How many pictures it takes to show a difference in accuracy of one point, four times in five."""
    disagreements: tuple[Disagreement, ...]

    @property
    def shown(self) -> bool:
        """Whether one is more accurate than the other by more than chance explains."""
        return self.p < SIGNIFICANT

    @property
    def sentence(self) -> str:
        """The outcome in one sentence."""
        accuracy = self.differences["accuracy"]
        difference, (low, high) = accuracy.value or 0.0, accuracy.interval or (-1.0, 1.0)
        if not self.shown:
            return (
                f"No difference in accuracy between {self.model} and {self.other} can be shown "
                f"({_signed(low)} to {_signed(high)} points, {p_words(self.p)}); to show one of 1 point takes about "
                f"{count(_two_digits(self.pictures_for_a_point))} pictures."
            )
        better, worse = (self.model, self.other) if difference > 0 else (self.other, self.model)
        low, high = (low, high) if difference > 0 else (-high, -low)
        return (
            f"{better} is better than {worse} by {abs(difference) * 100:.1f} points "
            f"({low * 100:.1f} to {high * 100:.1f}), {p_words(self.p)}."
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in `evaluate --json`."""
        return {
            "sentence": self.sentence,
            "model": self.model,
            "other": self.other,
            "samples": self.samples,
            "left_out": self.left_out,
            "figures": dict(self.figures),
            "figures_of_other": dict(self.figures_of_other),
            "differences": {name: figure.to_json() for name, figure in self.differences.items()},
            "only_right": self.only_right,
            "only_other_right": self.only_other_right,
            "p": self.p,
            "pictures_for_a_point": self.pictures_for_a_point,
            "disagreements": [each.to_json() for each in self.disagreements],
        }


def _signed(share: float) -> str:
    return f"{share * 100:+.1f}".replace("-", "\N{MINUS SIGN}")


def p_words(value: float) -> str:
    """A p with two digits."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _two_digits(number: int) -> int:
    """Such a number is an estimate, and not to look like more."""
    size: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // size) * size
