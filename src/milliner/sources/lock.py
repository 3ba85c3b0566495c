"""Lets one fetch at a time fill a folder."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from milliner.core.errors import FetchError
from milliner.core.progress import Progress
from milliner.images.lock import held

_LOCK_NAME: Final = ".fetch.lock"


def filling(folder: Path, progress: Progress) -> AbstractContextManager[None]:
    """Makes the folder and holds it; waits while another fetch does, whose pictures then need not come again.

    The lock goes with its process, however that ends. Raises FetchError when the folder cannot be written.
    """
    return held(folder / _LOCK_NAME, f"wait for another fetch into {folder}", progress, FetchError)
