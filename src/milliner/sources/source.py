"""What a source plug-in is: it lists the pictures it has, and delivers those that are asked for."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True)
class Wanted:
    """A picture that a source has, before its bytes were asked for."""

    address: str
    """Names the picture in the ledger, together with the label; the same from run to run."""
    label: str
    sha256: str | None = None
    """Lower-case hex, where the source promises it; other bytes are rejected."""
    size: int | None = None
    """Bytes, where it is known; a picture that has another size than in the ledger is asked for again."""


@dataclass(frozen=True)
class Delivered:
    """Bytes that came for a picture; whether they are one is not known yet."""

    wanted: Wanted
    encoded: bytes


@dataclass(frozen=True)
class Missed:
    """A picture that did not come (`failed`, tried again by the next fetch) or may not (`rejected`)."""

    wanted: Wanted
    status: Literal["rejected", "failed"]
    reason: str
    """A short stable word or two, for ledgers and counts."""
    answered: bool = True
    """False where nobody answered: there was nobody there, as on a machine that is offline, or nobody to ask."""


Delivery = Delivered | Missed


@dataclass(frozen=True)
class Options:
    """What `fetch` was told beside the sources."""

    into: Path
    """The folder that is filled."""
    label: str | None = None
    """The class of pictures for which the source itself names none."""
    endpoint: str | None = None
    """Scheme, host and port that stand in for those of every address."""
    seed: int = 0
    base: Path = Path()
    """Where the relative paths of sources begin."""


class Listing(Protocol):
    """What one source has."""

    @property
    def pictures(self) -> Sequence[Wanted]:
        """Every picture, no two with the same address and label, in an order that stays the same."""
        ...

    def deliver(self, pictures: Sequence[Wanted]) -> Generator[Delivery, None, None]:
        """Yields one delivery for each of `pictures`, in any order; closing it early stops the work."""
        ...


class Source(Protocol):
    """A kind of place that pictures come from. One file of this package defines one, as `SOURCE`."""

    @property
    def name(self) -> str:
        """What stands before the colon of ``kind:argument``."""
        ...

    @property
    def usage(self) -> str:
        """How it is asked for and what comes, in one line for people."""
        ...

    def open(self, argument: str, options: Options) -> Listing:
        """Lists what there is; raises FetchError where the argument as a whole cannot be used."""
        ...
