"""A text of millions of lines, any of which is read without the others."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np

from milliner.core.errors import DatasetError
from milliner.shards.mapped import MappedFile

_BLOCK: Final = 2**10  # bytes for which one number is kept: how many lines end before them
_STEP: Final = 2**18  # bytes that are looked through at once
_MAX_BYTES: Final = 2**33
_SHORT: Final = 2**8  # most lines are shorter
_MAX_LINE: Final = 2**16
_BREAK: Final = ord("\n")


class Lines:
    r"""The lines of a UTF-8 text, which may end in ``\r\n``. Safe to read from many threads.

    Opening counts the line ends, a gigabyte in half a second or so; eight bytes are kept for a KiB of text.
    Raises DatasetError where the text cannot be read, is over 8 GiB, or a line is no UTF-8 or over 64 KiB.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, MappedFile(path)
        if len(self._file) > _MAX_BYTES:
            raise DatasetError(f"{path} is over {_MAX_BYTES >> 30} GiB; check the path.")
        self._before = array("q", accumulate(self._counts(), initial=0))
        unended = bool(self._file.bytes) and self._file.bytes[-1] != _BREAK
        self._count = self._before[-1] + unended

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> str:
        """A line without its end."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        block = max(0, bisect_right(self._before, index - 1) - 1)
        content = self._file.read(block * _BLOCK, (block + 1) * _BLOCK + _SHORT)
        *lines, rest = content.split(b"\n", index - self._before[block] + 1)
        if len(lines) > index - self._before[block]:
            return self._decoded(lines[-1], index)
        start = block * _BLOCK + len(content) - len(rest)
        line = self._file.read(start, start + _MAX_LINE + 1).partition(b"\n")[0]
        if len(line) > _MAX_LINE:
            raise self._too_long(index)
        return self._decoded(line, index)

    def __iter__(self) -> Iterator[str]:
        rest, index = b"", 0
        for start in range(0, len(self._file), _STEP):
            *lines, rest = (rest + self._file.read(start, start + _STEP)).split(b"\n")
            if len(rest) > _MAX_LINE:
                raise self._too_long(index + len(lines))
            for line in lines:
                yield self._decoded(line, index)
                index += 1
        if rest:
            yield self._decoded(rest, index)

    def _too_long(self, index: int) -> DatasetError:
        return DatasetError(f"{self._path}, line {index + 1} is over {_MAX_LINE >> 10} KiB; pack again.")

    def _decoded(self, line: bytes, index: int) -> str:
        try:
            return line.decode("utf-8" if index else "utf-8-sig").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{self._path} is not UTF-8 text; save it as UTF-8 or pack again.") from error

    def _counts(self) -> Iterator[int]:
        """How many lines end in every block."""
        for start in range(0, len(self._file), _STEP):
            breaks = np.frombuffer(self._file.read(start, start + _STEP), np.uint8) == _BREAK
            yield from np.add.reduceat(breaks, np.arange(0, len(breaks), _BLOCK), dtype=np.int64).tolist()
