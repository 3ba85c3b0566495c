"""How the cells of a map become one row of numbers, and which numbers of an embedding are of which map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import SettingsError

Statistic = Literal["average", "generalised-mean", "maximum"]

OWN: Final[tuple[Statistic, ...]] = ("generalised-mean",)
"""Of most backbones."""

EVERY: Final[tuple[Statistic, ...]] = ("average", "generalised-mean", "maximum")

POOLINGS: Final[Mapping[str, tuple[Statistic, ...]]] = {
    "average": ("average",),
    "generalised-mean": OWN,
    "maximum": ("maximum",),
    "both": ("average", "maximum"),
}
"""What there is to choose from, by name: the statistics whose rows stand behind one another."""


@dataclass(frozen=True)
class Block:
    """Numbers of an embedding that stand behind one another: one map, pooled in one way."""

    map: Literal["features", "detail"]
    channels: int
    statistic: Statistic
    norm: str
    """The value of the graph, [N, 1], that the pooled map is divided by."""


def blocks(statistics: Sequence[Statistic], width: int, detail_width: int) -> tuple[Block, ...]:
    """The parts of an embedding, in their order: the features' first, so that a head may see them alone."""
    widths: dict[Literal["features", "detail"], int] = {"features": width, "detail": detail_width}
    return tuple(
        Block(name, channels, statistic, f"{name}{mark(statistics, statistic)}.norm")
        for name, channels in widths.items()
        for statistic in statistics
        if channels
    )


def mark(statistics: Sequence[Statistic], statistic: Statistic) -> str:
    """What the names of a statistic's values have behind the map's, where there are several."""
    return f".{statistic}" if len(statistics) > 1 else ""


def columns(whole: Sequence[Block], part: Sequence[Block]) -> NDArray[np.int64]:
    """Where the numbers of an embedding stand in another one that has all its blocks and more."""
    ends = np.cumsum([block.channels for block in whole])
    places = {(block.map, block.statistic): int(end) for block, end in zip(whole, ends, strict=True)}
    spans = [(places[block.map, block.statistic], block.channels) for block in part]
    return np.concatenate([np.arange(end - channels, end) for end, channels in spans])


def name_of(statistics: Sequence[Statistic]) -> str:
    """The pooling's name; the statistics' own where it has none."""
    names = {value: name for name, value in POOLINGS.items()}
    return names.get(tuple(statistics), " and ".join(statistics))


def check_pooling(name: str) -> None:
    """Raises SettingsError where there is no such pooling."""
    if name not in POOLINGS:
        raise SettingsError(f"There is no pooling {name!r}; choose one of: {', '.join(POOLINGS)}.")
