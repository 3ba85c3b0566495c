"""What the user states about the model that is to come: how much each class matters, and when to abstain."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Final

from milliner.core.errors import SettingsError

DEFAULT_FAR: Final = 0.005
"""One training picture in 200 is refused, of the pictures that the measure was not fitted to. On the helmets' training
list that share refused 0.7 % of pictures held out, 100 % of plain walls, noise and textures, 96 % of insects and 75 %
of empty corners of photographs; a share of 0.01 refused 1.2 %, 100 %, 98 % and 84 %."""


@dataclass(frozen=True)
class Wishes:
    """All of it may be left out. Raises SettingsError for what can be no wish."""

    min_recall: Mapping[str, float] = field(default_factory=dict)
    """Label to the share of its pictures that must be found, over 0 and below 1."""
    max_false_alarms: float | Mapping[str, float] = field(default_factory=dict)
    """Label to the share of the pictures of other classes that may be called it, over 0 and below 1. A bare number is
    for the classes that the other wishes name, or for every class where they name none."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Label to what it costs to miss a picture of it, over 0, where missing one of another class costs 1."""
    abstain_below: float = 0.0
    """Abstains where the probability of what is said is lower, 0 to below 1; 0 never does."""
    abstain_margin: float = 0.0
    """Abstains where the best two classes are closer, 0 to below 1; 0 never does."""
    abstain_far: float = DEFAULT_FAR
    """Abstains on what is unlike the training pictures, so that this share of such pictures is refused, 0 to 0.5;
    0 never does."""
    balanced: bool = True
    """Every class counts the same in the fit, however many pictures it has."""
    class_weight: Mapping[str, float] = field(default_factory=dict)
    """Label to a factor, over 0, on what its pictures count in the fit."""

    def __post_init__(self) -> None:
        self._check_types()
        for name, example in (("min_recall", "0.99 is 99 %"), ("max_false_alarms", "0.01 is 1 %")):
            for value in _values(getattr(self, name)):
                if not 0 < value < 1:
                    raise SettingsError(f"{name} must be over 0 and below 1, not {value:g}; {example}.")
        for name in ("cost", "class_weight"):
            for value in _values(getattr(self, name)):
                if not 1e-6 <= value <= 1e6:
                    raise SettingsError(f"{name} must be between 1e-6 and 1e6, not {value:g}; 2 counts a class double.")
        for name in ("abstain_below", "abstain_margin"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(
                    f"{name} must be at least 0 and below 1, not {getattr(self, name):g}; 0.6 abstains under 60 %."
                )
        if not 0 <= self.abstain_far <= 0.5:
            raise SettingsError(f"abstain_far must be 0 to 0.5, not {self.abstain_far:g}; 0 never abstains.")

    def _check_types(self) -> None:
        for name in ("min_recall", "cost", "class_weight", "max_false_alarms"):
            wish = getattr(self, name)
            numbers = wish.values() if isinstance(wish, Mapping) else [wish]
            mapped = isinstance(wish, Mapping) or name == "max_false_alarms"
            if not mapped or not all(is_number(value) for value in numbers):
                raise SettingsError(
                    f"{name} must give labels their numbers, such as {{'helmet': 0.5}}, not be {wish!r}."
                )
        for name in ("abstain_below", "abstain_margin", "abstain_far"):
            if not is_number(getattr(self, name)):
                raise SettingsError(f"{name} must be a number such as 0.1, not {getattr(self, name)!r}.")

    def check(self, labels: Sequence[str]) -> None:
        """Raises SettingsError where a wish is for a class that there is not."""
        for name in ("min_recall", "max_false_alarms", "cost", "class_weight"):
            wish = getattr(self, name)
            for label in wish if isinstance(wish, Mapping) else ():
                if label not in labels:
                    raise SettingsError(f"{name} names the class {label!r}, but the classes are {_some(labels)}.")

    def false_alarms(self, labels: Sequence[str]) -> dict[str, float]:
        """`max_false_alarms` by label, a bare number given to the classes that it is for."""
        if isinstance(self.max_false_alarms, Mapping):
            return dict(self.max_false_alarms)
        named = [label for label in labels if label in self.named]
        return dict.fromkeys(named or labels, self.max_false_alarms)

    @property
    def named(self) -> dict[str, None]:
        """The labels that anything is wished of by name, in the order of the wishes."""
        alarms = self.max_false_alarms if isinstance(self.max_false_alarms, Mapping) else {}
        return dict.fromkeys([*self.min_recall, *alarms, *self.cost])

    def lineage(self) -> dict[str, Any]:
        """What the fit itself was told, where it differs from every class counting the same."""
        weights = {"class_weight": dict(self.class_weight)} if self.class_weight else {}
        return weights if self.balanced else {"balanced": False, **weights}

    @property
    def words(self) -> str:
        """What was stated about the operating point, as a fragment of a sentence; "" for nothing."""
        return ", ".join(self._words())

    def _words(self) -> Iterator[str]:
        yield from (f"recall of {label} at least {value:g}" for label, value in self.min_recall.items())
        if isinstance(self.max_false_alarms, Mapping):
            yield from (f"false alarms of {label} at most {value:g}" for label, value in self.max_false_alarms.items())
        else:
            yield f"false alarms at most {self.max_false_alarms:g}"
        yield from (f"a missed {label} costs {value:g}" for label, value in self.cost.items())


def _values(wish: float | Mapping[str, float]) -> Iterator[float]:
    yield from wish.values() if isinstance(wish, Mapping) else (wish,)


def is_number(value: object) -> bool:
    """Whether it counts as one here: a truth value does not, though Python takes it for 0 or 1."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
