"""Which pictures belong together and so on one side of a split: lookalikes, frames of a video, and a user's groups."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from milliner.core.errors import DatasetError, SettingsError
from milliner.images.ledger import FetchRow

COLUMNS: Final = ("attribution", "creator", "licence", "page", "provider", "run", "source", "title")
"""What of a picture's origin may group it."""

_LONGEST_PATTERN: Final = 500  # characters

Link = tuple[str, ...]
"""Keys of pictures that belong together."""


def components(keys: Iterable[str], links: Iterable[Link]) -> list[list[str]]:
    """The groups that links make of these keys, each sorted, in the order of their first ones.

    Whoever is linked with nobody is a group too; links to keys that are not among these count for nothing.
    """
    leaders = {key: key for key in sorted(keys)}

    def leader(key: str) -> str:
        while leaders[key] != key:
            leaders[key] = key = leaders[leaders[key]]
        return key

    for link in links:
        here = [leader(key) for key in link if key in leaders]
        for other in here[1:]:
            first, second = sorted((leader(here[0]), leader(other)))
            leaders[second] = first
    groups: dict[str, list[str]] = {}
    for key in leaders:
        groups.setdefault(leader(key), []).append(key)
    return list(groups.values())


@dataclass(frozen=True)
class Grouping:
    """What a user's ``--group`` says: a column of the ledger, or a pattern of the pictures' keys."""

    text: str
    pattern: re.Pattern[str] | None

    @classmethod
    def of(cls, text: str) -> "Grouping":
        """A column by its name; anything else is a pattern. Raises SettingsError for a text that is neither."""
        if text in COLUMNS:
            return cls(text, None)
        if not text or len(text) > _LONGEST_PATTERN:
            raise SettingsError(f"The group must be a column or a pattern of 1 to {_LONGEST_PATTERN} characters.")
        try:
            return cls(text, re.compile(text))
        except (re.error, OverflowError, RecursionError) as error:
            raise SettingsError(
                f"The group {text!r} is neither a column of the ledger ({', '.join(COLUMNS)}) nor a regular expression "
                f"({error}); a pattern such as '([^/]+)\\.rf\\.' takes the group from a picture's path."
            ) from error

    def links(self, keys: Sequence[str], fetched: Iterable[FetchRow]) -> list[Link]:
        """One for each value; raises DatasetError where no picture has any, which is most likely a misspelling."""
        found = _by_pattern(self.pattern, keys) if self.pattern else _by_column(self.text, set(keys), fetched)
        if not found:
            what = "matches the path of no picture" if self.pattern else "has no value for any picture in the ledger"
            raise DatasetError(
                f"The group {self.text!r} {what}; give one of {', '.join(COLUMNS)}, or a regular expression."
            )
        return found


def video_links(fetched: Iterable[FetchRow]) -> list[Link]:
    """The frames of each video that pictures were fetched from."""
    frames = ((row.address.partition("#")[0], row.file) for row in fetched if row.address.startswith("video:"))
    return _collected((video, file) for video, file in frames if file is not None)


def _by_pattern(pattern: re.Pattern[str], keys: Iterable[str]) -> list[Link]:
    """The first group of the match is the value, or the whole match where the pattern has none."""
    found = ((key, pattern.search(key)) for key in keys)
    values = ((match[1] if pattern.groups else match[0], key) for key, match in found if match)
    return _collected((value, key) for value, key in values if value is not None)


def _by_column(column: str, keys: set[str], fetched: Iterable[FetchRow]) -> list[Link]:
    values = ((getattr(row, column), row.file) for row in fetched if row.file in keys)
    return _collected((str(value), file) for value, file in values if value and file is not None)


def _collected(values: Iterable[tuple[str, str]]) -> list[Link]:
    links: dict[str, list[str]] = {}
    for value, key in values:
        links.setdefault(value, []).append(key)
    return [tuple(keys) for keys in links.values()]
