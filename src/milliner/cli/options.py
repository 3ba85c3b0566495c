"""Option values of the form ``name=value``, alone or several, sizes such as ``500MB``, and places that may be URLs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from milliner.core.address import is_url

if TYPE_CHECKING:
    _PlaceType = click.ParamType[Path | str]
    _PairsType = click.ParamType[Mapping[str, Any]]
    _NamingType = click.ParamType[tuple[str, str]]
    _SizeType = click.ParamType[int]
    _WordsType = click.ParamType[tuple[str, ...]]
    _SharesType = click.ParamType[tuple[float, ...]]
else:  # generic since click 8.4 only
    _PlaceType = _PairsType = _NamingType = _SizeType = _WordsType = _SharesType = click.ParamType


class Place(_PlaceType):
    """A path, or a URL as it is: as a path ``s3://bucket`` would become ``s3:/bucket``."""

    name = "path or URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Tells the two apart."""
        return value if is_url(value) else Path(value)


class Pairs(_PairsType):
    """``a=x,b=y`` as a dictionary; a value is a number where `numbers` is set. Names must differ."""

    name = "name=value,..."

    def __init__(self, *, numbers: bool = False) -> None:
        self._numbers = numbers

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Mapping[str, Any]:
        """Splits the text; wrong ones end the command as wrong usage."""
        if isinstance(value, Mapping):
            return value
        pairs: dict[str, Any] = {}
        for part in value.split(","):
            name, sign, text = part.partition("=")
            if not sign or not name.strip() or not text.strip():
                self.fail(f"{part!r} is not of the form name=value.", param, ctx)
            if name.strip() in pairs:
                self.fail(f"{name.strip()!r} is given twice.", param, ctx)
            pairs[name.strip()] = self._number(text, param, ctx) if self._numbers else text.strip()
        return pairs

    def _number(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(text)
        except ValueError:
            self.fail(f"{text!r} is not a number.", param, ctx)


def once_each(ctx: click.Context, param: click.Parameter, values: Sequence[tuple[str, Any]]) -> Mapping[str, Any]:
    """The callback of an option of ``label=value`` pairs that may come several times; wrong usage for a label twice."""
    found: dict[str, Any] = {}
    for label, value in values:
        if label in found:
            raise click.BadParameter(
                f"{label!r} is given twice." if label else "A number alone is given twice.", ctx, param
            )
        found[label] = value
    return found


class Naming(_NamingType):
    """``label=name``; the label may hold anything, since the last ``=`` parts the two."""

    name = "label=name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Splits the text; a wrong one ends the command as wrong usage."""
        label, sign, name = value.rpartition("=")
        if not sign or not label or not name:
            self.fail(f"{value!r} is not of the form label=name.", param, ctx)
        return label, name


_UNITS: Final = {"": 1, "b": 1} | {
    f"{sign}{end}": base**power for power, sign in enumerate("kmgt", 1) for end, base in (("b", 1000), ("ib", 1024))
}


class Size(_SizeType):
    """``500MB`` as a number of bytes: B, KB, MB, GB, TB by the thousand, KiB, MiB, GiB, TiB by 1024; bytes without."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Reads number and unit, in any case; a wrong one ends the command as wrong usage."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)\s*", value.lower(), re.ASCII)
        if not match or match[2] not in _UNITS or float(match[1]) * _UNITS[match[2]] < 1:
            self.fail(
                f"{value!r} is no size; write a number with B, KB, MB, GB, KiB, MiB or GiB, such as 500MB.", param, ctx
            )
        return int(float(match[1]) * _UNITS[match[2]])


class Words(_WordsType):
    """``a,b`` as words."""

    name = "word,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Splits the text; an empty word ends the command as wrong usage."""
        if not isinstance(value, str):
            return tuple(value)
        words = tuple(word.strip() for word in value.split(","))
        if not all(words):
            self.fail(f"{value!r} has an empty word; write words with commas between.", param, ctx)
        return words


class Shares(_SharesType):
    """``0.01,0.05`` as numbers above 0 and below 1."""

    name = "share,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Splits the text; what is no such number ends the command as wrong usage."""
        if not isinstance(value, str):
            return tuple(value)
        try:
            shares = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 0.01,0.05.", param, ctx)
        if not all(0 < share < 1 for share in shares):
            self.fail(f"{value!r} has a number that is not above 0 and below 1.", param, ctx)
        return shares
