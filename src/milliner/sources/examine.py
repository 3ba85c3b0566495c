"""Judges what was delivered, on all cores: is it what was promised, and is it a picture?"""

import hashlib
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from milliner.core.parallel import available_cores
from milliner.images.inspect import inspect
from milliner.sources.source import Delivered, Delivery, Missed, Wanted

_MAX_WORKERS: Final = 8
_LEFT_TO_CHECK: Final = {"tiny", "blank"}  # whole pictures, about which `check` decides
_EXTENSIONS: Final = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}


@dataclass(frozen=True)
class Examined:
    """A delivery and the verdict on it; `reason` says why it is rejected, None that it is not."""

    wanted: Wanted
    encoded: bytes
    sha256: str
    reason: str | None
    extension: str
    """By the format that the bytes really have."""


def examine(delivery: Delivered) -> Examined:
    """Compares the hash where one was promised, and decodes the picture."""
    sha256 = hashlib.sha256(delivery.encoded).hexdigest()
    if delivery.wanted.sha256 not in (None, sha256):
        return Examined(delivery.wanted, delivery.encoded, sha256, "wrong sha256", "")
    seen = inspect(delivery.encoded)
    reason = None if seen.reason in _LEFT_TO_CHECK else seen.reason
    kind = seen.format or ""
    return Examined(delivery.wanted, delivery.encoded, sha256, reason, _EXTENSIONS.get(kind, f".{kind.lower()}"))


def examined(deliveries: Iterable[Delivery]) -> Generator[Examined | Missed, None, None]:
    """Yields what was missed at once, and the verdicts on what came as soon as they are there.

    At most two deliveries a worker are held, so memory stays flat however many come.
    """
    workers = min(_MAX_WORKERS, available_cores())
    waiting: deque[Future[Examined]] = deque()
    with ThreadPoolExecutor(workers, "milliner-examine") as pool:
        for delivery in deliveries:
            while waiting and (waiting[0].done() or len(waiting) == 2 * workers):
                yield waiting.popleft().result()
            if isinstance(delivery, Missed):
                yield delivery
            else:
                waiting.append(pool.submit(examine, delivery))
        while waiting:
            yield waiting.popleft().result()
