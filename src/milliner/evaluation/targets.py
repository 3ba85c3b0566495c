"""Where an evaluation may write: never over what it reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from milliner.core.address import is_url
from milliner.core.errors import SettingsError
from milliner.shards.patterns import expanded, is_pattern

_BESIDE: Final = (".rec", ".idx", ".lst", ".labels", ".sums")
"""Endings of what lies beside a record file and belongs to it."""


@dataclass(frozen=True)
class Source:
    """Something that an evaluation reads."""

    what: str
    given: Any
    """A path or an address; what is open already is not looked at."""

    def holds(self, target: Path) -> bool:
        """Whether writing `target` would change it."""
        if not isinstance(self.given, str | Path) or is_url(str(self.given)):
            return False
        return any(_holds(place, target) for place in _places(Path(self.given)))


def check_targets(report: str | Path | None, card: str | Path | None, *sources: Source) -> None:
    """Raises SettingsError where the page or the card would be written over a source, each other, or a folder."""
    targets = [
        (option, Path(given), example)
        for option, given, example in (("report", report, "report.html"), ("card", card, "card.md"))
        if given is not None
    ]
    for option, target, example in targets:
        if target.is_dir():
            raise SettingsError(f"The {option} {target} is a folder; give a file name such as {target / example}.")
        for source in sources:
            if source.holds(target):
                raise SettingsError(f"The {option} {target} would be written over {source.what}; give another name.")
    if len(targets) == 2 and _same(targets[0][1], targets[1][1]):
        raise SettingsError(f"The report and the card are both to be {targets[0][1]}; give two names.")


def _places(given: Path) -> Iterator[Path]:
    """The files and folders that a dataset's or model's path stands for."""
    if not given.exists() and is_pattern(str(given)):
        yield from expanded(str(given))
    else:
        yield given


def _holds(place: Path, target: Path) -> bool:
    if place.is_dir():
        return target.resolve().is_relative_to(place.resolve())
    beside = [place.with_suffix(end) for end in _BESIDE] if place.suffix == ".rec" else []
    return any(_same(each, target) for each in (place, *beside))


def _same(one: Path, other: Path) -> bool:
    """Also where links, or a disk that does not tell upper from lower case, lead to the same file."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))
