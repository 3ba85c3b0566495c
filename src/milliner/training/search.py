"""Chooses the size, the pooling and the views by cross-validation on the training split, within a time budget.

First sizes, each with every pooling, which cost one embedding together; then views of what is best so far. Taken is the
cheapest whose log loss is within one standard error of the best ("one-standard-error rule", Breiman et al. 1984), the
error being that of the two losses' mean difference over the same pictures. Cheap is what multiplies less in a
prediction; of equally cheap ones the backbone's own pooling, and no views. The heads that are compared count every
class the same and begin with nothing, whatever the training's do. How much is tried depends on how fast this machine
is, so that another may choose otherwise; what was chosen can be asked for by name.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.backbones.backbone import Backbone
from milliner.backbones.pooling import EVERY, POOLINGS, columns
from milliner.core.errors import SettingsError
from milliner.core.parallel import Spread
from milliner.core.progress import Progress
from milliner.core.sample import Dataset
from milliner.curation.shoots import shoots
from milliner.images.views import VIEWS, WHOLE
from milliner.probe.choose import choose
from milliner.probe.embed import Embedded, embed, embed_views
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.training.costs import Costs, not_embedded
from milliner.training.given import Given
from milliner.training.picked import Picked
from milliner.training.refusals import check_embedded
from milliner.training.trials import Found, Setting, Trial, cheapest_of_the_best

MAX_PICTURES: Final = 2000
"""So many pictures are compared over."""

_OTHER_SIZES: Final = (0.5, 0.75, 1.25)
"""In the backbone's own, which is tried first and in any case."""


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
        cache: Path,
        seed: int,
        progress: Progress,
        spread: Spread,
    ) -> "Search":
        """With the time that is given, from now."""
        pictures, end = Picked.of(samples, seed, MAX_PICTURES), perf_counter() + (given.budget or 0.0)
        return cls(net, given, pictures, cache, seed, end, progress, spread)

    def run(self) -> Found:
        """Raises DatasetError for too few pictures, MillinerError for embeddings that are not finite."""
        first, *others = self._sizes()
        groups = self._groups(first)
        trials = self._of_size(first, groups, must=True)
        for size in others:
            trials += self._of_size(size, groups)
        best = cheapest_of_the_best(trials, self.net)
        trials += [self._of_views(best.setting, views, groups) for views in self._views()]
        wanted = [trial for trial in trials if self.given.views in (None, trial.setting.views)]
        taken = cheapest_of_the_best(wanted, self.net)
        order = sorted(wanted, key=lambda trial: (trial.setting.size, trial.log_loss or math.inf))
        return Found(taken.setting, len(self.pictures), tuple(order))

    def _sizes(self) -> list[int]:
        """The own one first."""
        if self.given.size is not None:
            return [self.given.size]
        own = self.net.input
        found = [own.size]
        for share in _OTHER_SIZES:
            size = own.stride * round(own.size * share / own.stride)
            try:
                own.resize(size, self.net.name)
            except SettingsError:  # it takes no other
                continue
            found.append(size)
        return list(dict.fromkeys(found))

    def _poolings(self) -> Sequence[str]:
        return list(POOLINGS) if self.given.pooling is None else [self.given.pooling]

    def _views(self) -> Sequence[str]:
        """Besides none."""
        if self.given.views is None:
            return [name for name, views in VIEWS.items() if views]
        return [self.given.views] if VIEWS[self.given.views] else []

    def _groups(self, size: int) -> NDArray[np.int64]:
        """[n] which pictures are left out together, by how they look at that size; for all trials the same."""
        every = self.net.pooled(EVERY)
        embedded = self._embedded(every, size)
        own = columns(every.blocks, self.net.blocks)[: self.net.widths[0]]
        return shoots(embedded.embeddings[:, own], [self.pictures.labels[each] for each in embedded.targets])

    def _embedded(self, net: Backbone, size: int) -> Embedded:
        policy = net.input.resize(size, net.name)
        embedded = embed(self.pictures, net, policy, self.cache, self.progress, self.spread)
        check_embedded(self.pictures, embedded, self.cache)
        return embedded

    def _of_size(self, size: int, groups: NDArray[np.int64], *, must: bool = False) -> list[Trial]:
        """A trial for each pooling, as far as there is time; the first one in any case where it `must` be."""
        every = self.net.pooled(EVERY)
        costs = Costs.of(every, size)
        trials = [Trial(Setting(size, name, "none"), costs.giga_multiplications) for name in self._poolings()]
        missing = not_embedded(self.pictures, every, every.input.resize(size, every.name), self.cache)
        why = "" if must else self._too_long(costs.seconds(missing))
        if why:
            return [replace(trial, left_out=why) for trial in trials]
        embedded = self._embedded(every, size)
        found: list[Trial] = []
        for trial in trials:
            why = "" if must and not found else self._too_long(0.0)
            net = self.net.pooled(POOLINGS[trial.setting.pooling])
            seen = embedded.embeddings[:, columns(every.blocks, net.blocks)]
            found.append(replace(trial, left_out=why) if why else self._measured(trial, seen, embedded.targets, groups))
        return found

    def _of_views(self, setting: Setting, views: str, groups: NDArray[np.int64]) -> Trial:
        """In any case where these views were asked for."""
        net = self.net.pooled(POOLINGS[setting.pooling])
        policy, costs = net.input.resize(setting.size, net.name), Costs.of(net, setting.size)
        count = 1 + len(VIEWS[views]) if self.given.averaged else 1
        trial = Trial(replace(setting, views=views), round(count * costs.giga_multiplications, 4))
        missing = [not_embedded(self.pictures, net, policy, self.cache, view) for view in (WHOLE, *VIEWS[views])]
        why = "" if views == self.given.views else self._too_long(costs.seconds(sum(missing)))
        if why:
            return replace(trial, left_out=why)
        whole, others = embed_views(self.pictures, net, policy, self.cache, VIEWS[views], self.progress, self.spread)
        for each in (whole, *others):
            check_embedded(self.pictures, each, self.cache)
        beside = OtherViews(tuple(each.embeddings for each in others), self.given.averaged)
        return self._measured(trial, whole.embeddings, whole.targets, groups, beside)

    def _too_long(self, seconds: float) -> str:
        """Why there is no time for it; empty where there is."""
        left = max(0.0, self.end - perf_counter())
        return f"would take {seconds:.0f} s, and {left:.0f} s were left" if seconds >= left else ""

    def _measured(
        self,
        trial: Trial,
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        groups: NDArray[np.int64],
        views: OtherViews = NO_VIEWS,
    ) -> Trial:
        widths = self.net.pooled(POOLINGS[trial.setting.pooling]).widths
        classes = len(self.pictures.labels)
        found = choose(
            embeddings, targets, classes, self.seed, self.progress, widths=widths, groups=groups, views=views
        )
        return replace(trial, accuracy=found.accuracy, log_loss=found.log_loss, losses=found.losses)
