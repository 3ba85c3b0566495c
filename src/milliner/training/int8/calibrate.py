"""Finds the range of every value of a network over calibration pictures, in one pass and flat memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from milliner.runtimes.runtime import open_runtime
from milliner.training.int8.layout import Layout
from milliner.training.int8.rewrite import LEVELS, Grid

_NOTHING: Final = 1e-30  # a range too small to be divided is none
_BINS: Final = 2048
_MANY: Final = 2**15
_SHARES: Final = np.linspace(0.3, 1.0, 71)  # of the widest range, among which the least error is looked for
_PERCENTILE: Final = 99.99


class Histogram:
    """Counts of a value's numbers in equal bins, which widen as larger numbers come."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 0.0  # 0 is always in the range
        self.counts = np.zeros(_BINS, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """Counts `values`, of very many every 13th; the range is that of all."""
        low, high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if high - low < _NOTHING:
            return
        if (low, high) != (self.low, self.high):
            moved, _ = np.histogram(self.centres, _BINS, (low, high), weights=self.counts)
            self.low, self.high, self.counts = low, high, moved.astype(np.int64)
        counted = values.ravel()[:: 13 if values.size > _MANY else 1]  # a prime leaves out no row and no channel
        self.counts += np.histogram(counted, _BINS, (low, high))[0]

    @property
    def centres(self) -> NDArray[np.float64]:
        """[bins] the number that stands for each bin."""
        width = (self.high - self.low) / _BINS
        return np.asarray(self.low + width * (np.arange(_BINS) + 0.5), np.float64)


def widest(found: Histogram) -> tuple[float, float]:
    """From the least to the greatest number that came."""
    return found.low, found.high


def percentile(found: Histogram) -> tuple[float, float]:
    """The same without the most extreme ten-thousandth on either side."""
    share = np.cumsum(found.counts) / max(found.counts.sum(), 1)
    low, high = np.searchsorted(share, [1 - _PERCENTILE / 100, _PERCENTILE / 100]).clip(0, _BINS - 1)
    return min(float(found.centres[low]), 0.0), max(float(found.centres[high]), 0.0)


def least_error(found: Histogram) -> tuple[float, float]:
    """The share of the widest range whose rounding and clipping together have the least mean square."""
    centres, errors = found.centres, []
    for share in _SHARES:
        low, high = found.low * share, found.high * share
        step = max((high - low) / LEVELS, 1e-12)
        rounded = np.rint(centres.clip(low, high) / step) * step
        errors.append(float(found.counts @ (centres - rounded) ** 2))
    best = float(_SHARES[int(np.argmin(errors))])
    return found.low * best, found.high * best


RULES: Final[Mapping[str, Callable[[Histogram], tuple[float, float]]]] = {
    "widest": widest,
    "percentile": percentile,
    "least error": least_error,
}
"""How a range is taken from what came."""


@dataclass(frozen=True)
class Calibration:
    """What came of every value that is to be quantised."""

    layout: Layout
    histograms: Mapping[str, Histogram]

    def grids(self, rule: str) -> dict[str, Grid]:
        """A grid for every value by one of `RULES`; a pooled value has that of what it was pooled from."""
        ranges = {
            name: RULES[rule](self.histograms[self.layout.aliases.get(name, name)]) for name in self.layout.values
        }
        return {name: Grid.of(*found) for name, found in ranges.items()}


def calibrate(model: ModelProto, layout: Layout, squares: Iterable[NDArray[np.uint8]]) -> Calibration:
    """Runs `model` over uint8 RGB pictures [height, width, 3] and counts every value of `layout`."""
    watched = ModelProto()
    watched.CopyFrom(model)
    shown = {value.name for value in model.graph.output}
    given = {value.name for value in model.graph.input}
    asked = [name for name in layout.values if name not in given]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in asked if name not in shown
    )
    runtime = open_runtime(watched.SerializeToString())
    histograms = {name: Histogram() for name in layout.values}
    for square in squares:
        for name, values in runtime.run(square[None], asked).items():
            histograms[name].add(values)
    return Calibration(layout, histograms)
