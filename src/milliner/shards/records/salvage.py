"""Salvages the whole records of a damaged ``.rec``."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.core.progress import Progress
from milliner.shards.format import Damage
from milliner.shards.mapped import MappedFile
from milliner.shards.records.damage import explained, unreadable_beside
from milliner.shards.records.framing import BrokenRecordError, end_of, read
from milliner.shards.records.listing import Listing
from milliner.shards.records.scan import magics, stretches
from milliner.shards.records.sidecar import damage_beside, damaged_sums, own_sums, read_names, sound_sums
from milliner.shards.records.writer import writing
from milliner.shards.repair import Repaired
from milliner.shards.sums import Sums


@dataclass(frozen=True)
class _Whole:
    """A record that can be kept, and its key where that is known."""

    start: int
    end: int
    key: str | None = None


def salvage(path: Path, *, into: Path, progress: Progress) -> Repaired:
    """Writes the whole records of `path` into a new record file; see `milliner.shards.repair`."""
    file = MappedFile(path)
    listing = Listing(path, file)
    names, lost = _names(path)
    kept = 0
    with progress("repair", len(file)) as advance, writing(into.parent, into.stem, names) as writer:
        for found in _found(path, file, listing):
            if isinstance(found, Damage):
                lost.append(found)
                continue
            framed = file.read(found.start, found.end)
            record = read(framed, 0)
            key = listing.key_of(record.id, kept) if found.key is None else found.key
            writer.add_framed(replace(record, key=key), framed)
            kept += 1
            advance(found.end - found.start)
        if not kept:
            raise DatasetError(f"{path} holds no whole record that could be salvaged; restore it from a copy.")
    return Repaired(kept, tuple(lost), writer.files)


def _names(path: Path) -> tuple[tuple[str, ...], list[Damage]]:
    """The classes' names, from the checksums where they are sound; and where they are lost, that they are."""
    sums = sound_sums(path)
    if sums is not None and sums.sound("names"):
        return sums.names, []
    try:
        return read_names(path), []
    except DatasetError:
        return (), []  # told of among the small files


def _found(path: Path, file: MappedFile, listing: Listing) -> Iterator[_Whole | Damage]:
    sums = sound_sums(path)
    yield from damaged_sums(path)
    if sums is not None:
        places = _places(file, sums)
        if (places >= 0).any() or own_sums(path) is not None:  # else they may be of a file that was here before
            yield from damage_beside(path, sums)
            yield from _by_sums(path, file, sums, places)
            return
    yield from unreadable_beside(path, listing)
    for stretch in stretches(file):
        if stretch.what:
            yield from listing.lost(stretch)
        else:
            yield _Whole(stretch.start, stretch.end)
    yield from listing.behind_the_end()


def _by_sums(path: Path, file: MappedFile, sums: Sums, places: NDArray[np.int64]) -> Iterator[_Whole | Damage]:
    keys_known = sums.sound("keys")
    for number, (position, size, _, _) in enumerate(sums.rows()):
        key, place = sums.key(number) if keys_known else None, int(places[number])
        if place >= 0:
            yield _Whole(place, place + size, key)
        else:
            yield Damage(path, *explained(file, position, position + size, key or ""))


def _places(file: MappedFile, sums: Sums) -> NDArray[np.int64]:
    """Where each record of the checksums is found, first of all where it was written; -1 where it is not."""
    places, wanted = np.full(len(sums), -1, np.int64), defaultdict[tuple[int, int], list[int]](list)
    gaps, end = [], 0
    for number, (position, size, crc, _) in enumerate(sums.rows()):
        if position + size <= len(file) and file.crc32(position, position + size) == crc:
            places[number] = position
            if position > end:
                gaps.append((end, position))
            end = position + size
        else:
            wanted[size, crc].append(number)
    if wanted:
        for start, stop in (*gaps, (end, len(file))):
            for place, number in _moved(file, start, stop, wanted):
                places[number] = place
    return places


def _moved(
    file: MappedFile, start: int, stop: int, wanted: dict[tuple[int, int], list[int]]
) -> Iterator[tuple[int, int]]:
    """The records that lie whole in a stretch where they were not written, as where bytes went missing before them."""
    free, sizes = start, {size for size, _ in wanted}
    for place in magics(file, start, stop):
        if place < free:
            continue
        try:
            end = end_of(file.bytes, place)
        except BrokenRecordError:
            continue
        size = end - place
        numbers = wanted.get((size, file.crc32(place, end)), []) if size in sizes else []
        if numbers and end <= stop:
            free = end
            yield place, numbers.pop(0)
