"""`openimages:CLASS`: pictures of Open Images V7 that people have confirmed to show a class, with whom to credit.

The lists are long (the training labels 2.7 GB), so they are read as they come, the small splits first, and left as
soon as there are enough pictures. https://storage.googleapis.com/openimages/web/download_v7.html
"""

from collections.abc import Iterator
from typing import Final

from milliner.core.credit import Credit, parse_licence
from milliner.core.errors import FetchError
from milliner.sources.answers import Fields
from milliner.sources.label import checked_label
from milliner.sources.remote_list import rows_of
from milliner.sources.source import Listing, Options, Wanted

LISTS: Final = "https://storage.googleapis.com/openimages"
PICTURES: Final = "https://open-images-dataset.s3.amazonaws.com"

CLASSES: Final = f"{LISTS}/v7/oidv7-class-descriptions.csv"

SPLITS: Final = {
    "validation": (
        f"{LISTS}/v7/oidv7-val-annotations-human-imagelabels.csv",
        f"{LISTS}/v5/validation-annotations-bbox.csv",
        f"{LISTS}/2018_04/validation/validation-images-with-rotation.csv",
    ),
    "test": (
        f"{LISTS}/v7/oidv7-test-annotations-human-imagelabels.csv",
        f"{LISTS}/v5/test-annotations-bbox.csv",
        f"{LISTS}/2018_04/test/test-images-with-rotation.csv",
    ),
    "train": (
        f"{LISTS}/v7/oidv7-train-annotations-human-imagelabels.csv",
        f"{LISTS}/v6/oidv6-train-annotations-bbox.csv",
        f"{LISTS}/2018_04/train/train-images-boxable-with-rotation.csv",
    ),
}
"""For each split its confirmed labels, its boxes, and where its pictures come from."""

_MAX_PICTURES: Final = 2_000_000  # of one class and split
_MAX_CLASSES: Final = 2**24  # bytes


class _OpenImages:
    name: Final = "openimages"
    usage: Final = "openimages:CLASS (such as openimages:Helmet), openimages:boxes:CLASS for those with a box around it"

    def open(self, argument: str, options: Options) -> Listing:
        prefix, _, rest = argument.partition(":")
        boxed, name = (True, rest) if prefix == "boxes" and rest else (False, argument)
        code, spelled = _class(name, options)
        label = options.label or checked_label(spelled, "openimages")
        return Listing(_pictures(code, boxed, label, options), label=label)


SOURCE: Final = _OpenImages()


def _class(name: str, options: Options) -> tuple[str, str]:
    """The code, such as /m/0zvk5, and the spelling of a class."""
    near: list[str] = []
    for row in rows_of(CLASSES, options.web, ("LabelName", "DisplayName"), _MAX_CLASSES):
        if name.lower() in (row.get("DisplayName", "").lower(), row.get("LabelName", "")):
            return row.get("LabelName", ""), row.get("DisplayName", "")
        if name.lower() in row.get("DisplayName", "").lower() and len(near) < 5:
            near.append(row["DisplayName"])
    hint = f"did you mean {' or '.join(repr(each) for each in near)}?" if near else "see its list of classes."
    raise FetchError(f"Open Images has no class {name!r}; {hint}")


def _pictures(code: str, boxed: bool, label: str, options: Options) -> Iterator[Wanted]:
    for split, (labels, boxes, origins) in SPLITS.items():
        wanted = _marked(boxes if boxed else labels, code, boxed, options)
        for row in rows_of(origins, options.web, ("ImageID", "License")) if wanted else ():
            name = row.get("ImageID", "")
            if name in wanted:
                wanted.discard(name)
                yield Wanted(f"{PICTURES}/{split}/{name}.jpg", label, credit=_credit(row))
        for name in sorted(wanted):  # those whose origin is in no list
            yield Wanted(f"{PICTURES}/{split}/{name}.jpg", label, credit=Credit(provider="Open Images"))


def _marked(address: str, code: str, boxed: bool, options: Options) -> set[str]:
    """The pictures that a list of labels or boxes gives the class; 10 bytes of memory each, and some."""
    found: set[str] = set()
    for row in rows_of(address, options.web, ("ImageID", "LabelName", "Confidence")):
        shown = boxed or row.get("Confidence") in ("1", "1.0")
        drawn = row.get("IsDepiction", "0") == "1"
        if row.get("LabelName") == code and shown and not drawn and row.get("ImageID", "").isalnum():
            found.add(row["ImageID"])
        if len(found) >= _MAX_PICTURES:
            break
    return found


def _credit(row: dict[str, str]) -> Credit:
    fields = Fields(row)
    licence, version = parse_licence(fields.text("License") or "")
    about = (fields.text("Author"), None, fields.text("Title"), fields.address("OriginalLandingURL"))
    return Credit(licence, version, fields.address("License"), *about, "Open Images")
