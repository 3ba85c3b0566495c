"""Colours of the drawn scenes, and small draws from a random generator."""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np

from milliner.sources.drawing.pen import Colour

T = TypeVar("T")

BRIGHT: Final[tuple[Colour, ...]] = (
    (244, 202, 32),
    (240, 240, 234),
    (204, 44, 36),
    (34, 88, 172),
    (240, 122, 28),
    (44, 132, 72),
    (148, 152, 158),
)
"""Yellow, white, red, blue, orange, green, grey: helmets come in them, and so do hats, buckets and signs."""

SKINS: Final[tuple[Colour, ...]] = (
    (246, 214, 190),
    (234, 192, 160),
    (216, 168, 130),
    (190, 138, 98),
    (156, 106, 72),
    (120, 78, 52),
    (84, 54, 38),
    (62, 40, 30),
)
HAIRS: Final[tuple[Colour, ...]] = (
    (24, 20, 20),
    (44, 32, 26),
    (78, 52, 34),
    (118, 80, 46),
    (168, 124, 70),
    (214, 178, 112),
    (150, 70, 36),
    (150, 148, 146),
    (196, 192, 186),
    (34, 26, 22),
    (60, 42, 30),
)
CLOTHS: Final[tuple[Colour, ...]] = (
    (38, 46, 66),
    (58, 62, 68),
    (94, 98, 100),
    (66, 84, 116),
    (112, 92, 70),
    (76, 82, 58),
    (132, 40, 40),
    (196, 192, 182),
    (30, 30, 32),
    (156, 124, 82),
)
REFLECTIVE: Final[tuple[Colour, ...]] = ((214, 236, 48), (250, 120, 30), (244, 86, 40), (238, 220, 40))


def pick(rng: np.random.Generator, values: Sequence[T]) -> T:
    """One of the values, all alike likely."""
    return values[int(rng.integers(len(values)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below 1) or lighter (above)."""
    return tuple(min(255, round(channel * factor)) for channel in colour[:3])


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first[:3], second[:3], strict=True))


def varied(rng: np.random.Generator, colour: Colour, spread: float = 12.0) -> Colour:
    """A colour nearby: another brightness, and each channel a little off."""
    brightness = float(rng.normal(0, spread))
    noise = rng.normal(brightness, spread / 2, 3)
    return tuple(int(min(255.0, max(0.0, a + b))) for a, b in zip(colour, noise.tolist(), strict=True))


def faded(colour: Colour, opacity: float) -> Colour:
    """The colour as translucent ink, opacity 0..1."""
    return (*colour[:3], round(255 * opacity))
