"""What settings gave and cost in a search, and which of them is taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.backbones.backbone import Backbone
from milliner.backbones.pooling import name_of
from milliner.probe.choose import clearly_better


@dataclass(frozen=True)
class Setting:
    """What is chosen."""

    size: int
    pooling: str
    views: str


@dataclass(frozen=True)
class Trial:
    """What one setting gives and costs."""

    setting: Setting
    giga_multiplications: float
    """For one prediction, in thousand millions."""
    accuracy: float | None = None
    log_loss: float | None = None
    left_out: str = ""
    """Why it was not tried."""
    losses: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    """[n] of the pictures."""

    def figures(self) -> dict[str, Any]:
        """What does not depend on how fast this machine is."""
        setting = self.setting
        return {
            "size": setting.size,
            "pooling": setting.pooling,
            "views": setting.views,
            "giga_multiplications": self.giga_multiplications,
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
        }

    def to_json(self) -> dict[str, Any]:
        """With why there are no figures where there are none."""
        return self.figures() | {"left_out": self.left_out}


@dataclass(frozen=True)
class Found:
    """The setting that was taken, and all that were compared."""

    setting: Setting
    pictures: int
    trials: tuple[Trial, ...]
    """In the order of the table: by size, what is best first."""

    @property
    def sentence(self) -> str:
        """What was taken, and why."""
        best = _best(self.trials).setting
        if best == self.setting:
            return f"{_words(best)} gives the lowest log loss, and nothing cheaper is within its error."
        return f"{_words(self.setting)} is the cheapest within one standard error of the best, {_words(best)}."

    def metrics(self) -> dict[str, Any]:
        """As they stand in a model's metadata: of what was tried."""
        return {"pictures": self.pictures, "trials": [trial.figures() for trial in _tried(self.trials)]}

    def to_json(self) -> dict[str, Any]:
        """As `train --json` says it."""
        trials = [trial.to_json() for trial in self.trials]
        return {"pictures": self.pictures, "why": self.sentence, "trials": trials}


def _words(setting: Setting) -> str:
    views = "" if setting.views == "none" else f", {setting.views}"
    return f"{setting.size} pixels, {setting.pooling}{views}"


def cheapest_of_the_best(trials: Sequence[Trial], net: Backbone) -> Trial:
    """The one that is taken."""
    best, own = _best(trials), name_of(net.statistics)
    good = [trial for trial in _tried(trials) if _within_one_error(trial, best)]

    def price(trial: Trial) -> tuple[float, bool, bool, float]:
        setting = trial.setting
        return trial.giga_multiplications, setting.views != "none", setting.pooling != own, trial.log_loss or 0.0

    return min(good, key=price)


def _within_one_error(trial: Trial, best: Trial) -> bool:
    return trial.losses is not None and best.losses is not None and not clearly_better(best.losses, trial.losses)


def _best(trials: Sequence[Trial]) -> Trial:
    return min(_tried(trials), key=lambda trial: trial.log_loss or 0.0)


def _tried(trials: Sequence[Trial]) -> Iterator[Trial]:
    return (trial for trial in trials if trial.log_loss is not None)
