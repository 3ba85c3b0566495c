"""What is to be packed: which picture goes into which split, under which number, and what stays out and why."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from milliner import __version__
from milliner.shards.lists import ListLine


@dataclass(frozen=True)
class Order:
    """What a plan is made from."""

    root: Path
    """The labelled folder."""
    ledger: Path
    """Where findings and drawn splits are remembered."""
    checked: bool = True
    """Whether the pictures are looked at before; otherwise they are taken as they are, and nothing is remembered."""
    quick: bool = False
    """Whether that is done without the network."""
    engine: str = "local"
    """What does it."""


@dataclass(frozen=True)
class SetAside:
    """A file that is not packed."""

    file: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Which line goes where, and the names of the label numbers."""

    splits: Mapping[str, list[ListLine]]
    labels: tuple[str, ...]
    contents: Mapping[str, str]
    """What tells the content of every file from others: its sha256, or its size and time of change."""
    set_aside: tuple[SetAside, ...] = ()
    notes: tuple[str, ...] = ()
    """What a user should know of the split."""

    def digest(self, recipe: str) -> str:
        """Names the files that this plan leads to; `recipe` says what becomes of each picture."""
        digest = hashlib.sha256(f"{__version__}\n{recipe}\n{self.labels}\n".encode())
        for name, lines in self.splits.items():
            digest.update(f"{name} {len(lines)}\n".encode())
            digest.update(
                "".join(f"{line.id} {line.labels} {self.contents[line.path]} {line.path}\n" for line in lines).encode()
            )
        return digest.hexdigest()
