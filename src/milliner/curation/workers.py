"""Processes that make pictures anew for this one, a pipe to each.

Half of what Pillow does is Python, for which threads of one process wait on each other: processes make
more pictures on the same cores. They are told a path a line, and answer with a byte for the kind of the answer, four
for its length (little-endian) and its bytes.
"""

import json
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from milliner.core.errors import MillinerError, UnreadableImageError
from milliner.core.parallel import available_cores
from milliner.curation.plan import SetAside
from milliner.curation.recipe import Recipe
from milliner.images.reencode import Reencoding

_ANSWER: Final = struct.Struct("<cI")
_PICTURE, _SET_ASIDE, _UNREADABLE = b"p", b"s", b"u"
_AHEAD: Final = 8  # paths that a worker knows of; all of them must fit into a pipe
_PIPE: Final = 2**20  # bytes, where the system lets them be chosen
_HERE: Final = str(Path(__file__).parents[2])
_SERVE: Final = "import sys; sys.path.insert(0, sys.argv[1]); from milliner.curation.workers import serve; serve()"


def by_workers(recipe: Recipe, paths: Sequence[str], count: int | None = None) -> Iterator[bytes | SetAside]:
    """What the recipe makes of every path, in their order, by one worker a core unless another `count` is asked for.

    Raises UnreadableImageError as the recipe does, and MillinerError where a worker is killed.
    """
    with ExitStack() as crew:
        workers = [crew.enter_context(_Worker(recipe)) for _ in range(count or available_cores())]
        asked = 0
        for place, path in enumerate(paths):
            while asked < min(len(paths), place + _AHEAD * len(workers)):
                workers[asked % len(workers)].ask(paths[asked])
                asked += 1
            yield workers[place % len(workers)].answer(path)


class _Worker:
    """One process, seen from this one; it ends when its pipe does, whatever becomes of this one."""

    def __init__(self, recipe: Recipe) -> None:
        command = [sys.executable, "-c", _SERVE, _HERE, json.dumps(asdict(recipe))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._questions: BinaryIO = self._process.stdin  # type: ignore[assignment] # both are pipes
        self._answers: BinaryIO = self._process.stdout  # type: ignore[assignment]
        _enlarge(self._answers.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # at the end all its answers are here
        self._process.wait()
        self._answers.close()
        try:
            self._questions.close()
        except BrokenPipeError:
            return  # questions that a killed worker has not read

    def ask(self, path: str) -> None:
        """Hands over a path."""
        try:
            self._questions.write(f"{path}\n".encode())
            self._questions.flush()
        except BrokenPipeError as error:
            raise self._gone() from error

    def answer(self, path: str) -> bytes | SetAside:
        """Waits for what it has made of the path that it was given longest ago."""
        head = self._answers.read(_ANSWER.size)
        if len(head) < _ANSWER.size:
            raise self._gone()
        kind, size = _ANSWER.unpack(head)
        content = self._answers.read(size)
        if len(content) < size:
            raise self._gone()
        if kind == _UNREADABLE:
            raise UnreadableImageError("unreadable", content.decode())
        return content if kind == _PICTURE else SetAside(path, content.decode())

    def _gone(self) -> MillinerError:
        return MillinerError(
            f"A process that packs pictures has ended by itself (exit status {self._process.wait()}), perhaps for want "
            "of memory; run the command again, it goes on where it stopped."
        )


def serve() -> None:
    """What a worker runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too, but it is the other process that ends it
    told = json.loads(sys.argv[2])
    recipe = Recipe(**{**told, "reencoding": told["reencoding"] and Reencoding(**told["reencoding"])})
    for line in sys.stdin.buffer:
        path = line[:-1].decode()
        try:
            result = recipe.one(path)
        except UnreadableImageError as error:
            _say(_UNREADABLE, str(error).encode())
        else:
            _say(_SET_ASIDE, result.reason.encode()) if isinstance(result, SetAside) else _say(_PICTURE, result)


def _say(kind: bytes, content: bytes) -> None:
    sys.stdout.buffer.write(_ANSWER.pack(kind, len(content)))
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _enlarge(descriptor: int) -> None:
    """A worker need not wait until its answers are taken."""
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
        except OSError:
            return  # a user may hold only so much in pipes
