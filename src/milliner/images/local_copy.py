"""A dataset that lies elsewhere, kept in the user's cache: fetched once, and again only where it has changed."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from milliner.core.address import is_url, without_login
from milliner.core.errors import DatasetError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress, silent
from milliner.images.cache import cache_folder
from milliner.images.files import write_atomically
from milliner.images.listing import Found, find
from milliner.images.lock import held
from milliner.images.remote import RemoteFile, file_system, in_one_sentence, on_this_disk, path_here

_PIECE: Final = 4 * 2**20  # bytes that are asked for at once
_WORKERS: Final = 8  # each holds at most four pieces
_LEFT_FREE: Final = 2**30
"""Bytes of the disk that a copy leaves free."""


def path_of(dataset: str | Path, progress: Progress = silent) -> Path:
    """Where a dataset lies on this machine, whether a user gives its path or its URL; see `local_copy`."""
    return local_copy(dataset, progress) if isinstance(dataset, str) and is_url(dataset) else Path(dataset)


def local_copy(address: str, progress: Progress = silent) -> Path:
    """Where a dataset of any URL that fsspec knows lies on this machine, after what is new there was fetched.

    A packed file comes with what lies beside it (``.idx``, ``.lst``, ``.labels``, ``.sums``), a pattern such as
    ``s3://bucket/train-{000..011}.tar`` or ``…/train-*.tar`` with all its files, a folder with all in it that is
    visible; for a pattern the path returned ends in that pattern. Files are fetched in parallel into the user's cache,
    which `MILLINER_CACHE` places; those that the store lists with the same version as before are not asked for. A run
    that was killed goes on where it stopped, within a file as well. ``file://`` addresses are not copied.

    Args:
        address: the URL.
        progress: told of every piece, of 4 MiB or a smaller file.

    Raises:
        DatasetError: it cannot be reached, is not there, changes meanwhile, or there is no room for it.
    """
    system, path = file_system(address)
    here = path_here(system, path)
    if here is not None:
        return here
    shown = without_login(address)
    folder = cache_folder() / "datasets" / hashlib.sha256(shown.encode()).hexdigest()[:24]
    with on_this_disk(shown), held(folder / "lock", f"wait for another copy of {shown}", progress):
        found = find(system, path, shown)
        copy = _Copy(folder, shown)
        if copy.refresh(system, found.files, progress) and _versions(find(system, path, shown)) != _versions(found):
            raise DatasetError(f"{shown} was changed while it was being copied; run the command again.")
        return copy.files / found.name


def _versions(found: Found) -> dict[str, tuple[int | None, str]]:
    return {name: (file.size, file.version) for name, file in found.files.items()}


@dataclass(frozen=True)
class _Piece:
    """A part of a file; the last one of each is marked."""

    name: str
    file: RemoteFile
    start: int
    end: int
    last: bool


class _Copy:
    """A folder of copied files with a journal: a line for each file that is whole, with the version that it has."""

    def __init__(self, folder: Path, address: str) -> None:
        self.files = folder / "files"
        self._journal = folder / "copied.jsonl"
        self._address = address
        self._known = self._read()

    def refresh(self, system: Any, wanted: Mapping[str, RemoteFile], progress: Progress) -> bool:
        """Fetches what is missing or has changed, drops what is gone; says whether anything was fetched."""
        gone = [name for name in self._known if name not in wanted]
        for name in gone:
            (self.files / name).unlink(missing_ok=True)
            del self._known[name]
        missing = {name: file for name, file in wanted.items() if not self._has(name, file)}
        if missing:
            self._check_room(missing)
            self._fetch(system, missing, progress)
            for part in self.files.rglob(".*.part"):  # of versions that are gone
                part.unlink(missing_ok=True)
        if missing or gone:
            write_atomically(self._journal, "".join(map(_line, self._known, self._known.values())).encode())
        return bool(missing)

    def _has(self, name: str, file: RemoteFile) -> bool:
        version, size = self._known.get(name, ("", -1))
        try:
            return bool(version) and version == file.version and (self.files / name).stat().st_size == size
        except OSError:
            return False

    def _check_room(self, missing: Mapping[str, RemoteFile]) -> None:
        needed = sum(file.size or 0 for file in missing.values())
        self.files.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.files).free
        if needed > free - _LEFT_FREE:
            raise DatasetError(
                f"{self._address} takes {_gib(needed)}, and the disk of {self.files} has {_gib(free)} free, of which "
                f"{_gib(_LEFT_FREE)} stay so; make room, or set MILLINER_CACHE to a folder of a larger disk."
            )

    def _fetch(self, system: Any, missing: Mapping[str, RemoteFile], progress: Progress) -> None:
        pieces = [piece for name, file in missing.items() for piece in self._pieces(name, file)]
        read = partial(_read, system, self._address)
        with progress("copy", len(pieces)) as advance, self._journal.open("a", encoding="utf-8") as journal:
            # In order: what a file's part holds is its beginning, whenever the process ends.
            for piece, content in zip(pieces, ordered_map(read, pieces, _WORKERS), strict=True):
                part = self._part(piece.name, piece.file)
                if piece.file.ranges:
                    self._append(part, content)
                else:
                    self._stream(system, piece.file, part)
                if piece.last:
                    part.replace(self.files / piece.name)
                    self._known[piece.name] = (piece.file.version, (self.files / piece.name).stat().st_size)
                    journal.write(_line(piece.name, self._known[piece.name]))
                    journal.flush()
                advance(note=piece.name)

    def _pieces(self, name: str, file: RemoteFile) -> Iterator[_Piece]:
        if not file.ranges or file.size is None:
            yield _Piece(name, file, 0, 0, last=True)
            return
        part = self._part(name, file)
        part.parent.mkdir(parents=True, exist_ok=True)
        start = part.stat().st_size if part.exists() and file.version else 0
        if not start:
            part.unlink(missing_ok=True)
        while file.size - start > _PIECE:
            yield _Piece(name, file, start, start + _PIECE, last=False)
            start += _PIECE
        yield _Piece(name, file, start, file.size, last=True)

    def _part(self, name: str, file: RemoteFile) -> Path:
        """Named after the version, so that pieces of two are never joined."""
        path = self.files / name
        return path.with_name(f".{path.name}.{hashlib.sha256(file.version.encode()).hexdigest()[:12]}.part")

    def _append(self, part: Path, content: bytes) -> None:
        # Not waited for: where a power cut takes the end of a copy, its size shows it.
        with part.open("ab") as file:
            file.write(content)

    def _stream(self, system: Any, file: RemoteFile, part: Path) -> None:
        """From a server that gives whole files only, of a size that it need not even know."""
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as target:
            for content in _whole(system, file, self._address):
                self._check_room({"": RemoteFile("", len(content), "")})
                target.write(content)
            written = target.tell()
        if file.size not in (None, written):
            raise DatasetError(
                f"{self._address} was cut short at byte {written} of {file.size}; run the command again."
            )

    def _read(self) -> dict[str, tuple[str, int]]:
        """What the journal says; a line that a kill has cut, the last, is passed by."""
        known: dict[str, tuple[str, int]] = {}
        try:
            lines = self._journal.read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, UnicodeDecodeError):
            return known
        for line in lines:
            try:
                name, version, size = json.loads(line)
            except ValueError:
                continue
            known[str(name)] = (str(version), int(size))
        return known


def _line(name: str, known: tuple[str, int]) -> str:
    return json.dumps([name, *known]) + "\n"


def _read(system: Any, address: str, piece: _Piece) -> bytes:
    """Asks for one piece; nothing where the file comes as a whole."""
    if piece.start == piece.end:
        return b""
    with in_one_sentence(address):
        content: bytes = system.cat_file(piece.file.path, start=piece.start, end=piece.end)
    if len(content) != piece.end - piece.start:
        raise DatasetError(f"{piece.name} of {address} was changed while it was being copied; run the command again.")
    return content


def _whole(system: Any, file: RemoteFile, address: str) -> Iterator[bytes]:
    with in_one_sentence(address), system.open(file.path, "rb", block_size=0) as stream:
        while content := stream.read(_PIECE):
            yield content


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
