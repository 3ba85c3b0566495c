"""Which pictures are near each other, among many: in blocks, so that the memory does not grow with their square."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 512
"""New pictures that are compared at once: some sixteen megabytes of cosines."""

_OTHERS_AT_ONCE: Final = 8192
_HASHES_AT_ONCE: Final = 1024
_FEW: Final = 4  # nearest ones of a picture that are worth a closer look, however near they are
_MANY: Final = 8  # of those that are certainly near

Near = tuple[int, int, float]
"""A new picture, another one by its place among all, and how near they are."""


def nearest(new: NDArray[np.int64], vectors: NDArray[np.float16], worth: float, near: float) -> Iterator[list[Near]]:
    """For each `BLOCK` of new pictures those that come before them and are near by the cosine.

    Of each picture the four nearest of at least `worth`, and the eight nearest of at least `near`.

    Args:
        new: the places of the new pictures among all, ascending, behind all that are not new.
        vectors: [n, width] of all pictures, each of length 1.
        worth: a cosine.
        near: a higher one.
    """
    for start in range(0, len(new), BLOCK):
        places = new[start : start + BLOCK]
        block = vectors[places].astype(np.float32)
        end = int(places[-1])
        cosines, others = _tops(block, vectors[:end], places)
        wanted = (cosines >= near) | ((cosines >= worth) & (np.arange(_MANY) < _FEW))
        rows, columns = np.nonzero(wanted)
        yield [
            (int(places[row]), int(others[row, column]), float(cosines[row, column]))
            for row, column in zip(rows, columns, strict=True)
        ]


def _tops(
    block: NDArray[np.float32], vectors: NDArray[np.float16], places: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """[block, 8] the highest cosines with what comes before each row's place, falling, and where they are."""
    best = np.full((len(block), _MANY), -2, np.float32)
    where = np.zeros((len(block), _MANY), np.int64)
    for start in range(0, len(vectors), _OTHERS_AT_ONCE):
        part = vectors[start : start + _OTHERS_AT_ONCE].astype(np.float32)
        cosines = block @ part.T
        numbers = np.arange(start, start + len(part))
        cosines[numbers >= places[:, None]] = -2
        if len(part) > _MANY:
            top = np.argpartition(-cosines, _MANY - 1, axis=1)[:, :_MANY]
            cosines, found = np.take_along_axis(cosines, top, axis=1), numbers[top]
        else:
            found = np.broadcast_to(numbers, cosines.shape)
        both, both_where = np.concatenate([best, cosines], axis=1), np.concatenate([where, found], axis=1)
        order = np.argsort(-both, axis=1, kind="stable")[:, :_MANY]
        best, where = np.take_along_axis(both, order, axis=1), np.take_along_axis(both_where, order, axis=1)
    return best, where


def nearest_by_hash(new: NDArray[np.int64], hashes: NDArray[np.uint64], bits: int) -> Iterator[list[Near]]:
    """For each `BLOCK` of new pictures those that come before them and whose likeness differs by few bits.

    Also from their likeness in a mirror. The distance stands in the place of the cosine.
    """
    both_ways = (hashes, mirrored_likeness(hashes))
    for start in range(0, len(new), BLOCK):
        places = new[start : start + BLOCK]
        found: dict[tuple[int, int], int] = {}
        for way in both_ways:
            for row, second, distance in _within(way[places], hashes[: int(places[-1])], bits):
                first = int(places[row])
                if second < first:
                    found[first, second] = min(distance, found.get((first, second), 64))
        yield _closest(found)


def _within(block: NDArray[np.uint64], hashes: NDArray[np.uint64], bits: int) -> Iterator[tuple[int, int, int]]:
    """Row, place and distance of what differs by few bits; in parts that the processor's cache holds."""
    shape = (len(block), _HASHES_AT_ONCE)
    differ, distance, few = np.empty(shape, np.uint64), np.empty(shape, np.uint8), np.empty(shape, np.bool_)
    for start in range(0, len(hashes), _HASHES_AT_ONCE):
        part = hashes[start : start + _HASHES_AT_ONCE]
        width = len(part)
        np.bitwise_xor(block[:, None], part, out=differ[:, :width])
        np.bitwise_count(differ[:, :width], out=distance[:, :width])
        np.less_equal(distance[:, :width], bits, out=few[:, :width])
        if few[:, :width].any():
            for row, column in zip(*np.nonzero(few[:, :width]), strict=True):
                yield int(row), start + int(column), int(distance[row, column])


def _closest(found: dict[tuple[int, int], int]) -> list[Near]:
    """The four closest of each picture."""
    taken: dict[int, int] = {}
    closest = []
    for (first, second), distance in sorted(found.items(), key=lambda item: (item[0][0], item[1], item[0][1])):
        taken[first] = taken.get(first, 0) + 1
        if taken[first] <= _FEW:
            closest.append((first, second, float(distance)))
    return closest


def mirrored_likeness(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The likenesses that the pictures have in a mirror, but for cells that are as bright as their neighbours."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8, 1), axis=2)
    turned = np.packbits(1 - bits[:, :, ::-1], axis=2)
    return turned.reshape(-1, 8).view(">u8").reshape(-1).astype(np.uint64)
