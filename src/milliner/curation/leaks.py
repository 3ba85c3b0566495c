"""Which pictures of a given split have been seen in another one: the same, nearly the same, or of the same scene."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal

from milliner.curation.compare import Pair
from milliner.curation.groups import components

Level = Literal["exact", "near duplicate", "sibling"]
LEVELS: Final[tuple[Level, ...]] = ("exact", "near duplicate", "sibling")
"""The worst first."""

_LEARNT_FROM: Final = "train"


@dataclass(frozen=True)
class Leak:
    """A picture of one split, and its closest likeness in the other."""

    file: str
    split: str
    other_file: str
    other: str
    level: Level
    cosine: float
    """1 for the same bytes; 0 where only the files were looked at."""


@dataclass(frozen=True)
class Leaks:
    """What crosses from one split to another."""

    split: str
    """The later one as given, whose pictures are counted; never ``train``, which the others are tested against."""
    other: str
    pictures: int
    """Of `split`."""
    found: tuple[Leak, ...]
    """One for each picture that has a likeness, the worst first."""

    @property
    def counts(self) -> dict[Level, int]:
        """How many pictures of `split` have at worst such a likeness."""
        counted = Counter(leak.level for leak in self.found)
        return {level: counted[level] for level in LEVELS}

    @property
    def crossing(self) -> int:
        """How many pictures of `split` have any likeness in `other`."""
        return len(self.found)

    def share(self, level: Level) -> float:
        """What part of the split's pictures that is, 0 to 1."""
        return self.counts[level] / self.pictures if self.pictures else 0.0

    def to_json(self) -> dict[str, Any]:
        """The shape within `check --splits --json`."""
        return {
            "split": self.split,
            "other": self.other,
            "pictures": self.pictures,
            "counts": dict(self.counts),
            "shares": {level: round(self.share(level), 4) for level in LEVELS},
            "leaks": [
                {"file": leak.file, "other_file": leak.other_file, "level": leak.level, "cosine": leak.cosine}
                for leak in self.found
            ],
        }


def leaks(
    splits: Mapping[str, Sequence[str]], copies: Iterable[Sequence[str]], pairs: Iterable[Pair]
) -> tuple[Leaks, ...]:
    """What crosses between any two splits.

    Args:
        splits: the keys of each one's pictures; no key stands in two.
        copies: groups of keys with the same bytes.
        pairs: of keys that look alike, at least for one of each group of copies.
    """
    copied = [tuple(group) for group in copies]
    twins = {key: group for group in copied for key in group}
    links: list[tuple[str, str, Level, float]] = [
        (first, second, "exact", 1.0) for group in copied for first, second in combinations(group, 2)
    ]
    for pair in pairs:
        for first in twins.get(pair.first, (pair.first,)):
            links += [(first, second, pair.kind, pair.cosine) for second in twins.get(pair.second, (pair.second,))]
    home = {key: name for name, keys in splits.items() for key in keys}
    links += _by_way_of_others(home, links)
    found = []
    for one, two in combinations(splits, 2):
        other, split = (two, one) if two == _LEARNT_FROM else (one, two)
        found.append(_between(split, other, len(splits[split]), links, home))
    return tuple(found)


def _by_way_of_others(
    home: Mapping[str, str], links: Sequence[tuple[str, str, Level, float]]
) -> list[tuple[str, str, Level, float]]:
    """Pictures that are the same by way of a third one, such as the frames of a burst: only the likest are compared."""
    same = [link for link in links if link[2] != "sibling"]
    nearest: dict[str, float] = {}
    for first, second, _, cosine in same:
        for key in (first, second):
            nearest[key] = max(cosine, nearest.get(key, -1.0))
    found: list[tuple[str, str, Level, float]] = []
    for group in components(nearest, [(first, second) for first, second, _, _ in same]):
        members: dict[str, str] = {}
        for key in group:
            members.setdefault(home.get(key, ""), key)
        found += [
            (key, there, "near duplicate", nearest[key])
            for key in group
            for name, there in members.items()
            if name != home.get(key, "")
        ]
    return found


def _between(
    split: str, other: str, pictures: int, links: list[tuple[str, str, Level, float]], home: Mapping[str, str]
) -> Leaks:
    worst: dict[str, Leak] = {}
    for first, second, level, cosine in links:
        for here, there in ((first, second), (second, first)):
            if home.get(here) == split and home.get(there) == other:
                leak = Leak(here, split, there, other, level, cosine)
                if here not in worst or _order(leak) < _order(worst[here]):
                    worst[here] = leak
    return Leaks(split, other, pictures, tuple(sorted(worst.values(), key=_order)))


def _order(leak: Leak) -> tuple[int, float, str, str]:
    return LEVELS.index(leak.level), -leak.cosine, leak.file, leak.other_file
