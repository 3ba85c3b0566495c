"""Chooses the backbone by cross-validation on pictures of the training split: what each would give, and cost.

Each backbone that is here without a download embeds the same pictures (remembered, so that training then embeds
fewer), and a head is cross-validated on them. Taken is the cheapest one whose log loss is within one standard error
of the best (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3). Cheap is what multiplies less:
unlike milliseconds, which are told as well, that is the same on every machine and in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

from milliner.backbones.backbone import DEFAULT, Backbone, available
from milliner.core.errors import SettingsError
from milliner.core.parallel import Spread
from milliner.core.progress import Progress
from milliner.core.sample import Dataset
from milliner.probe.choose import choose
from milliner.probe.embed import embed
from milliner.training.costs import Costs, not_embedded
from milliner.training.picked import Picked
from milliner.training.refusals import check_embedded

MAX_PICTURES: Final = 2000
"""So many pictures are compared over; with them an accuracy of 97 % is known to 0.4 points."""

BUDGET: Final = 300.0
"""Seconds that the comparison may take; a backbone that would go beyond is left out, and the table says so."""


@dataclass(frozen=True)
class Trial:
    """What one backbone gives and costs."""

    name: str
    size: int
    megabytes: float
    giga_multiplications: float
    """For one picture, in thousand millions."""
    milliseconds: float | None = None
    """For one picture on one core of this machine, the network alone."""
    accuracy: float | None = None
    log_loss: float | None = None
    standard_error: float | None = None
    """Of the log loss."""
    left_out: str = ""
    """Why it was not tried."""

    def figures(self) -> dict[str, Any]:
        """What is the same in every run."""
        return {
            "name": self.name,
            "size": self.size,
            "megabytes": self.megabytes,
            "giga_multiplications": self.giga_multiplications,
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "standard_error": self.standard_error,
        }

    def to_json(self) -> dict[str, Any]:
        """With the timing, and why there are no figures where there are none."""
        return self.figures() | {"milliseconds": self.milliseconds, "left_out": self.left_out}


@dataclass(frozen=True)
class AutoChoice:
    """The backbone that was taken, and all that were compared."""

    name: str
    pictures: int
    trials: tuple[Trial, ...]
    """The cheapest first."""

    @property
    def sentence(self) -> str:
        """What was taken, and why."""
        best = min(_tried(self.trials), key=lambda trial: trial.log_loss or 0.0)
        if best.name == self.name:
            return f"{self.name} has the lowest log loss of those compared, and none cheaper is within its error."
        return f"{self.name} is the cheapest within one standard error of the best, which is {best.name}."

    def to_json(self) -> dict[str, Any]:
        """As `train --json` says it."""
        trials = [trial.to_json() for trial in self.trials]
        return {"chosen": self.name, "pictures": self.pictures, "why": self.sentence, "trials": trials}


def choose_backbone(
    samples: Dataset,
    size: int | None,
    cache: Path,
    seed: int,
    progress: Progress,
    spread: Spread,
    *,
    candidates: Sequence[Backbone] | None = None,
    budget: float = BUDGET,
) -> AutoChoice:
    """Compares `candidates`, or every plug-in that is here, on the training pictures.

    The first one is always tried; the others while the time lasts. Raises SettingsError where none takes the size,
    DatasetError where a class has fewer than two pictures.
    """
    end = perf_counter() + budget
    found = candidates if candidates is not None else [net for net in available().values() if net.readiness().ready]
    pictures = Picked.of(samples, seed, MAX_PICTURES)
    trials: list[Trial] = []
    for net in sorted(found, key=lambda net: (net.name != DEFAULT, net.megabytes)):
        try:
            policy = net.input.resize(size, net.name)
        except SettingsError:  # it cannot see that size
            continue
        costs = Costs.of(net, policy.size)
        trial = Trial(net.name, policy.size, net.megabytes, costs.giga_multiplications, costs.milliseconds)
        seconds = costs.seconds(not_embedded(pictures, net, policy, cache))
        if any(trial.accuracy is not None for trial in trials) and perf_counter() + seconds > end:
            why = f"would take {seconds:.0f} s more than the {budget:.0f} s there are"
            trials.append(replace(trial, left_out=why))
        else:
            trials.append(_measured(net, trial, pictures, cache, seed, progress, spread))
    if not trials:
        raise SettingsError(f"No backbone that is here takes squares of {size} pixels a side; leave size out.")
    trials.sort(key=lambda trial: trial.giga_multiplications)
    return AutoChoice(cheapest_of_the_best(trials).name, len(pictures), tuple(trials))


def cheapest_of_the_best(trials: Sequence[Trial]) -> Trial:
    """The one that multiplies least of those whose log loss is within one standard error of the lowest."""
    tried = _tried(trials)
    best = min(tried, key=lambda trial: trial.log_loss or 0.0)
    limit = (best.log_loss or 0.0) + (best.standard_error or 0.0)
    return min((trial for trial in tried if (trial.log_loss or 0.0) <= limit), key=lambda t: t.giga_multiplications)


def _tried(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.log_loss is not None]


def _measured(
    net: Backbone, trial: Trial, pictures: Picked, cache: Path, seed: int, progress: Progress, spread: Spread
) -> Trial:
    policy, classes = net.input.resize(trial.size, net.name), len(pictures.labels)
    embedded = embed(pictures, net, policy, cache, progress, spread)
    check_embedded(pictures, embedded, cache)
    choice = choose(embedded.embeddings, embedded.targets, classes, seed, progress, widths=net.widths)
    losses = choice.losses
    return replace(
        trial,
        accuracy=choice.accuracy,
        log_loss=float(losses.mean()),
        standard_error=float(losses.std() / np.sqrt(len(losses))),
    )
