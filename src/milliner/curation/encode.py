"""Brings pictures' bytes, untouched or made anew, batch by batch: the part of packing that is spread over workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from milliner.core.errors import UnreadableImageError
from milliner.core.parallel import Spread
from milliner.curation.plan import SetAside
from milliner.images.raw import read_bounded, refusal
from milliner.images.reencode import Reencoding

_READ_AT_ONCE: Final = 64  # pictures: to hand over one costs as much as to read one
_ENCODED_AT_ONCE: Final = 4
_SLOW: Final = 0.3e-3  # seconds for a picture from which on it is read in parallel
_BYTES_AT_ONCE: Final = 2**22  # that a batch of untouched pictures brings; the rest is read when its turn comes


@dataclass(frozen=True)
class Recipe:
    """How the bytes of a record are made from a file; can be sent to another process."""

    root: str
    """The pictures' folder."""
    reencoding: Reencoding | None = None
    """None: the file's bytes as they are."""
    checked: bool = True
    """Whether every file was seen to be a usable picture before. Where one then cannot be read, it is an error."""

    @property
    def fingerprint(self) -> str:
        """What the bytes depend on besides the files."""
        return self.reencoding.fingerprint if self.reencoding else f"untouched, checked={self.checked}"

    def results(self, paths: Sequence[str], spread: Spread) -> Iterator[bytes | SetAside]:
        """The bytes for every path, in their order, or why there are none.

        Raises UnreadableImageError for a checked file that can no longer be read.
        """
        step = _ENCODED_AT_ONCE if self.reencoding else _READ_AT_ONCE
        batches = [paths[start : start + step] for start in range(0, len(paths), step)]
        for batch, results in zip(batches, self._each(batches, spread), strict=True):
            for path, result in zip(batch, results, strict=True):
                yield self.one(path) if result is None else result

    def _each(self, batches: Sequence[Sequence[str]], spread: Spread) -> Iterator[list[bytes | SetAside | None]]:
        """Spreads the batches, unless files are read faster here than threads that want the interpreter hand them over.

        The first batch tells; slow disks and networks are what is worth waiting for in parallel.
        """
        if self.reencoding:
            yield from spread(self, batches)
            return
        first, rest = batches[:1], batches[1:]
        start = perf_counter()
        read = [self(batch) for batch in first]
        slow = perf_counter() - start > _SLOW * len(read[0]) if read else False
        yield from read
        yield from (spread if slow else map)(self, rest)

    def __call__(self, paths: Sequence[str]) -> list[bytes | SetAside | None]:
        """A batch; None for what it has no room for."""
        results: list[bytes | SetAside | None] = []
        count = 0
        for path in paths:
            result = self.one(path) if count < _BYTES_AT_ONCE else None
            count += len(result) if isinstance(result, bytes) else 0
            results.append(result)
        return results

    def one(self, path: str) -> bytes | SetAside:
        """The bytes for one path."""
        try:
            encoded = read_bounded(f"{self.root}/{path}")
        except UnreadableImageError as error:
            if self.checked:
                raise
            return SetAside(path, error.reason)
        if self.reencoding is None:
            reason = None if self.checked else _fault(encoded)
            return encoded if reason is None else SetAside(path, reason)
        try:
            return self.reencoding(encoded)
        except UnreadableImageError as error:
            return SetAside(path, error.reason)


def _fault(encoded: bytes) -> str | None:
    return refusal(encoded[:512]) if encoded else "empty"
