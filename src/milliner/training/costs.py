"""What a network costs on this machine, and how long a dataset takes to go through it."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import numpy as np
from onnx import load_model_from_string

from milliner.backbones.backbone import Backbone
from milliner.backbones.cost import multiplications
from milliner.core.errors import UnreadableImageError
from milliner.core.parallel import available_cores
from milliner.core.sample import Dataset
from milliner.images.resize import ResizePolicy
from milliner.images.views import WHOLE, View
from milliner.probe.cache import EmbeddingCache
from milliner.probe.embed import recipe
from milliner.runtimes.runtime import open_runtime

_TIMED: Final = 3


@dataclass(frozen=True)
class Costs:
    """Of one picture."""

    giga_multiplications: float
    """In thousand millions."""
    milliseconds: float
    """On one core of this machine, the network alone."""

    @classmethod
    def of(cls, net: Backbone, size: int) -> "Costs":
        """For a square of that many pixels a side."""
        graph = net.onnx_file().read_bytes()
        runtime, grey = open_runtime(graph), np.full((1, size, size, 3), 128, np.uint8)
        times = []
        for _ in range(_TIMED + 1):  # the first one sets memory aside
            start = perf_counter()
            runtime.run(grey, ["embedding"])
            times.append(perf_counter() - start)
        count = multiplications(load_model_from_string(graph), size)
        return cls(round(count / 1e9, 4), round(median(times[1:]) * 1000, 1))

    def seconds(self, pictures: int) -> float:
        """For so many, on all cores."""
        return pictures * self.milliseconds / 1000 / available_cores()


def not_embedded(pictures: Dataset, net: Backbone, policy: ResizePolicy, cache: Path, view: View = WHOLE) -> int:
    """How many pictures the cache does not know."""
    missing = 0
    with EmbeddingCache.open(cache, recipe(net, policy, view)) as memory:
        for place in range(len(pictures)):
            try:
                missing += memory.get(pictures[place].sha256) is None
            except UnreadableImageError:
                continue
    return missing
