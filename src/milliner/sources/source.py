"""What a source plug-in is: it lists pictures, one after the other, each with its origin and a way to its bytes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from milliner.core.credit import UNKNOWN, Credit
from milliner.sources.web.web import Web


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
    credit: Credit = UNKNOWN
    url: str | None = None
    """Where to download it, where that is not its address."""
    read: Callable[[], bytes] | None = field(default=None, repr=False, compare=False)
    """Gives the bytes of a picture that is not downloaded by itself. Raises UnreadableImageError, and FetchError or
    NoAnswerError where the source as a whole breaks off."""
    span: tuple[int, int] | None = None
    """Where its part of an archive begins, which is where the picture before it ends, and where it ends, in bytes."""
    in_order: bool = False
    """Whether `read` only works before the source is asked for its next picture; else it may be called at any time,
    from any thread."""


class Known(Protocol):
    """What earlier fetches have settled, for sources that can begin behind it."""

    def spans(self, prefix: str, label: str | None) -> tuple[list[tuple[str, str]], int]:
        """Pictures, address and label, that fill an archive from its beginning without a gap, and where they end.

        Their addresses begin with `prefix`; with a `label`, all are of that class.
        """
        ...


@dataclass(frozen=True)
class Listing:
    """What one source has."""

    pictures: Iterable[Wanted]
    """Every picture, lazily, in an order that stays the same; gone through once. May raise FetchError, and
    NoAnswerError where the source itself is asked over the web."""
    total: int | None = None
    """How many there are, where that is known beforehand."""
    label: str | None = None
    """The class of all of them, where there is just one; the source is left once that has enough."""
    full: set[str] = field(default_factory=set)
    """Classes of which no more are taken; filled on the way, for sources that can pass over what is left of one."""
    connections: int | None = None
    """At most so many downloads at once from one host, where the source's owner asks for that."""


@dataclass(frozen=True)
class Options:
    """What `fetch` was told beside the sources, and what it gives them to work with."""

    into: Path
    """The folder that is filled."""
    web: Web
    known: Known
    label: str | None = None
    """The class of pictures for which the source itself names none."""
    limit: int | None = None
    """At most so many pictures of each class will be taken."""
    seed: int = 0
    base: Path = Path()
    """Where the relative paths of sources begin."""
    licences: tuple[str, ...] = ()
    """Codes of `core.credit.LICENCES`: pictures of others are not asked for; all are where it is empty."""
    endpoint: str | None = None
    """The server that stands in for all others, which `web` asks by itself."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Keys and tokens of the sources' owners, by their names in the settings; never to be shown."""


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
        """Lists what there is; raises FetchError or NoAnswerError where the argument as a whole cannot be used."""
        ...


@dataclass(frozen=True)
class Missed:
    """A picture that did not come (`failed`) or may not (`rejected`)."""

    wanted: Wanted
    status: Literal["rejected", "failed"]
    reason: str
    """A short stable word or two, for ledgers and counts."""
    answered: bool = True
    """False where nobody answered: there was nobody there, as on a machine that is offline, or nobody to ask."""
    transient: bool = False
    """Whether the next fetch should try again by itself."""


@dataclass(frozen=True)
class Found:
    """A picture that came and is good, or came and is not: then `reason` says why it is rejected."""

    wanted: Wanted
    sha256: str
    size: int
    """Bytes."""
    reason: str | None = None
    file: str | None = None
    """Relative to the filled folder; None for what is rejected."""
    new: bool = False
    """False where the file was there before."""
    width: int | None = None
    height: int | None = None
    likeness: int | None = None


Finding = Found | Missed
