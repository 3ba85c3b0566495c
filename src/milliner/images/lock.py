"""Lets one process at a time work in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from milliner.core.errors import DatasetError, MillinerError
from milliner.core.progress import Progress, silent

try:
    import fcntl
except ImportError:  # Windows: two processes then do the same work twice, but each file is still written whole
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(
    lock: Path, waiting: str, progress: Progress = silent, error: type[MillinerError] = DatasetError
) -> Iterator[None]:
    """Makes the folder of `lock` and holds that file; waits while another process does, and says `waiting` meanwhile.

    The lock goes with its process, however that ends. Raises `error` when the folder cannot be written.
    """
    with _opened(lock, error) as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with progress(waiting, None):
                    fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _opened(lock: Path, error: type[MillinerError]) -> IO[bytes]:
    folder = lock.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return lock.open("ab")
    except OSError as cause:
        raise error(f"{folder} cannot be written ({cause.strerror}); give another folder.") from cause
