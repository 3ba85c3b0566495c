"""Keeps freed memory in the process while a network is trained on the CPU.

glibc gives every large block back to the system as soon as it is freed, and each step of training frees and asks for
the same hundreds of megabytes: the system then has to clear every page again before its first use. `mallopt` (see
its man page) does for the running process what MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ do at its start.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT: Final = 2**30
_USUAL: Final = 128 * 1024  # bytes, glibc's own values for both


@contextmanager
def kept_memory() -> Iterator[None]:
    """Blocks up to 1 GiB are kept for the next step; at the end all is given back. Elsewhere than on glibc, nothing."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield
        return
    for setting in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        library.mallopt(setting, _KEPT)
    try:
        yield
    finally:
        for setting in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            library.mallopt(setting, _USUAL)
        library.malloc_trim(0)
