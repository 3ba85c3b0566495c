"""One text for many files, as WebDataset's users write it: ``train-{000000..000003}.tar``, ``{train,more}-*.tar``."""

import glob
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError

_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_MAX_FILES: Final = 100_000
_MAX_BRACES: Final = 16


def is_pattern(text: str) -> bool:
    """Whether a text may stand for many files."""
    return bool(_BRACES.search(text)) or glob.has_magic(text)


def expanded(pattern: str) -> list[Path]:
    """The files that a pattern stands for: braces in their order, and wildcards sorted by name.

    Raises DatasetError where one that the braces name is missing, nothing fits, or it would be over 100,000 files.
    """
    if pattern.count("{") > _MAX_BRACES:
        raise DatasetError(f"{pattern[:80]}... has over {_MAX_BRACES} braces; give fewer at once.")
    names = list(islice(_alternatives(pattern), _MAX_FILES + 1))
    if len(names) > _MAX_FILES:
        raise DatasetError(f"{pattern} stands for over {_MAX_FILES:,} files; give fewer at once.")
    files: list[Path] = []
    for name in names:
        found = sorted(glob.glob(name)) if glob.has_magic(name) and not Path(name).exists() else [name]  # noqa: PTH207
        missing = [each for each in found if not Path(each).exists()]
        if missing or not found:
            raise DatasetError(f"There is no {name}, which {pattern} stands for; check the pattern and the folder.")
        files += map(Path, found)
    if len(set(files)) < len(files):
        raise DatasetError(f"{pattern} names a file twice; name every file once.")
    return files


def _alternatives(pattern: str) -> Iterator[str]:
    """Every text that the braces allow, made as it is asked for; the first braces change slowest."""
    found = _BRACES.search(pattern)
    if not found:
        yield pattern
        return
    for choice in _choices(found[1]):
        yield from _alternatives(pattern[: found.start()] + choice + pattern[found.end() :])


def _choices(inside: str) -> Iterator[str]:
    numbers = _RANGE.fullmatch(inside)
    if not numbers:
        yield from inside.split(",")
        return
    first, last = int(numbers[1]), int(numbers[2])
    width = len(numbers[1]) if numbers[1].startswith("0") else 0
    for number in range(first, last + 1) if first <= last else range(first, last - 1, -1):
        yield f"{number:0{width}}"
