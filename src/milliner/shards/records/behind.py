"""Writing that goes on beside the computing."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Behind:
    """Does one piece of work after the other in a thread of its own, at most so many behind its caller.

    What a piece raises is raised by a later call.
    """

    def __init__(self, most: int) -> None:
        self._pool, self._most = ThreadPoolExecutor(1), most
        self._waiting: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Has a piece of work done; waits where too many are behind."""
        self._waiting.append(self._pool.submit(work))
        while len(self._waiting) > self._most:
            self._waiting.popleft().result()

    def wait(self) -> None:
        """Returns once all is done."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """Drops what is not begun yet."""
        self._pool.shutdown(cancel_futures=True)
