"""How long work reports how far it is, without knowing who is watching."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """What a task calls as it goes on."""

    def __call__(self, count: int = 1, note: str = "") -> None:
        """Says that `count` more units are done; `note` is a short text to show beside the bar."""


class Progress(Protocol):
    """What a stage is given to report to."""

    def __call__(self, task: str, total: int | None) -> AbstractContextManager[Advance]:
        """Opens one task at a time; a total of None means that the length is not known yet."""
        ...


@contextmanager
def silent(task: str, total: int | None) -> Iterator[Advance]:
    """The Progress of callers who do not want to see any."""

    def advance(count: int = 1, note: str = "") -> None:
        pass

    yield advance
