"""The learning curve that training noted in the model file, as the geometry of a chart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from milliner.evaluation.formats import count, percent

_MOST_POINTS: Final = 100
_LONGEST_SENTENCE: Final = 1000
_LEFT: Final = 62
_TOP: Final = 10
_WIDTH: Final = 440
_HEIGHT: Final = 210
_STEPS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_APART: Final = 44  # units that a number below the axis needs


@dataclass(frozen=True)
class Tick:
    """A number beside an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Row:
    """What so many pictures of each class gave, as written in the table."""

    pictures: str
    accuracy: str
    interval: str
    without_init: str
    """Empty where it was not measured."""


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy against the number of training pictures of each class, in the units of its SVG."""

    path: str
    """The `d` of an SVG path, as `band` is."""
    band: str
    """Between the low and the high ends of the intervals."""
    points: tuple[tuple[float, float], ...]
    without_init: str
    """The path of heads that began with nothing; empty where the others did as well."""
    heights: tuple[Tick, ...]
    widths: tuple[Tick, ...]
    rows: tuple[Row, ...]
    """The same in words."""
    sentence: str
    """What more pictures would likely buy; empty where training did not say."""
    left: int = _LEFT
    right: int = _LEFT + _WIDTH
    bottom: int = _TOP + _HEIGHT
    width: int = _LEFT + _WIDTH + 20


def learning_curve(metrics: Mapping[str, Any]) -> LearningCurve | None:
    """The chart of `metrics.learning_curve`; None where the model file has none, or none that can be drawn."""
    found = metrics.get("learning_curve")
    if not isinstance(found, dict):
        return None
    names = ("pictures_per_class", "accuracy", "low", "high", *(["without_init"] if "without_init" in found else []))
    columns = [_numbers(found.get(name)) for name in names]
    if not 2 <= len(columns[0]) <= _MOST_POINTS or len({len(column) for column in columns}) != 1:
        return None
    table = np.array(sorted(zip(*columns, strict=True)), np.float64)
    sizes, shares = table[:, 0], table[:, 1:]
    if sizes[0] <= 0 or (np.diff(sizes) <= 0).any() or (shares < 0).any() or (shares > 1).any():
        return None
    sentence = found.get("sentence")
    return _drawn(sizes, shares, sentence[:_LONGEST_SENTENCE] if isinstance(sentence, str) else "")


def _drawn(sizes: np.ndarray[Any, Any], shares: np.ndarray[Any, Any], sentence: str) -> LearningCurve:
    step = next((step for step in _STEPS if np.ptp(shares) / step <= 5), _STEPS[-1])
    floor = min(math.floor(round(float(shares.min()) / step, 6)) * step, 1 - step)
    top = min(1.0, max(math.ceil(round(float(shares.max()) / step, 6)) * step, floor + step))
    across = np.log(sizes)
    x = np.round(_LEFT + _WIDTH * (across - across[0]) / (across[-1] - across[0]), 1)
    accuracy, low, high, *plain = np.round(_TOP + _HEIGHT * (top - shares) / (top - floor), 1).T
    marks = round((top - floor) / step)
    digits = 1 if step < 0.01 else 0
    return LearningCurve(
        path=_line(x, accuracy),
        band=f"{_line(x, high)}L{_line(x[::-1], low[::-1])[1:]}Z",
        points=tuple(zip(x.tolist(), accuracy.tolist(), strict=True)),
        without_init=_line(x, plain[0]) if plain else "",
        heights=tuple(
            Tick(round(_TOP + _HEIGHT * (1 - number / marks), 1), f"{(floor + number * step) * 100:.{digits}f} %")
            for number in range(marks + 1)
        ),
        widths=tuple(_spaced([Tick(at, count(int(size))) for at, size in zip(x.tolist(), sizes, strict=True)])),
        rows=tuple(_row(int(size), [percent(share) for share in row]) for size, row in zip(sizes, shares, strict=True)),
        sentence=sentence,
    )


def _row(size: int, written: list[str]) -> Row:
    accuracy, low, high, *plain = written
    return Row(count(size), accuracy, f"{low} to {high}", plain[0] if plain else "")


def _spaced(ticks: Sequence[Tick]) -> list[Tick]:
    """The last one, and of the others those that stand apart from it and from each other."""
    kept = [ticks[-1]]
    for tick in reversed(ticks[:-1]):
        if kept[-1].at - tick.at >= _APART:
            kept.append(tick)
    return kept[::-1]


def _line(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> str:
    return "M" + "L".join(f"{across:g},{down:g}" for across, down in zip(x.tolist(), y.tolist(), strict=True))


def _numbers(found: Any) -> list[float]:
    """A list of finite numbers; empty for anything else."""
    if not isinstance(found, list):
        return []
    numbers = [
        float(each)
        for each in found
        if isinstance(each, int | float) and not isinstance(each, bool) and abs(each) < 1e9
    ]
    return numbers if len(numbers) == len(found) else []
