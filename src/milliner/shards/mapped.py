"""A file mapped into memory that does not look like being held there."""

import mmap
import os
import zlib
from pathlib import Path
from typing import Final
from weakref import finalize

from milliner.core.errors import DatasetError

_MAX_RESIDENT: Final = 16 * 2**20  # bytes of a file that are kept mapped after reading them, about
_STEP: Final = 2**20  # bytes that are read at once


class MappedFile:
    """A file's bytes, read as they are asked for. Safe to read from many threads, and in processes forked from this.

    Raises DatasetError where the file is missing, cannot be read or is no regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.exists() and not path.is_file():  # to open a pipe would wait for a writer for ever
                raise DatasetError(f"{path} cannot be read (it is no regular file); check the path.")
            file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            finalize(self, os.close, file)
            size = os.fstat(file).st_size
            self.bytes = mmap.mmap(file, 0, access=mmap.ACCESS_READ) if size else b""
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({error.strerror}); check the path and its rights.") from error
        self._file, self._touched = file, 0

    def __len__(self) -> int:
        return len(self.bytes)

    def read(self, start: int, end: int) -> bytes:
        """A few bytes anywhere, as far as there are any: unlike a look at `bytes` this maps nothing."""
        start, end = min(start, len(self)), min(end, len(self))
        if hasattr(os, "pread"):
            return os.pread(self._file, max(0, end - start), start)
        return self.bytes[start:end]

    def crc32(self, start: int = 0, end: int | None = None) -> int:
        """The CRC-32 of a stretch, by default of all."""
        last = len(self) if end is None else min(end, len(self))
        crc = 0
        for place in range(start, last, _STEP):
            crc = zlib.crc32(self.read(place, min(place + _STEP, last)), crc)
        return crc

    def touch(self, count: int) -> None:
        """Is told of `count` bytes that are about to be read, and gives earlier ones back now and then.

        They stay in the system's cache, and come back by themselves where they are still in use.
        """
        self._touched += count
        if self._touched > _MAX_RESIDENT and isinstance(self.bytes, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            self.bytes.madvise(mmap.MADV_DONTNEED)
