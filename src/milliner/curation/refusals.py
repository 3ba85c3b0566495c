"""What a run that was killed has left out so far, so that the next one knows where its records came from."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from milliner.curation.plan import SetAside
from milliner.images.files import read_at_most, sync
from milliner.shards.lists import ListLine

_NAME: Final = ".set-aside.part"
_MAX_BYTES: Final = 2**28


class Refusals:
    """Files that turned out to be unusable while they were packed, noted before any later record is written."""

    def __init__(self, path: Path, plan: str) -> None:
        """Use `refusals`."""
        self._path, self._plan = path, plan
        self._known = _read(path, plan)
        self._rows = {row.file: row for row in self._known or ()}

    @property
    def rows(self) -> tuple[SetAside, ...]:
        """All so far."""
        return tuple(self._rows.values())

    def add(self, row: SetAside) -> None:
        """Notes one; most runs never do, and so have no file."""
        with self._path.open("wb" if self._known is None else "ab") as file:
            if self._known is None:
                file.write(_line([self._plan]))
                self._known = []
            file.write(_line([row.file, row.reason]))
            sync(file)
        self._rows[row.file] = row

    def has(self, file: str) -> bool:
        """Whether a file is among them."""
        return file in self._rows

    def behind(self, lines: Sequence[ListLine], done: int) -> int:
        """The place in `lines` behind the one that the record number `done`, counted from 1, was made of."""
        if not done:
            return 0
        for place, line in enumerate(lines):
            done -= line.path not in self._rows
            if not done:
                return place + 1
        return len(lines)


@contextmanager
def refusals(folder: Path, plan: str) -> Iterator[Refusals]:
    """Goes on with what a run of the same plan has noted; interrupted it stays, otherwise it goes at the end."""
    path = folder / _NAME
    try:
        yield Refusals(path, plan)
    except Exception:
        path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)


def _read(path: Path, plan: str) -> list[SetAside] | None:
    """None where there is nothing of this plan; a last line that a kill has torn is not there."""
    if not path.exists():
        return None
    content = read_at_most(path, _MAX_BYTES)
    first, *rest = content[: content.rfind(b"\n") + 1].splitlines(keepends=True) or [b""]
    return [SetAside(*json.loads(row)) for row in rest] if first == _line([plan]) else None


def _line(value: list[str]) -> bytes:
    return json.dumps(value).encode() + b"\n"
