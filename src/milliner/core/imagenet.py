"""The names of ImageNet's classes, so that people can say "crash helmet" or "hard hat" instead of a WordNet id.

``imagenet_classes.tsv`` has a line for each of ImageNet-1k's classes, WordNet id and lemmas, in the order of the
sorted ids, which is the order of the 1000 outputs of every network trained on it; ``imagenet_more.tsv`` has headgear,
protective clothing, footwear, site equipment and people of the full ImageNet. Facts of WordNet 3.0 and the ILSVRC 2012
class list, and the only files that this floor reads.
"""

import difflib
import re
from functools import cache
from importlib import resources

from milliner.core.errors import SettingsError

Synset = tuple[str, tuple[str, ...]]


@cache
def _classes() -> tuple[Synset, ...]:
    return _table("imagenet_classes.tsv")


def _table(name: str) -> tuple[Synset, ...]:
    table = resources.files("milliner.core").joinpath(name).read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines())
    return tuple((wnid, tuple(lemmas.split(", "))) for wnid, lemmas in rows)


def class_index(name: str) -> int:
    """The output number (0 to 999) of an ImageNet-1k class by one of its names or its WordNet id.

    Raises SettingsError, with suggestions, where no class or several have that name.
    """
    found = _named(name, _classes())
    if not found:
        raise SettingsError(f"ImageNet has no class {name!r}; {_hint(name, _classes(), 'leave `init` out.')}")
    return found[0]


def synset(name: str) -> Synset:
    """The WordNet id and lemmas of an ImageNet class by one of its names; ids that no table has stand for themselves.

    Raises SettingsError, with suggestions, where no class or several have that name.
    """
    if re.fullmatch(r"n\d{8}", name.strip()):
        wnid = name.strip()
        return next((each for each in (*_classes(), *_table("imagenet_more.tsv")) if each[0] == wnid), (wnid, (wnid,)))
    table = (*_classes(), *_table("imagenet_more.tsv"))
    found = _named(name, table)
    if not found:
        otherwise = "give its WordNet id, such as n03492922."
        raise SettingsError(f"No ImageNet class called {name!r} is known here; {_hint(name, table, otherwise)}")
    return table[found[0]]


def _named(name: str, table: tuple[Synset, ...]) -> list[int]:
    """The places of the one class that has this name or id, none where there is none; SettingsError for several."""
    wanted = name.strip().lower()
    found = [
        place
        for place, (wnid, lemmas) in enumerate(table)
        if wanted == wnid or wanted in (lemma.lower() for lemma in lemmas)
    ]
    if len(found) > 1:
        ids = " or ".join(f"{table[place][0]} ({', '.join(table[place][1])})" for place in found)
        raise SettingsError(f"{name!r} names {len(found)} ImageNet classes; write {ids}.")
    return found


def _hint(name: str, table: tuple[Synset, ...], otherwise: str) -> str:
    known = {lemma.lower(): lemma for _, lemmas in table for lemma in lemmas}
    near = [known[match] for match in difflib.get_close_matches(name.strip().lower(), known, n=3)]
    return f"did you mean {' or '.join(repr(match) for match in near)}?" if near else otherwise
