"""Keeps one library's warnings off the terminal, also where many threads ask for it at once."""

import threading
import warnings
from contextlib import ExitStack


class Quiet:
    """A context in which warnings of the modules that match `module` go unsaid.

    Python's warning filters are shared by all threads: the first thread in sets them, the last one out puts
    them back, so that none of them meets a warning and nothing is changed for good.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=self._module)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.close()
