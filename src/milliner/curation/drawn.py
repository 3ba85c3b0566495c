"""The plan of a drawn split: the folder is checked, grouped and dealt out, and what was dealt before stays there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from milliner.core.errors import DatasetError
from milliner.core.progress import Progress
from milliner.curation.check import check
from milliner.curation.groups import Grouping, Link, video_links
from milliner.curation.plan import Order, Plan, SetAside
from milliner.curation.split import Dealt, Picture, check_shares, deal, scheme
from milliner.images.folder import list_entries
from milliner.images.ledger import LEDGER_NAME, Ledger
from milliner.images.raw import name_fault
from milliner.shards.lists import ListLine


def plan_drawn(order: Order, shares: Mapping[str, float], seed: int, group: str | None, progress: Progress) -> Plan:
    """Deals the folder's usable pictures out; those that would tie two splits together are set aside.

    Raises DatasetError where fewer than two classes are usable, or a class has too few pictures; SettingsError for
    shares or a group that are none.
    """
    check_shares(shares)
    grouping = Grouping.of(group) if group is not None else None
    found = _checked(order, progress) if order.checked else _as_it_is(order)
    labels = tuple(sorted({picture.label for picture in found.pictures}))
    if len(labels) < 2:
        raise DatasetError(f"All usable pictures are of one class ({labels[0]}); add a folder for a second class.")
    links = [*found.links, *_links(order, found.pictures, grouping)]
    dealt = _dealt(order, found.pictures, shares, seed, links, scheme(shares, seed, group))
    _check_sides(dealt, found.pictures)
    lines = {
        picture.key: ListLine(place, (float(labels.index(picture.label)),), picture.key)
        for place, picture in enumerate(found.pictures)
    }
    return Plan(
        {name: [lines[key] for key in keys] for name, keys in dealt.splits.items()},
        labels,
        found.contents,
        (*found.set_aside, *(SetAside(key, f"links {names}") for key, names in dealt.left_out.items())),
        tuple(_notes(found.pictures, dealt)),
    )


@dataclass(frozen=True)
class _Found:
    """The folder's usable pictures, those of them that belong together, and what may not be used."""

    pictures: list[Picture]
    contents: dict[str, str]
    """As the plan has them."""
    set_aside: tuple[SetAside, ...]
    links: list[Link] = field(default_factory=list)


def _checked(order: Order, progress: Progress) -> _Found:
    result = check(order.root, ledger=order.ledger, quick=order.quick, engine=order.engine, progress=progress)
    pictures = [Picture(row.file, row.label, row.sha256 or row.file) for row in result.kept]
    return _Found(
        pictures,
        {picture.key: picture.identity for picture in pictures},
        tuple(SetAside(row.file, row.reason or "") for row in result.set_aside),
        [(pair.first, pair.second) for pair in result.pairs],
    )


def _as_it_is(order: Order) -> _Found:
    """Nothing is opened: a picture is known by its path."""
    entries = list_entries(order.root)
    faults = {entry.key: fault for entry in entries if (fault := name_fault(entry.key))}
    pictures = [Picture(entry.key, entry.label, entry.key) for entry in entries if entry.key not in faults]
    if not pictures:
        raise DatasetError(f"{order.root} holds no file whose name a list can hold; rename them.")
    facts = ((entry.key, entry.path.stat()) for entry in entries if entry.key not in faults)
    contents = {key: f"{fact.st_size} {fact.st_mtime_ns}" for key, fact in facts}
    return _Found(pictures, contents, tuple(SetAside(key, fault) for key, fault in faults.items()))


def _links(order: Order, pictures: list[Picture], grouping: Grouping | None) -> Iterator[Link]:
    """What the ledger that lies with the pictures says of their origin, and what the user asks for."""
    keys = [picture.key for picture in pictures]
    own = order.root / LEDGER_NAME
    if not own.exists():
        yield from grouping.links(keys, ()) if grouping else ()
        return
    with Ledger.read(own) as book:
        if order.checked:
            yield from video_links(book.fetched())
        if grouping:
            yield from grouping.links(keys, book.fetched())


def _dealt(
    order: Order, pictures: list[Picture], shares: Mapping[str, float], seed: int, links: list[Link], name: str
) -> Dealt:
    """Deals with what the ledger remembers, and lets it remember the outcome."""
    if not order.checked:
        return deal(pictures, shares, seed, links)
    with Ledger.open(order.ledger) as book:
        known = book.splits(name)
        dealt = deal(pictures, shares, seed, links, known)
        identities = {picture.key: picture.identity for picture in pictures}
        sides = ((identities[key], split) for split, keys in dealt.splits.items() for key in keys)
        book.remember_splits(name, [side for side in sides if side[0] not in known])
    return dealt


def _check_sides(dealt: Dealt, pictures: list[Picture]) -> None:
    empty = [name for name, keys in dealt.splits.items() if not keys]
    if empty:
        raise DatasetError(
            f"Nothing is left for {empty[0]}: the {len(pictures)} pictures belong together in groups too large for "
            "the shares; give another group, or pictures of more origins."
        )


def _notes(pictures: list[Picture], dealt: Dealt) -> Iterator[str]:
    labels = {picture.key: picture.label for picture in pictures}
    for name, keys in dealt.splits.items():
        for label in sorted(set(labels.values()) - {labels[key] for key in keys}):
            yield f"{name} has no picture of {label}, since they belong together with those of another split."
