"""What ``check --fix`` moves out of the way: which file of a finding goes, and which stays."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from milliner.core.errors import SettingsError
from milliner.curation.findings import KINDS, Finding
from milliner.images.aside import Aside, set_aside

_NOT_MOVED: Final = ("leak", "sibling", "imbalance")
MOVABLE: Final = tuple(name for name in KINDS if name not in _NOT_MOVED)
"""Kinds that can be set aside."""


def check_kinds(kinds: Iterable[str]) -> None:
    """Raises SettingsError for a kind that there is not, or that no file could be moved for."""
    for kind in kinds:
        if kind not in MOVABLE:
            raise SettingsError(f"Nothing is set aside as {kind!r}; give one or more of {', '.join(MOVABLE)}.")


def fix(root: Path, findings: Sequence[Finding], kinds: Sequence[str]) -> list[Aside]:
    """Moves the files of these kinds to ``set-aside/``; where none is named, all that training leaves out anyway.

    Of a finding about several files the first one goes; of pictures under two labels all do, since nobody knows
    which label is wrong.
    """
    check_kinds(kinds)
    wanted: dict[str, tuple[str, str]] = {}
    for each in findings:
        if each.kind in kinds or (not kinds and each.action == "set aside"):
            for file in each.files if each.kind == "two-labels" else each.files[:1]:
                wanted.setdefault(file, (each.kind, each.note))
    return set_aside(root, ((file, kind, reason) for file, (kind, reason) in wanted.items()))
