"""Brings pictures' bytes, untouched or made anew, in their order: the part of packing that is spread over workers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from milliner.core.parallel import Spread, available_cores, ordered_map
from milliner.curation.plan import SetAside
from milliner.curation.recipe import Recipe

_READ_AT_ONCE: Final = 64  # pictures: to hand over one costs as much as to read one
_ENCODED_AT_ONCE: Final = 4
_SLOW: Final = 0.3e-3  # seconds for a picture from which on it is read in parallel
_BYTES_AT_ONCE: Final = 2**22  # that a batch brings; the rest is made when its turn comes
_WORTH_A_PROCESS: Final = 2000  # pictures; fewer are done by threads before processes have begun


@dataclass(frozen=True)
class Batch:
    """Makes the records of some paths; can be sent to another process."""

    recipe: Recipe

    def __call__(self, paths: Sequence[str]) -> list[bytes | SetAside | None]:
        """None for what there is no room for."""
        results: list[bytes | SetAside | None] = []
        count = 0
        for path in paths:
            result = self.recipe.one(path) if count < _BYTES_AT_ONCE else None
            count += len(result) if isinstance(result, bytes) else 0
            results.append(result)
        return results


def results(recipe: Recipe, paths: Sequence[str], spread: Spread) -> Iterator[bytes | SetAside]:
    """The bytes for every path, or why there are none.

    Raises UnreadableImageError for a checked file that can no longer be read.
    """
    if recipe.reencoding is None:
        return _read(recipe, paths, spread)
    if spread is ordered_map and len(paths) >= _WORTH_A_PROCESS and available_cores() > 1:
        from milliner.curation.workers import by_workers

        return by_workers(recipe, paths)
    return _in_batches(recipe, paths, _ENCODED_AT_ONCE, spread)


def _read(recipe: Recipe, paths: Sequence[str], spread: Spread) -> Iterator[bytes | SetAside]:
    """Untouched files come faster one after the other than from threads that fight for the interpreter.

    Slow disks and networks, which the first files tell, are what is worth waiting for in parallel.
    """
    start = perf_counter()
    first = Batch(recipe)(paths[:_READ_AT_ONCE])
    slow = perf_counter() - start > _SLOW * len(first)
    yield from _made(recipe, paths[:_READ_AT_ONCE], first)
    yield from _in_batches(recipe, paths[_READ_AT_ONCE:], _READ_AT_ONCE, spread if slow else map)


def _in_batches(recipe: Recipe, paths: Sequence[str], step: int, spread: Spread) -> Iterator[bytes | SetAside]:
    batches = [paths[start : start + step] for start in range(0, len(paths), step)]
    for batch, made in zip(batches, spread(Batch(recipe), batches), strict=True):
        yield from _made(recipe, batch, made)


def _made(recipe: Recipe, paths: Sequence[str], found: Iterable[bytes | SetAside | None]) -> Iterator[bytes | SetAside]:
    for path, result in zip(paths, found, strict=True):
        yield recipe.one(path) if result is None else result
