"""Which pictures of a given split have been seen in another one: the same, nearly the same, or of the same scene."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal

from milliner.curation.compare import Pair

Level = Literal["exact", "near duplicate", "sibling"]
LEVELS: Final[tuple[Level, ...]] = ("exact", "near duplicate", "sibling")
"""The worst first."""


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
    """The smaller one, whose pictures are counted; of equal ones the later."""
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
    order = {name: number for number, name in enumerate(splits)}
    found = []
    for one, two in combinations(splits, 2):
        split, other = sorted((one, two), key=lambda name: (len(splits[name]), -order[name]))
        found.append(_between(split, other, len(splits[split]), links, home))
    return tuple(found)


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
