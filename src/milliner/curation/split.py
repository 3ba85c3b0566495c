"""Deals pictures out to splits: by class, by seed, in the asked shares, group by group, and never twice differently."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from milliner.core.errors import DatasetError, SettingsError
from milliner.curation.groups import Link, components

DEFAULT_SPLIT: Final = {"train": 0.7, "test": 0.3}


def check_shares(shares: Mapping[str, float]) -> None:
    """Raises SettingsError unless every share is above 0 and they sum to 1."""
    if not all(share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise SettingsError(
            f"The split {dict(shares)} must have shares above 0 that sum to 1, such as train=0.7,test=0.3."
        )
    check_names(shares)


def check_names(names: Iterable[str]) -> None:
    """Raises SettingsError unless every split's name can be a file's name."""
    for name in names:
        if not name.isidentifier():
            raise SettingsError(f"The split name {name!r} must be a plain word, since files are named after it.")


def scheme(shares: Mapping[str, float], seed: int, group: str | None = None) -> str:
    """What a dealing is remembered by: with other shares, another seed or other groups it is another dealing."""
    parts = [f"{name}={share:.9g}" for name, share in sorted(shares.items())]
    return " ".join([*parts, f"seed={seed}", *([f"group={group}"] if group else [])])


@dataclass(frozen=True)
class Picture:
    """What dealing needs to know of a picture."""

    key: str
    label: str
    identity: str
    """Decides its place together with the seed, and is what it is remembered by: the sha256 of its content."""


@dataclass(frozen=True)
class Dealt:
    """The keys of each split in their packed order, and those that are in none since they would link several."""

    splits: Mapping[str, list[str]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Keys, and the splits' names as a person would put it: ``train and test``."""


def deal(
    pictures: Sequence[Picture],
    shares: Mapping[str, float],
    seed: int,
    links: Sequence[Link] = (),
    known: Mapping[str, str] | None = None,
) -> Dealt:
    """Deals pictures out so that every class is as close to the shares as the groups allow.

    Groups are dealt in an order that the seed decides, each to the split that lacks most of its classes; as long as
    there are enough groups of a class, every split gets one. The order of `pictures` does not matter.

    Args:
        pictures: with keys that differ.
        shares: of each split, summing to 1.
        seed: decides who goes where, and the order in every split.
        links: keys that belong together.
        known: the split of identities that were dealt before, who stay there. Where links tie known pictures of
            several splits together, those of the largest part stay and the others are left out, as are new ones that
            would tie them.

    Raises:
        SettingsError: the shares are none.
        DatasetError: a class has fewer pictures than there are splits.
    """
    check_shares(shares)
    _check_sizes(pictures, shares)
    table = _Table(shares, seed, {picture.key: picture for picture in pictures})
    new = table.seat_known(links, known or {})
    table.seat_new(links, new)
    return Dealt(table.splits(), dict(sorted(table.left_out.items())))


def _check_sizes(pictures: Sequence[Picture], shares: Mapping[str, float]) -> None:
    for label, count in sorted(Counter(picture.label for picture in pictures).items()):
        if count < len(shares):
            raise DatasetError(
                f"Class {label!r} has {count} usable picture(s), too few for the splits {', '.join(shares)}; "
                "add pictures or remove its folder."
            )


@dataclass
class _Table:
    """Who sits where so far."""

    shares: Mapping[str, float]
    seed: int
    pictures: Mapping[str, Picture]
    side: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Pictures by split and class."""

    def seat_known(self, links: Sequence[Link], known: Mapping[str, str]) -> set[str]:
        """Gives those that were dealt before the places they had; returns the keys of the others."""
        sides = {key: known[each.identity] for key, each in self.pictures.items() if each.identity in known}
        for group in components(sides, links):
            sizes = Counter(sides[key] for key in group)
            # Of equal parts that of the smaller split stays, which can spare it less.
            stays = min(sizes, key=lambda name: (-sizes[name], self.shares.get(name, 0.0), name))
            self._seat([key for key in group if sides[key] == stays], stays)
            self._leave_out((key for key in group if sides[key] != stays), sizes)
        return self.pictures.keys() - sides.keys()

    def seat_new(self, links: Sequence[Link], new: set[str]) -> None:
        """Seats new pictures with those that they are linked to, and deals out the groups that are all new."""
        fresh: list[list[str]] = []
        for group in components(new | self.side.keys(), links):
            names = {self.side[key] for key in group if key in self.side}
            newcomers = [key for key in group if key in new]
            if len(names) > 1:
                self._leave_out(newcomers, names)
            elif names:
                self._seat(newcomers, *names)
            else:
                fresh.append(newcomers)
        self._deal(fresh)

    def splits(self) -> dict[str, list[str]]:
        """The keys of every split, shuffled by the seed."""
        order = sorted(self.side, key=lambda key: (self._hash("order", self.pictures[key].identity), key))
        return {name: [key for key in order if self.side[key] == name] for name in self.shares}

    def _seat(self, keys: Iterable[str], split: str) -> None:
        for key in keys:
            self.side[key] = split
            self.counts[split, self.pictures[key].label] += 1

    def _leave_out(self, keys: Iterable[str], names: Iterable[str]) -> None:
        linked = set(names)
        self.left_out.update(dict.fromkeys(keys, " and ".join(name for name in self.shares if name in linked)))

    def _deal(self, groups: list[list[str]]) -> None:
        totals = Counter(self.pictures[key].label for key in [*self.side, *(key for group in groups for key in group)])
        classes = [Counter(self.pictures[key].label for key in group) for group in groups]
        remaining = Counter(label for each in classes for label in each)
        first = [min(self._hash("deal", self.pictures[key].identity) for key in group) for group in groups]
        for place in sorted(range(len(groups)), key=lambda place: (first[place], groups[place])):
            self._seat(groups[place], self._neediest(classes[place], totals, remaining))
            remaining.subtract(classes[place].keys())

    def _neediest(self, group: Counter[str], totals: Counter[str], remaining: Counter[str]) -> str:
        """The split for a group of so many of each class; `remaining` counts the groups of each that are not dealt."""
        lacking = {label: {name for name in self.shares if not self.counts[name, label]} for label in group}
        urgent = [label for label in group if remaining[label] <= len(lacking[label])]

        def need(name: str) -> tuple[int, float]:
            gaps = (
                count * (self.shares[name] - self.counts[name, label] / totals[label]) for label, count in group.items()
            )
            return sum(name in lacking[label] for label in urgent), sum(gaps)

        return max(sorted(self.shares), key=need)

    def _hash(self, what: str, identity: str) -> bytes:
        return hashlib.sha256(f"{what} {self.seed} {identity}".encode("utf-8", "surrogatepass")).digest()
