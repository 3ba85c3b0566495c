"""Writing a dataset to where it will be read from: packed here first, uploaded when it is whole."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from milliner.core.address import without_login
from milliner.core.errors import DatasetError
from milliner.core.progress import Progress, silent
from milliner.images.cache import cache_folder
from milliner.images.files import write_atomically
from milliner.images.listing import COMPANIONS, RECORDS_NAME, belongs
from milliner.images.lock import held
from milliner.images.remote import (
    OBJECT_STORES,
    RemoteFile,
    file_system,
    in_one_sentence,
    on_the_web,
    on_this_disk,
    path_here,
)

_WORKERS: Final = 4
_PROBE: Final = ".milliner-writes"

Obsolete = Callable[[Collection[str]], Collection[str]]
"""Of the names in a folder those that must go when new files come."""


def _nothing(_names: Collection[str]) -> Collection[str]:
    return ()


@contextmanager
def published(address: str, *, obsolete: Obsolete = _nothing, progress: Progress = silent) -> Iterator[Path]:
    """A folder of this machine whose files are uploaded to a URL when the block ends well.

    The folder lies in the user's cache, is the same one every time for a URL, and keeps what a killed or failed run
    has left, for writers that go on from there. Where the block fails nothing is uploaded. What is already there with
    the same content stays, so an upload that was killed goes on with the next run; earlier files that will be replaced
    or are obsolete go first, and the files by which a split is opened come last: a reader meets an old split, none, or
    the new one. Hidden files and ledgers are not uploaded. A ``file://`` address is the folder itself.

    Args:
        address: the URL of a folder.
        obsolete: given the names of the folder's files there, those that go.
        progress: told of every file.

    Raises:
        DatasetError: the address cannot be written, which is tried before the block begins.
    """
    system, path = file_system(address)
    here = path_here(system, path)
    if here is not None:
        yield here
        return
    shown = without_login(address)
    if on_the_web(path):
        raise DatasetError(f"{shown} is a web address, which takes no files; give a bucket, such as s3://name/folder.")
    folder = cache_folder() / "uploads" / hashlib.sha256(shown.encode()).hexdigest()[:24]
    with on_this_disk(shown):
        (folder / "files").mkdir(parents=True, exist_ok=True)
    with held(folder / "lock", f"wait for another run that writes {shown}", progress):
        upload = _Upload(system, path.rstrip("/"), shown, folder)
        upload.try_writing()
        yield upload.files
        with on_this_disk(shown):
            upload.run(obsolete, progress)


class _Upload:
    """The folder's files, and a journal of what was uploaded: each file's SHA-256 and the version that it got there."""

    def __init__(self, system: Any, path: str, address: str, folder: Path) -> None:
        self._system, self._path, self._address = system, path, address
        self.files = folder / "files"
        self._journal = folder / "uploaded.json"

    def try_writing(self) -> None:
        """Said before the work rather than after it: whether the address takes files."""
        with in_one_sentence(self._address, verb="written"):
            self._make_folder(self._path)
            self._system.pipe_file(f"{self._path}/{_PROBE}", b"milliner")
            self._system.rm_file(f"{self._path}/{_PROBE}")

    def run(self, obsolete: Obsolete, progress: Progress) -> None:
        """Uploads what is not there, and empties the folder."""
        names = sorted(self._names())
        with ThreadPoolExecutor(_WORKERS) as pool:
            sums = dict(zip(names, pool.map(self._sum, names), strict=True))
        there = self._there(names)
        known = self._read()
        changed = [name for name in names if not _is_there(known.get(name), sums[name], there.get(name))]
        gone = set(obsolete(there)) - set(names) | {name for name in changed if name in there and _rank(name)}
        with in_one_sentence(self._address, verb="written"):
            for name in sorted(gone, key=_rank, reverse=True):  # nobody opens what loses its parts one by one
                self._system.rm_file(f"{self._path}/{name}")
        known = {name: known[name] for name in names if name in known and name not in changed}
        with progress("upload", len(changed)) as advance, ThreadPoolExecutor(_WORKERS) as pool:
            for rank in range(3):
                some = [name for name in changed if _rank(name) == rank]
                for name, version in zip(some, pool.map(self._put, some), strict=True):
                    known[name] = (sums[name], version)
                    write_atomically(self._journal, json.dumps(known).encode())
                    advance(note=name)
        self._empty(names)

    def _names(self) -> Iterator[str]:
        for path in self.files.rglob("*"):
            name = path.relative_to(self.files).as_posix()
            if path.is_file() and belongs(name):
                yield name

    def _sum(self, name: str) -> str:
        with (self.files / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _there(self, names: list[str]) -> dict[str, RemoteFile]:
        """What the address has by now; deeper than its folder only where that is written to."""
        depth = max((name.count("/") + 1 for name in names), default=1)
        with in_one_sentence(self._address):
            self._system.invalidate_cache()
            try:
                found = self._system.find(self._path, maxdepth=depth, detail=True)
            except FileNotFoundError:
                return {}
        files = (RemoteFile.of(info) for info in found.values() if info["type"] == "file")
        return {file.path.removeprefix(self._path).lstrip("/"): file for file in files}

    def _put(self, name: str) -> str:
        """Uploads one file and returns the version that it has there."""
        place = f"{self._path}/{name}"
        with in_one_sentence(self._address, verb="written"):
            self._make_folder(place.rpartition("/")[0])
            self._system.put_file(str(self.files / name), place)
            self._system.invalidate_cache()
            file = RemoteFile.of(self._system.info(place))
        size = (self.files / name).stat().st_size
        if file.size not in (None, size):
            raise DatasetError(
                f"{self._address}/{name} has {file.size} bytes of {size} after it was written; run the command again."
            )
        return file.version

    def _make_folder(self, place: str) -> None:
        if self._address.partition("://")[0] not in OBJECT_STORES:  # there it would make a missing bucket
            self._system.makedirs(place, exist_ok=True)

    def _read(self) -> dict[str, tuple[str, str]]:
        try:
            found = json.loads(self._journal.read_bytes())
            return {str(name): (str(digest), str(version)) for name, (digest, version) in found.items()}
        except (FileNotFoundError, ValueError, AttributeError):
            return {}

    def _empty(self, names: list[str]) -> None:
        """The journal stays, and so does a ledger, so that packing the same again uploads and checks nothing."""
        for name in names:
            (self.files / name).unlink()


def _is_there(known: tuple[str, str] | None, digest: str, file: RemoteFile | None) -> bool:
    return bool(file and file.version) and known == (digest, file.version if file else "")


def _rank(name: str) -> int:
    """When a file comes: first what lies beside others, then what a split is opened by, then lists of such files."""
    return 0 if name.endswith(COMPANIONS) else 2 if name.endswith(RECORDS_NAME) else 1
