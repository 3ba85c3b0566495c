"""Finds the records of a damaged file by their frames alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from milliner.core.errors import UnreadableImageError
from milliner.core.parallel import ordered_map
from milliner.images.decode import opened, upright_grey
from milliner.shards.mapped import MappedFile
from milliner.shards.records.framing import MAGIC, STARTS, BrokenRecordError, Buffer, check, flag_at, read

_GLANCE: Final = 64  # pixels at which a picture is decoded to see that it can be
_STEP: Final = 2**20  # bytes that are searched at once


@dataclass(frozen=True)
class Stretch:
    """A part of the file: a record, or what lies from a damaged place to where the next record begins."""

    start: int
    end: int
    what: str = ""
    """What is wrong with it; empty for a whole record."""
    place: int = 0
    """Where that shows, in bytes from the file's beginning."""


def stretches(file: MappedFile) -> Iterator[Stretch]:
    """The whole file in stretches; a record counts as whole where its frame is, and its picture can be decoded."""

    def looked_at(stretch: Stretch) -> Stretch:
        reason = "" if stretch.what else undecodable(file.bytes, stretch.start)
        return Stretch(stretch.start, stretch.end, reason, stretch.start) if reason else stretch

    return ordered_map(looked_at, framed_stretches(file))


def framed_stretches(file: MappedFile) -> Iterator[Stretch]:
    """As `stretches`, without a look at the pictures."""
    content, place = file.bytes, 0
    while place < len(content):
        try:
            stretch = _unless_swallowing(file, Stretch(place, check(content, place)))
        except BrokenRecordError as error:
            stretch = Stretch(place, next_start(file, place), error.what, error.place)
        file.touch(stretch.end - place)
        yield stretch
        place = stretch.end


def _unless_swallowing(file: MappedFile, stretch: Stretch) -> Stretch:
    """A record that lost bytes reaches into the next one, which is then taken for the damage that it is not."""
    if stretch.end == len(file) or file.bytes[stretch.end : stretch.end + len(MAGIC)] == MAGIC:
        return stretch
    for place in magics(file, stretch.start + 1, stretch.end):
        if flag_at(file.bytes, place) in STARTS and is_whole(file.bytes, place):
            return Stretch(stretch.start, place, "bytes of it are missing", stretch.start)
    return stretch


def undecodable(content: Buffer, position: int) -> str:
    """Why the picture of a whole record cannot be decoded; empty where it can."""
    try:
        with opened(read(content, position).encoded) as image:
            upright_grey(image, _GLANCE)
    except UnreadableImageError as error:
        return f"its picture cannot be decoded ({error.reason})"
    return ""


def next_start(file: MappedFile, damaged: int) -> int:
    """Where the next record begins behind a damaged one, or the file's end.

    Everywhere else but at a distance of a multiple of 4, as where bytes were lost, it must also be whole.
    """
    for place in magics(file, damaged + 1):
        if flag_at(file.bytes, place) in STARTS and ((place - damaged) % 4 == 0 or is_whole(file.bytes, place)):
            return place
    return len(file)


def is_whole(content: Buffer, position: int) -> bool:
    """Whether a whole frame begins there."""
    try:
        check(content, position)
    except BrokenRecordError:
        return False
    return True


def magics(file: MappedFile, start: int, stop: int | None = None) -> Iterator[int]:
    """Where the magic begins from `start` up to `stop`, by default the file's end, at any alignment."""
    last = len(file) if stop is None else stop
    for step in range(start, last, _STEP):
        file.touch(_STEP)
        end = min(step + _STEP, last) + len(MAGIC) - 1
        place = file.bytes.find(MAGIC, step, end)
        while place >= 0:
            yield place
            place = file.bytes.find(MAGIC, place + 1, end)
