"""Compares packed files with the checksums that were written with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from milliner.core.progress import Progress, silent
from milliner.shards.dataset import open_packed
from milliner.shards.format import Damage
from milliner.shards.sums import SUFFIX

_REPAIRABLE: Final = (".rec", ".tar")


@dataclass(frozen=True)
class Verified:
    """What a comparison has come to."""

    records: int
    """How many were looked at."""
    damage: tuple[Damage, ...]
    unchecked: tuple[Path, ...]
    """Files without checksums, of which only what cannot be read could be told."""

    def to_json(self) -> dict[str, Any]:
        """The `shards verify --json` shape."""
        damage = [
            {"file": str(item.file), "offset": item.offset, "record": item.record, "what": item.what}
            for item in self.damage
        ]
        return {"records": self.records, "damage": damage, "unchecked": [str(path) for path in self.unchecked]}

    @property
    def advice(self) -> str:
        """What can be done about the damage, in one sentence."""
        count, file = len(self.damage), self.damage[0].file
        found = f"{count} {'place is' if count == 1 else 'places are'} damaged"
        if file.suffix in _REPAIRABLE:
            return (
                f"{found}; restore {file} from a copy, "
                f"or save what is whole with `milliner shards repair {file} --into FOLDER`."
            )
        return f"{found}; restore {file} from a copy, or write it again with `milliner shards convert`."


def verify(files: str | Path | Iterable[str | Path], *, progress: Progress = silent) -> Verified:
    """Reads every byte of packed files; raises DatasetError where they cannot be opened at all.

    Args:
        files: one or several of what `open_packed` takes.
        progress: told of every record.
    """
    given = [files] if isinstance(files, str | Path) else list(files)
    opened = [open_packed(each, progress) for each in given]
    records, damage = 0, []
    with progress("verify", sum(map(len, opened))) as advance:
        for packed in opened:
            for item in packed.damage():
                if item is not None:
                    damage.append(item)
                advance()
            records += len(packed)
    paths = [path for packed in opened for path in packed.files]
    unchecked = [path for path in paths if path.suffix and not path.with_suffix(SUFFIX).exists()]
    return Verified(records, tuple(damage), tuple(unchecked))
