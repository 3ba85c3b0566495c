"""What a killed run has written of a record file: a hidden ``.<split>.rec.plan``, there as long as the run is.

Little-endian: ``b"MILLPLAN"``, 32 bytes of SHA-256 over the plan and the classes' names, and for each record
``size u64, CRC-32 u32, CRC-32 of its line in the list u32``.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

_MAGIC: Final = b"MILLPLAN"
_ROW: Final = struct.Struct("<QII")
_HEAD: Final = len(_MAGIC) + 32


class Journal:
    """The rows of one run; without a file it takes none."""

    def __init__(self, file: IO[bytes] | None) -> None:
        self._file = file

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """What the killed run has noted."""
        if self._file is not None:
            self._file.seek(_HEAD)
            content = self._file.read()
            yield from _ROW.iter_unpack(content[: len(content) // _ROW.size * _ROW.size])

    def keep(self, count: int) -> None:
        """Forgets all but the first rows."""
        if self._file is not None:
            self._file.seek(_HEAD + count * _ROW.size)
            self._file.truncate()

    def add(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Notes records, and hands the rows to the system, which keeps them when the process is killed."""
        if self._file is not None:
            self._file.write(b"".join(_ROW.pack(*row) for row in rows))
            self._file.flush()


@contextmanager
def journal(path: Path, plan: str, labels: Sequence[str]) -> Iterator[Journal]:
    """The journal of the record file `path`, empty where it is of another plan; it stays where the run is killed.

    An empty `plan` leaves no journal. The caller has locked the record file against other writers.
    """
    place = path.with_name(f".{path.name}.plan")
    if not plan:
        place.unlink(missing_ok=True)
        yield Journal(None)
        return
    place.touch()
    head = _MAGIC + sha256(repr((plan, tuple(labels))).encode()).digest()
    try:
        with place.open("r+b") as file:
            if file.read(len(head)) != head:
                file.seek(0)
                file.truncate()
                file.write(head)
            yield Journal(file)
        place.unlink()
    except Exception:
        place.unlink(missing_ok=True)
        raise
