"""Compares packed files with the checksums that were written with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from milliner.core.errors import DatasetError
from milliner.core.progress import Progress, silent
from milliner.shards.dataset import open_packed
from milliner.shards.format import Damage, Packed
from milliner.shards.sums import SUFFIX

_REPAIRABLE: Final = (".rec", ".tar")


@dataclass(frozen=True)
class Verified:
    """What a comparison has come to."""

    records: int
    """How many there are; where damage hides that, how many are whole."""
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
        packed = next((file.with_suffix(kind) for kind in _REPAIRABLE if file.with_suffix(kind).exists()), None)
        if packed:
            return (
                f"{found}; restore {file} from a copy, "
                f"or save what is whole with `milliner shards repair {packed} --into FOLDER`."
            )
        return f"{found}; restore {file} from a copy, or write it again with `milliner shards convert`."


def _total(opened: Iterable[Packed]) -> int | None:
    """Of all records; None where damage keeps them from being counted beforehand."""
    try:
        return sum(map(len, opened))
    except DatasetError:
        return None


def verify(files: str | Path | Iterable[str | Path], *, progress: Progress = silent) -> Verified:
    """Reads every byte of packed files; raises DatasetError where they cannot be opened at all.

    Args:
        files: one or several of what `open_packed` takes.
        progress: told of every record.
    """
    given = [files] if isinstance(files, str | Path) else list(files)
    opened = [open_packed(each, progress) for each in given]
    total, whole, damage = _total(opened), 0, []
    with progress("verify", total) as advance:
        for packed in opened:
            for item in packed.damage():
                if item is not None:
                    damage.append(item)
                whole += item is None
                advance()
    paths = [path for packed in opened for path in packed.files]
    unchecked = [path for path in paths if path.suffix and not path.with_suffix(SUFFIX).exists()]
    return Verified(whole if total is None else total, tuple(damage), tuple(unchecked))
