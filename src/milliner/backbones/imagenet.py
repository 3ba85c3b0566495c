"""The names of ImageNet-1k's classes, so that settings can say "crash helmet".

``imagenet_classes.tsv`` has a line for each class, WordNet id and lemmas, in the order of the sorted ids, which is
the order of the 1000 outputs of every network trained on it. Facts of WordNet 3.0 and the ILSVRC 2012 class list.
"""

import difflib
from functools import cache
from importlib import resources

from milliner.core.errors import SettingsError


@cache
def _classes() -> tuple[tuple[str, tuple[str, ...]], ...]:
    table = resources.files("milliner.backbones").joinpath("imagenet_classes.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines())
    return tuple((wnid, tuple(lemmas.split(", "))) for wnid, lemmas in rows)


def class_index(name: str) -> int:
    """The output number (0 to 999) of a class by one of its names or its WordNet id.

    Raises SettingsError, with suggestions, where no class or several have that name.
    """
    wanted = name.strip().lower()
    found = [
        number
        for number, (wnid, lemmas) in enumerate(_classes())
        if wanted == wnid or wanted in (lemma.lower() for lemma in lemmas)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = " or ".join(f"{_classes()[number][0]} ({', '.join(_classes()[number][1])})" for number in found)
        raise SettingsError(f"{name!r} names {len(found)} ImageNet classes; write {ids}.")
    known = {lemma.lower(): lemma for _, lemmas in _classes() for lemma in lemmas}
    near = [known[match] for match in difflib.get_close_matches(wanted, known, n=3)]
    hint = f"did you mean {' or '.join(repr(match) for match in near)}?" if near else "leave `init` out."
    raise SettingsError(f"ImageNet has no class {name!r}; {hint}")
