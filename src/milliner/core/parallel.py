"""Spreads work over workers while memory stays flat."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """How an engine computes the same function of many items: `ordered_map` on this machine's cores, or others.

    Functions and items must be such that another process can be sent them: module-level functions, or frozen values
    with a `__call__` that hold plain values and open files, networks and connections only where they are called.
    """

    def __call__(self, function: Callable[[Item], Result], items: Iterable[Item], /) -> Iterator[Result]:
        """Yields ``function(item)`` in the order of `items`."""


def available_cores() -> int:
    """Cores this process may run on (its affinity, not the machine's count)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result]:
    """Yields ``function(item)`` in the order of `items`, computed by `workers` threads (default: one a core).

    At most four items a worker are in flight, so the memory held does not grow with the number of items.
    An exception of `function` is raised where its result would have come, and the rest is not begun.
    """
    count = workers or available_cores()
    pool = ThreadPoolExecutor(count)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 4 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
