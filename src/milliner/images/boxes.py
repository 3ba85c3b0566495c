"""Boxes around what speaks for a class, from its class activation map."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.prediction import Box
from milliner.images.heatmap import surface

MAX_BOXES: Final = 50
"""More than this many of one picture are noise; the strongest are kept."""

_MOST_CELLS: Final = 32
"""Along each side; finer cells, of a map that sees small things, are averaged, since alone they are mostly noise."""

_SAMPLES: Final = 4  # of the surface, along each side of a cell
_LEVEL: Final = 0.5  # a step blurred by the network's wide view is half as high at its edge as on top

Mask = NDArray[np.bool_]


def boxes(evidence: NDArray[np.float32], label: str, size: tuple[int, int]) -> tuple[Box, ...]:
    """Finds the parts of a picture that speak for `label`, strongest first.

    A part is connected, and its evidence over half of the picture's highest (and over 0: elsewhere another class
    wins). There is none where no cell speaks for the class.

    Args:
        evidence: [h, w] cells, see `milliner.images.heatmap.class_evidence`.
        label: the class that the evidence speaks for.
        size: width and height of the picture in pixels.
    """
    evidence = _averaged(evidence)
    height, width = (side * _SAMPLES for side in evidence.shape)
    level = surface(evidence, width, height)
    mask = level > _LEVEL * max(float(level.max()), 0.0)
    groups = _groups(mask)
    parts = sorted((groups == number for number in np.unique(groups[mask])), key=lambda part: -level[part].max())
    return tuple(_box(level, part, label, size) for part in parts[:MAX_BOXES])


def _averaged(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same in squares of as many cells as leave `_MOST_CELLS` a side; what is over at the edges is a square too."""
    step = -(-max(evidence.shape) // _MOST_CELLS)
    starts = [np.arange(0, side, step) for side in evidence.shape]
    sums = np.add.reduceat(np.add.reduceat(evidence, starts[0], axis=0), starts[1], axis=1)
    counts = [np.diff(np.append(start, side)) for start, side in zip(starts, evidence.shape, strict=True)]
    return np.asarray(sums / np.outer(*counts), np.float32)


def _groups(mask: Mask) -> NDArray[np.int64]:
    """A number for each sample, the same within a connected part (by sides, not corners); 0 outside of all."""
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        padded = np.pad(numbers, 1)
        around = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
        grown = np.where(mask, np.maximum.reduce([numbers, *around]), 0)
        if np.array_equal(grown, numbers):
            return numbers
        numbers = grown


def _box(level: NDArray[np.float32], part: Mask, label: str, size: tuple[int, int]) -> Box:
    across, down = size[0] / level.shape[1], size[1] / level.shape[0]
    columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
    return Box(
        label=label,
        probability=float(1 / (1 + np.exp(-level[part].max()))),
        left=int(np.floor(columns[0] * across)),
        top=int(np.floor(rows[0] * down)),
        right=int(np.ceil((columns[-1] + 1) * across)),
        bottom=int(np.ceil((rows[-1] + 1) * down)),
    )
