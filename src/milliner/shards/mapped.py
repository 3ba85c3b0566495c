"""A file mapped into memory that does not look like being held there."""

import mmap
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError

_MAX_RESIDENT: Final = 16 * 2**20  # bytes of a file that are kept mapped after reading them, about


class MappedFile:
    """A file's bytes, read as they are asked for. Safe to read from many threads, and in processes forked from this.

    Raises DatasetError where the file is missing, cannot be read or is no regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.exists() and not path.is_file():  # to open a pipe would wait for a writer for ever
                raise DatasetError(f"{path} cannot be read (it is no regular file); check the path.")
            with path.open("rb") as file:
                size = file.seek(0, 2)
                self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({error.strerror}); check the path and its rights.") from error
        self._touched = 0

    def __len__(self) -> int:
        return len(self.bytes)

    def touch(self, count: int) -> None:
        """Is told of `count` bytes that are about to be read, and gives earlier ones back now and then.

        They stay in the system's cache, and come back by themselves where they are still in use.
        """
        self._touched += count
        if self._touched > _MAX_RESIDENT and isinstance(self.bytes, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._touched = 0
            self.bytes.madvise(mmap.MADV_DONTNEED)
