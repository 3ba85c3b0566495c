"""Chooses the size, the pooling and the views by cross-validation on the training split, within a time budget.

First sizes, each with every pooling, which cost one embedding together; then views of what is best so far. Taken is the
cheapest whose log loss is within one standard error of the best ("one-standard-error rule", Breiman et al. 1984), the
error being that of the two losses' mean difference over the same pictures. Cheap is what multiplies less in a
prediction; of equally cheap ones the backbone's own pooling, and no views.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.backbones.backbone import Backbone
from milliner.backbones.pooling import EVERY, POOLINGS, columns, name_of
from milliner.core.errors import SettingsError
from milliner.core.parallel import Spread
from milliner.core.progress import Progress
from milliner.core.sample import Dataset
from milliner.curation.shoots import shoots
from milliner.images.views import VIEWS, WHOLE
from milliner.probe.choose import Choice, choose
from milliner.probe.embed import embed
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.training.costs import Costs, not_embedded
from milliner.training.picked import Picked, check_counts

MAX_PICTURES: Final = 2000
"""So many pictures are compared over."""

_SIZES: Final = (1.0, 0.5, 0.75, 1.25)
"""That are tried, in the backbone's own; the first one is always tried."""


@dataclass(frozen=True)
class Setting:
    """What is chosen."""

    size: int
    pooling: str
    views: str


@dataclass(frozen=True)
class Given:
    """What is not to be chosen, since it was asked for; None for what is."""

    size: int | None = None
    pooling: str | None = None
    views: str | None = None
    averaged: bool = False
    """Whether answers are to be averaged over the views."""


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
        """As they stand in a model's metadata."""
        setting = self.setting
        return {
            "size": setting.size,
            "pooling": setting.pooling,
            "views": setting.views,
            "giga_multiplications": self.giga_multiplications,
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "left_out": self.left_out,
        }


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

    def to_json(self) -> dict[str, Any]:
        """As `train --json` and a model's metadata say it."""
        return {
            "pictures": self.pictures,
            "why": self.sentence,
            "trials": [trial.figures() for trial in self.trials],
        }


def _words(setting: Setting) -> str:
    views = "" if setting.views == "none" else f", {setting.views}"
    return f"{setting.size} pixels, {setting.pooling}{views}"


