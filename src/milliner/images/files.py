"""Writing files so that a reader never meets half of one, and two writers never mix; reading them within bounds."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from milliner.core.errors import DatasetError, MillinerError

try:
    import fcntl
except ImportError:  # Windows has no such lock; the rename at the end is atomic there too
    fcntl = None  # type: ignore[assignment]


@contextmanager
def atomic_file(path: Path, *, resume: bool = False) -> Iterator[IO[bytes]]:
    """Opens ``.<name>.part`` beside `path`; on success it is flushed to disk and takes the name, on failure it goes.

    The folder is made where it is missing. A process killed midway leaves the part, which the next writer
    overwrites, and the old `path` untouched. Raises MillinerError while another process writes the same file.

    Args:
        path: the name that the file is to have.
        resume: keeps what a killed writer has left, to be gone on with; the part then also stays where the
            writer is interrupted, as by Ctrl-C, and goes where an error ends it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with _named(path, part), _open_alone(part, path, resume) as file:
        try:
            yield file
            sync(file)
            part.replace(path)
        except BaseException as error:
            if isinstance(error, Exception) or not resume:
                part.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


@contextmanager
def _named(path: Path, part: Path) -> Iterator[None]:
    """Lets the system's errors name the file that the user knows."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename) == str(part):
            error.filename = str(path)
        raise


def sync(file: IO[bytes]) -> None:
    """Returns once what was written is on the disk; a full disk shows here at the latest."""
    file.flush()
    os.fsync(file.fileno())


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a whole file through `atomic_file`."""
    with atomic_file(path) as file:
        file.write(content)


def write_quickly(path: str, content: bytes) -> None:
    """`write_atomically` for the many small files of a folder that a lock keeps to one process, several times faster.

    `path` must be written by one thread at a time. A power cut may take the new name back, never the file's wholeness.
    """
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.part")  # noqa: PTH118 - a path object would double the time
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(part, flags, 0o666)
    except FileNotFoundError:
        Path(folder).mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            if file.write(content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            os.fsync(descriptor)
        os.replace(part, path)  # noqa: PTH105
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def read_at_most(path: Path, limit: int) -> bytes:
    """A whole file's bytes; raises DatasetError where there are more than `limit`, OSError where it can't be read."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DatasetError(f"{path} is over {limit >> 20} MiB; shrink it or check the path.")
    return content


@contextmanager
def held_alone(lock: Path, path: Path) -> Iterator[None]:
    """Keeps `path` to this process by a lock file that is there as long; raises MillinerError while another has it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with _open_alone(lock, path, resume=False):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _open_alone(part: Path, path: Path, resume: bool) -> IO[bytes]:
    while True:
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.close()
                raise MillinerError(f"{path} is being written by another process; wait for it to end.") from error
        if _is_at(part, file):
            if not resume:
                file.truncate(0)
            return file
        file.close()  # between the opening and the lock another writer has renamed this very file into place


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """The rename itself lasts through a power cut only once the folder is on disk; Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
