"""One source on its way into the folder: what is wanted, what comes, and what becomes of it."""

import math
import time
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Final

from milliner.core.errors import FetchError, UnreadableImageError
from milliner.core.parallel import available_cores
from milliner.core.progress import Advance, Progress
from milliner.sources.examine import examine
from milliner.sources.result import ClassCount, Tally
from milliner.sources.rules import Rules
from milliner.sources.silence import Silence
from milliner.sources.source import Finding, Listing, Missed, Wanted
from milliner.sources.store import FolderError, Store
from milliner.sources.web.failure import NoAnswerError
from milliner.sources.web.web import Web

_ASKED_AT_ONCE: Final = 8  # times the connections: so that slow hosts and pauses do not hold up the others
_READ_AT_ONCE: Final = 2  # times the workers: pictures in memory that are not downloaded by themselves
_MAX_WORKERS: Final = 16
_WORKERS: Final = 2  # for each core, since writing is mostly waiting for the disk

Fault = FetchError | NoAnswerError


class Intake:
    """Fetches what one source lists; `limit` is the most pictures of one class that the folder may have."""

    def __init__(self, source: str, listing: Listing, store: Store, web: Web, rules: Rules, limit: int | None) -> None:
        self._listing = listing
        self._store = store
        self._web = web
        self._rules = rules
        self._limit = limit
        # A path that is not UTF-8 reaches us with signs that the ledger cannot hold.
        self._source = source.encode(errors="replace").decode()
        self._tally = Tally(self._source)
        self._silence = Silence(self._source)
        self._rooms: dict[str, float] = {}
        self._fault: Fault | None = None
        self._workers = min(_MAX_WORKERS, _WORKERS * available_cores())
        self._coming: dict[Future[Finding], Wanted] = {}
        self._come: SimpleQueue[Future[Finding]] = SimpleQueue()
        self._names: set[tuple[str, str]] = set()
        self._labels: Counter[str] = Counter()
        self._reading = 0

    def run(self, progress: Progress) -> tuple[list[ClassCount], Fault | None]:
        """Fetches, and returns the counts class by class, and why the source could not be gone on with, if so."""
        started = time.monotonic()
        if self._listing.label is not None:
            self._note_room(self._listing.label)
        with progress(f"fetch {self._source[:40]}", self._expected()) as advance:
            self._take_all(advance)
        seconds = time.monotonic() - started
        labels = self._tally.labels | ({self._listing.label} if self._listing.label else set())
        counts = [self._tally.count(label, self._rooms.get(label, math.inf), seconds) for label in sorted(labels)]
        return counts, self._fault or self._silence.fault()

    def _expected(self) -> int | None:
        room = self._rooms.get(self._listing.label or "", math.inf)
        most = min(room, math.inf if self._listing.total is None else self._listing.total)
        return None if most == math.inf else int(most)

    def _take_all(self, advance: Advance) -> None:
        pool = ThreadPoolExecutor(self._workers, "milliner-examine")
        pictures = iter(self._listing.pictures)
        try:
            while (wanted := self._next(pictures)) is not None and self._take(wanted, pool, advance):
                pass
            while self._coming and not self._silence.is_hopeless():
                self._collect(advance)
        finally:
            for future in self._coming:
                future.cancel()
            pool.shutdown(wait=True, cancel_futures=True)
            self._keep_finished()
            if isinstance(pictures, Generator):
                pictures.close()  # hangs up while there still is a web to hang up on

    def _next(self, pictures: Iterator[Wanted]) -> Wanted | None:
        if self._silence.is_hopeless() or self._fault is not None:
            return None
        try:
            return next(pictures, None)
        except (FetchError, NoAnswerError) as error:
            self._fault = error
            return None

    def _take(self, wanted: Wanted, pool: ThreadPoolExecutor, advance: Advance) -> bool:
        """Starts on one picture, unless it is settled; returns whether the source should go on."""
        while (wanted.address, wanted.label) in self._names:  # named twice, and on its way
            self._collect(advance)
        row = self._store.settled(wanted)
        if row is not None:
            self._tally.add_settled(row)
            self._silence.known |= row.file is not None
            advance(int(self._limit is None), self._note())
            return True
        if not self._rules.allow(wanted):
            self._keep(Missed(wanted, "rejected", "licence"), advance)
            return True
        while self._is_full(wanted.label):
            if not self._labels[wanted.label]:
                self._listing.full.add(wanted.label)
                self._tally.labels.add(wanted.label)
                return self._listing.label is None
            self._collect(advance)
        try:
            self._start(wanted, pool)
        except (FetchError, NoAnswerError) as error:
            self._fault = error
            return False
        one = self._listing.label is not None
        while self._is_busy() or (one and self._labels[wanted.label] and self._is_full(wanted.label)):
            self._collect(advance)
        return not (one and self._is_full(wanted.label))  # a camera may never show anything new again

    def _note_room(self, label: str) -> None:
        if label not in self._rooms:
            self._rooms[label] = math.inf if self._limit is None else max(0, self._limit - self._store.count(label))

    def _is_full(self, label: str) -> bool:
        self._note_room(label)
        return self._limit is not None and self._store.count(label) + self._labels[label] >= self._limit

    def _is_busy(self) -> bool:
        asked = len(self._coming) - self._reading
        return (
            asked >= _ASKED_AT_ONCE * self._rules.manners.connections or self._reading >= _READ_AT_ONCE * self._workers
        )

    def _start(self, wanted: Wanted, pool: ThreadPoolExecutor) -> None:
        """Downloads a picture or reads it at once; raises FetchError or NoAnswerError where its source breaks off."""
        future: Future[Finding]
        if wanted.read is None:
            address = wanted.url or wanted.address
            future = self._web.picture(address, partial(self._judge, wanted), pool, self._listing.connections)
        elif wanted.in_order:
            encoded = _read(wanted)
            future = pool.submit(self._judge_read, wanted, encoded)
            self._reading += 1
        else:
            future = pool.submit(lambda: self._judge_read(wanted, _read(wanted)))
            self._reading += 1
        self._coming[future] = wanted
        self._names.add((wanted.address, wanted.label))
        self._labels[wanted.label] += 1
        future.add_done_callback(self._come.put)

    def _judge(self, wanted: Wanted, encoded: bytes) -> Finding:
        return self._store.place(examine(wanted, encoded, self._rules.min_side), encoded)

    def _judge_read(self, wanted: Wanted, encoded: bytes | Missed) -> Finding:
        return encoded if isinstance(encoded, Missed) else self._judge(wanted, encoded)

    def _collect(self, advance: Advance) -> None:
        """Waits until something has come, and records it."""
        future = self._come.get()
        wanted = self._coming.pop(future)
        self._names.discard((wanted.address, wanted.label))
        self._labels[wanted.label] -= 1
        self._reading -= wanted.read is not None
        try:
            finding = future.result()
        except FolderError as error:
            self._fault = error
            return
        except FetchError as error:
            self._fault = error
            finding = Missed(wanted, "failed", "source broke off", True, True)
        except NoAnswerError as error:
            finding = Missed(wanted, error.status, error.reason, error.answered, error.transient)
        except CancelledError:
            finding = Missed(wanted, "failed", "connection lost", True, True)
        self._keep(finding, advance)

    def _keep_finished(self) -> None:
        """Records what was in place when the fetch was interrupted, so that it need not come again."""
        while not self._come.empty():
            future = self._come.get()
            if future in self._coming and not future.cancelled() and future.exception() is None:
                self._store.keep(self._source, future.result())

    def _keep(self, finding: Finding, advance: Advance) -> None:
        again = isinstance(finding, Missed) and self._store.failed_before(finding.wanted)
        row, placeholders = self._store.keep(self._source, finding)
        self._tally.add(row)
        for earlier in placeholders:
            if earlier.source == self._source:
                self._tally.take_back(earlier)
        self._silence.note(finding, again)
        advance(int(self._limit is None or row.file is not None), self._note())

    def _note(self) -> str:
        rejected, failed = self._tally.sums()
        return ", ".join(f"{count} {word}" for count, word in ((rejected, "rejected"), (failed, "failed")) if count)


def _read(wanted: Wanted) -> bytes | Missed:
    """A file that could not be read may be readable tomorrow; one that is too large will not shrink."""
    assert wanted.read is not None  # noqa: S101 - the caller has looked
    try:
        return wanted.read()
    except UnreadableImageError as error:
        failed = error.reason == "unreadable"
        return Missed(wanted, "failed" if failed else "rejected", error.reason, True, failed)
