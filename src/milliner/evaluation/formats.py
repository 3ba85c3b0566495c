"""How the report writes numbers."""

import math
from collections.abc import Callable, Mapping
from typing import Final

NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_NARROW: Final = "\N{NARROW NO-BREAK SPACE}"


def percent(value: float) -> str:
    """0.9714 as "97.1 %"."""
    return f"{points(value)}{NO_BREAK}%"


def round_percent(value: float) -> str:
    """A share that somebody chose: 0.05 as "5 %", 0.001 as "0.1 %"."""
    return f"{value * 100:.4g}{NO_BREAK}%"


def points(value: float) -> str:
    """0.9714 as "97.1"; exactly none and all are "0" and "100"."""
    return f"{value * 100:.0f}" if value in (0, 1) else _short_of_one(value, 100, 1)


def share(value: float) -> str:
    """A figure of 0 to 1 with three digits."""
    return _short_of_one(value, 1, 3)


def signed(value: float) -> str:
    """A difference with its sign and three digits."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def written_as(value: float, how: str) -> str:
    """A number by one of the other ways, which is named."""
    return FILTERS[how](value)


def count(number: int) -> str:
    """12345 as "12 345"."""
    return f"{number:,}".replace(",", _NARROW)


def pictures(number: int) -> str:
    """A number of pictures, in the singular where it is one."""
    return f"{count(number)}{NO_BREAK}picture{'' if number == 1 else 's'}"


def _short_of_one(value: float, scale: int, digits: int) -> str:
    """Rounds, but never up to the whole: 100.0 % is said only of all."""
    step = 10**digits
    rounded = round(value * scale * step)
    if value < 1 and rounded == scale * step:
        rounded = math.floor(value * scale * step)
    return f"{rounded / step:.{digits}f}"


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "percent": percent,
    "points": points,
    "round_percent": round_percent,
    "share": share,
    "count": count,
    "pictures": pictures,
    "signed": signed,
    "written_as": written_as,
}