@dataclass(frozen=True)
class Search:
    """A search on the pictures of one training split."""

    net: Backbone
    given: Given
    pictures: Picked
    cache: Path
    seed: int
    end: float
    """When to stop, by `perf_counter`."""
    progress: Progress
    spread: Spread

    @classmethod
    def on(
        cls,
        samples: Dataset,
        net: Backbone,
        given: Given,
        budget: float,
        cache: Path,
        seed: int,
        progress: Progress,
        spread: Spread,
    ) -> "Search":
        """Over that many seconds from now."""
        pictures = Picked.of(samples, seed, MAX_PICTURES)
        return cls(net, given, pictures, cache, seed, perf_counter() + budget, progress, spread)

    def run(self) -> Found:
        """Raises DatasetError where a class has fewer than two pictures, SettingsError for a size that cannot be."""
        trials: list[Trial] = []
        groups: NDArray[np.int64] | None = None
        for size in self._sizes():
            found, groups = self._of_size(size, groups, first=not trials)
            trials += found
        best = cheapest_of_the_best(trials, self.net)
        trials += [self._of_views(best.setting, views, groups) for views in self._views()]
        taken = cheapest_of_the_best(trials, self.net)
        order = sorted(trials, key=lambda trial: (trial.setting.size, trial.log_loss or math.inf))
        return Found(taken.setting, len(self.pictures), tuple(order))

    def _sizes(self) -> list[int]:
        """The own one first."""
        if self.given.size is not None:
            return [self.given.size]
        own, found = self.net.input, []
        for share in _SIZES:
            size = own.stride * round(own.size * share / own.stride)
            try:
                own.resize(size, self.net.name)
            except SettingsError:  # it takes no other
                continue
            found.append(size)
        return found

    def _poolings(self) -> Sequence[str]:
        return list(POOLINGS) if self.given.pooling is None else [self.given.pooling]

    def _views(self) -> Sequence[str]:
        """Besides none, which was tried."""
        if self.given.views is None:
            return [name for name, views in VIEWS.items() if views]
        return [self.given.views] if VIEWS[self.given.views] else []

    def _of_size(
        self, size: int, groups: NDArray[np.int64] | None, *, first: bool
    ) -> tuple[list[Trial], NDArray[np.int64] | None]:
        """A trial for each pooling; the groups of pictures that are left out together are those of the first size."""
        every = self.net.pooled(EVERY)
        policy = every.input.resize(size, every.name)
        costs = Costs.of(every, size)
        trials = [Trial(Setting(size, name, "none"), costs.giga_multiplications) for name in self._poolings()]
        why = self._too_long(costs.seconds(not_embedded(self.pictures, every, policy, self.cache)))
        if why and not first:
            return [replace(trial, left_out=why) for trial in trials], groups
        embedded = embed(self.pictures, every, policy, self.cache, self.progress, self.spread)
        check_counts(self.pictures, embedded.targets)
        if groups is None:
            own = columns(every.blocks, self.net.blocks)[: self.net.widths[0]]
            groups = shoots(embedded.embeddings[:, own], [self.pictures.labels[each] for each in embedded.targets])
        for place, trial in enumerate(trials):
            wanted = columns(every.blocks, self.net.pooled(POOLINGS[trial.setting.pooling]).blocks)
            trials[place] = self._measured(trial, embedded.embeddings[:, wanted], embedded.targets, groups)
        return trials, groups

    def _of_views(self, setting: Setting, views: str, groups: NDArray[np.int64] | None) -> Trial:
        net = self.net.pooled(POOLINGS[setting.pooling])
        policy, costs = net.input.resize(setting.size, net.name), Costs.of(net, setting.size)
        count = 1 + len(VIEWS[views]) if self.given.averaged else 1
        trial = Trial(replace(setting, views=views), round(count * costs.giga_multiplications, 4))
        seen = (WHOLE, *VIEWS[views])
        missing = sum(not_embedded(self.pictures, net, policy, self.cache, view) for view in seen)
        why = self._too_long(costs.seconds(missing))
        if why:
            return replace(trial, left_out=why)
        whole, *others = (
            embed(self.pictures, net, policy, self.cache, self.progress, self.spread, view) for view in seen
        )
        beside = OtherViews(tuple(each.embeddings for each in others), self.given.averaged)
        return self._measured(trial, whole.embeddings, whole.targets, groups, beside)

    def _too_long(self, seconds: float) -> str:
        """Why there is no time for it; empty where there is."""
        left = max(0.0, self.end - perf_counter())
        return f"would take {seconds:.0f} s, and {left:.0f} s were left" if seconds > left else ""

    def _measured(
        self,
        trial: Trial,
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        groups: NDArray[np.int64] | None,
        views: OtherViews = NO_VIEWS,
    ) -> Trial:
        widths = self.net.pooled(POOLINGS[trial.setting.pooling]).widths
        classes = len(self.pictures.labels)
        found: Choice = choose(
            embeddings, targets, classes, self.seed, self.progress, widths=widths, groups=groups, views=views
        )
        return replace(trial, accuracy=found.accuracy, log_loss=found.log_loss, losses=found.losses)


def cheapest_of_the_best(trials: Sequence[Trial], net: Backbone) -> Trial:
    """The one that is taken."""
    best, own = _best(trials), name_of(net.statistics)
    good = [trial for trial in _tried(trials) if _within_one_error(trial, best)]

    def price(trial: Trial) -> tuple[float, bool, bool, float]:
        setting = trial.setting
        return trial.giga_multiplications, setting.views != "none", setting.pooling != own, trial.log_loss or 0.0

    return min(good, key=price)


def _within_one_error(trial: Trial, best: Trial) -> bool:
    if trial.losses is None or best.losses is None:
        return False
    gaps = trial.losses - best.losses
    return bool(gaps.mean() <= gaps.std() / math.sqrt(len(gaps)))


def _best(trials: Sequence[Trial]) -> Trial:
    return min(_tried(trials), key=lambda trial: trial.log_loss or 0.0)


def _tried(trials: Sequence[Trial]) -> Iterator[Trial]:
    return (trial for trial in trials if trial.log_loss is not None)
