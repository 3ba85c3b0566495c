"""Lets one fetch at a time fill a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from milliner.core.errors import FetchError
from milliner.core.progress import Progress

try:
    import fcntl
except ImportError:  # Windows: two fetches then do the same work twice, but each file is still written whole
    fcntl = None  # type: ignore[assignment]

_LOCK_NAME: Final = ".fetch.lock"


@contextmanager
def filling(folder: Path, progress: Progress) -> Iterator[None]:
    """Makes the folder and holds it; waits while another fetch does, whose pictures then need not come again.

    The lock goes with its process, however that ends. Raises FetchError when the folder cannot be written.
    """
    with _opened(folder) as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with progress(f"wait for another fetch into {folder}", None):
                    fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _opened(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / _LOCK_NAME).open("ab")
    except OSError as error:
        raise FetchError(f"{folder} cannot be written ({error.strerror}); give another folder.") from error
