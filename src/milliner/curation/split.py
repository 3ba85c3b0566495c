"""Deals samples out to splits: by class, by seed, in the asked shares."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError, SettingsError

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


def stratified_split(labels: Sequence[str], shares: Mapping[str, float], seed: int) -> dict[str, list[int]]:
    """Places of `labels` for each split, in a shuffled order; every class is dealt out in the given shares.

    The same labels, shares and seed give the same split. Raises DatasetError where a class has fewer samples
    than there are splits, since then one split would not have it.
    """
    check_shares(shares)
    random = np.random.default_rng(seed)
    dealt: dict[str, list[int]] = {name: [] for name in shares}
    for label, places in sorted(_places(labels).items()):
        if len(places) < len(shares):
            raise DatasetError(
                f"Class {label!r} has {len(places)} usable picture(s), too few for the splits {', '.join(shares)}; "
                "add pictures or remove its folder."
            )
        random.shuffle(places)
        ends = np.cumsum(_counts(len(places), list(shares.values())))
        for name, part in zip(shares, np.split(places, ends[:-1]), strict=True):
            dealt[name].extend(int(place) for place in part)
    for places_of_split in dealt.values():
        random.shuffle(places_of_split)
    return dealt


def _places(labels: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    return {label: np.array(found) for label, found in places.items()}


def _counts(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers close to the shares (largest remainder), none of them 0."""
    exact = [share * total for share in shares]
    counts = [max(1, int(value)) for value in exact]
    while sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        gaps = [
            (value - count) * step if count + step >= 1 else -np.inf for value, count in zip(exact, counts, strict=True)
        ]
        counts[int(np.argmax(gaps))] += step
    return counts
