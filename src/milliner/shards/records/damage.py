"""Finds what is not as it was written in a record file and beside it."""

from array import array
from collections.abc import Iterator
from pathlib import Path

from milliner.core.errors import DatasetError
from milliner.shards.format import Damage
from milliner.shards.mapped import MappedFile
from milliner.shards.records.framing import BrokenRecordError, check
from milliner.shards.records.index import PathList
from milliner.shards.records.listing import Listing
from milliner.shards.records.scan import stretches
from milliner.shards.records.sidecar import damage_beside, damaged_sums, read_names, sound_sums
from milliner.shards.sums import Sums


def damage(path: Path, file: MappedFile) -> Iterator[Damage | None]:
    """One item for each record, None for a whole one, and more for damage elsewhere.

    By the checksums every flipped bit is found, of the small files too. Without checksums, or where they are
    damaged themselves, a record is whole where its frame holds together and its picture can be decoded.
    """
    yield from damaged_sums(path)
    sums = sound_sums(path)
    if sums is None:
        yield from _unlike_records(path, file)
    else:
        yield from damage_beside(path, sums)
        yield from _compared(path, file, sums)


def _compared(path: Path, file: MappedFile, sums: Sums) -> Iterator[Damage | None]:
    """Compares every record with its checksum."""
    end = 0
    for place, (position, size, crc, _) in enumerate(sums.rows()):
        if position != end:
            yield Damage(path, end, "", f"{position - end} bytes lie between two records")
        end = position + size
        whole = end <= len(file) and file.crc32(position, end) == crc
        yield None if whole else Damage(path, *explained(file, position, end, sums.key(place)))
    if len(file) > end:
        yield Damage(path, end, "", f"{len(file) - end} bytes lie behind the last record")


def explained(file: MappedFile, position: int, end: int, key: str) -> tuple[int, str, str]:
    """Offset, record and what is wrong, as closely as the frame tells it."""
    if end > len(file):
        missing = end - max(position, len(file))
        return position, key, f"{missing} of its {end - position} bytes are missing, the file ends before"
    try:
        if check(file.bytes, position) != end:
            return position, key, "its length is damaged"
    except BrokenRecordError as error:
        return error.place if position <= error.place < end else position, key, error.what
    return position, key, "its bytes are not as they were written"


def _unlike_records(path: Path, file: MappedFile) -> Iterator[Damage | None]:
    """Goes by the frames and the pictures, and compares the index with what is found."""
    listing = Listing(path, file)
    yield from unreadable_beside(path, listing)
    starts, lost = array("q"), []
    for stretch in stretches(file):
        if stretch.what:
            lost.append(stretch)
            yield from listing.lost(stretch)
        else:
            starts.append(stretch.start)
            yield None
    yield from listing.behind_the_end()
    yield from listing.misfits(starts, lost)


def unreadable_beside(path: Path, listing: Listing) -> Iterator[Damage]:
    """The small files that cannot be used, as far as that shows without checksums."""
    if listing.error:
        yield Damage(path.with_suffix(".idx"), 0, "", listing.error)
    try:
        read_names(path)
    except DatasetError as error:
        yield Damage(path.with_suffix(".labels"), 0, "", str(error))
    try:
        if path.with_suffix(".lst").exists():
            PathList(path.with_suffix(".lst")).check()
    except DatasetError as error:
        yield Damage(path.with_suffix(".lst"), 0, "", str(error))
