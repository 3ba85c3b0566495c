"""What the doctor says: one finding for each thing that is remarkable about a picture or several."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from milliner.curation.compare import Pair
from milliner.curation.leaks import Leaks
from milliner.images.ledger import PictureRow

Action = Literal["set aside", "kept", "look"]
"""Whether a picture is left out of training already, stays, or should be looked at by a person."""


@dataclass(frozen=True)
class Kind:
    """A kind of finding."""

    name: str
    """As ``--fix`` takes it."""
    title: str
    advice: str
    """What it means and what can be done, in a sentence or two."""
    action: Action


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("leak", "Leaks across splits",
             "A picture of one split, and what another split has that is the same or of the same scene. Figures "
             "measured on such pictures are too good: move them to the other split.", "look"),
        Kind("unreadable", "Cannot be read",
             "Cut off, damaged, or no picture at all: fetch or export them again.", "set aside"),
        Kind("placeholder", "Placeholders",
             "What a host sends in place of a picture that is gone.", "set aside"),
        Kind("blank", "Blank",
             "All of one brightness: there is nothing to see.", "set aside"),
        Kind("tiny", "Tiny",
             "A side is under 16 pixels: nothing can be learnt from it.", "set aside"),
        Kind("name", "Unusable names",
             "Lists cannot hold the name: rename the file.", "set aside"),
        Kind("duplicate", "Exact duplicates",
             "The same bytes as another file of the class, which stays.", "set aside"),
        Kind("two-labels", "One picture, two labels",
             "The same picture, or nearly the same, in two classes: delete the wrong one. "
             "Of exact copies none is used until then.", "look"),
        Kind("mislabel", "Likely mislabels",
             "A model of all the other pictures is sure that these belong to another class. Look at each one: "
             "an unusual picture is not a wrong one.", "look"),
        Kind("near-duplicate", "Near duplicates",
             "One is the other, cut, mirrored, resized, toned or saved anew. They stay on one side of a split; where "
             "they are set aside, the largest of each stays.", "kept"),
        Kind("sibling", "Siblings",
             "Different photographs that look like one scene. Useful for training, misleading across a split, "
             "so they stay on one side of it.", "kept"),
        Kind("blurred", "Blurred",
             "Unsharp even when seen small.", "kept"),
        Kind("long", "Very long or tall",
             "One side is over four times the other, and networks see it squeezed to a square.", "kept"),
        Kind("wrong-extension", "Wrong extensions",
             "The name says another format than the content, which is what counts.", "kept"),
        Kind("animated", "Animated",
             "Only the first frame is used.", "kept"),
        Kind("cmyk", "CMYK",
             "Printers' colours, converted to RGB on reading; the tint may differ a little.", "kept"),
        Kind("16-bit", "More than 8 bits",
             "Reduced to 8 bits a colour on reading.", "kept"),
        Kind("imbalance", "Unequal classes",
             "Training weighs the classes so that each counts the same, yet a class is known only by the pictures "
             "that it has.", "look"),
    )
}  # fmt: skip
"""All kinds, in the order in which they are told."""

_REASONS: Final = {"placeholder": "placeholder", "blank": "blank", "tiny": "tiny"}
_LEVELS: Final = {"exact": "the same bytes", "near duplicate": "nearly the same", "sibling": "the same scene"}
_UNEQUAL: Final = 4  # times as many pictures as another class has


@dataclass(frozen=True)
class Finding:
    """One thing about one picture or more."""

    kind: str
    """Of `KINDS`."""
    files: tuple[str, ...]
    """The first is the one that it is about; empty where it is about all of them."""
    note: str
    score: float | None
    """How strong it is: a cosine or sameness for pairs, a probability for mislabels, a ratio for imbalance."""
    action: Action

    def to_json(self) -> dict[str, Any]:
        """The shape within `check --json`."""
        return {
            "kind": self.kind,
            "files": list(self.files),
            "note": self.note,
            "score": self.score,
            "action": self.action,
        }


@dataclass(frozen=True)
class Mislabel:
    """A picture whose label the others contradict."""

    file: str
    label: str
    said: str
    probability: float
    """Of `said`, by a model of the other pictures."""


def findings(rows: Sequence[PictureRow], pairs: Iterable[Pair], mislabels: Iterable[Mislabel]) -> tuple[Finding, ...]:
    """All that is to be said, by kind in the order of `KINDS`, the strongest first."""
    kept = {row.file: row for row in rows if row.status == "kept"}
    found = [_set_aside(row) for row in rows if row.status == "set aside"]
    found += [_remark(row, word) for row in kept.values() for word in row.remarks]
    found += [_pair(pair, kept) for pair in pairs]
    found += [_mislabel(each) for each in mislabels]
    found += _imbalance(row.label for row in kept.values())
    order = list(KINDS)
    return tuple(sorted(found, key=lambda each: (order.index(each.kind), -(each.score or 0), each.files)))


def leak_findings(leaks: Iterable[Leaks]) -> tuple[Finding, ...]:
    """One for each picture that has a likeness in another split."""
    return tuple(
        Finding("leak", (leak.file, leak.other_file), _LEVELS[leak.level], leak.cosine, "look")
        for each in leaks
        for leak in each.found
    )


def _set_aside(row: PictureRow) -> Finding:
    reason = row.reason or ""
    if reason.startswith("equals "):
        other = reason.removeprefix("equals ")
        if other.endswith(" of another class"):
            twin = other.removesuffix(" of another class")
            return Finding("two-labels", (row.file, twin), "same bytes under two labels", 1.0, "set aside")
        return Finding("duplicate", (row.file, other), f"same bytes as {other}", 1.0, "set aside")
    if reason.startswith("name "):
        return Finding("name", (row.file,), reason, None, "set aside")
    return Finding(_REASONS.get(reason, "unreadable"), (row.file,), reason, None, "set aside")


def _remark(row: PictureRow, word: str) -> Finding:
    notes = {
        "long": f"{row.width} x {row.height} pixels",
        "wrong extension": f"is {row.format}",
    }
    kind = word.replace(" ", "-")
    return Finding(kind, (row.file,), notes.get(word, word), None, KINDS[kind].action)


def _pair(pair: Pair, kept: dict[str, PictureRow]) -> Finding:
    one, other = kept[pair.first], kept[pair.second]
    if pair.kind == "sibling":
        return Finding("sibling", (pair.first, pair.second), f"cosine {pair.cosine:.2f}", pair.cosine, "kept")
    if one.label != other.label:
        return Finding("two-labels", (pair.first, pair.second), "nearly the same picture", pair.sameness, "look")
    larger, smaller = sorted((one, other), key=size_order)
    note = f"nearly the same as {larger.file}, which is {larger.width} x {larger.height}"
    return Finding("near-duplicate", (smaller.file, larger.file), note, pair.sameness, "kept")


def size_order(row: PictureRow) -> tuple[int, int, str]:
    """Sorts pictures so that the best one comes first: most pixels, then most bytes, then by name."""
    return (-(row.width or 0) * (row.height or 0), -row.bytes, row.file)


def _mislabel(found: Mislabel) -> Finding:
    note = f"labelled {found.label}, looks like {found.said} ({min(found.probability, 0.99):.0%})"
    return Finding("mislabel", (found.file,), note, round(found.probability, 4), "look")


def _imbalance(labels: Iterable[str]) -> list[Finding]:
    counts = Counter(labels)
    most = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    return [
        Finding(
            "imbalance",
            (),
            f"{label} has {count} pictures, {most[0]} has {most[1]}",
            round(most[1] / count, 1),
            "look",
        )
        for label, count in sorted(counts.items())
        if most[1] >= _UNEQUAL * count
    ]
