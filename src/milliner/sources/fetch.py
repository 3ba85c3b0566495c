"""Brings pictures from sources into a labelled folder, each once; a run that was killed goes on where it stopped."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from milliner.core.errors import FetchError
from milliner.core.plugins import find_plugins
from milliner.core.progress import Advance, Progress, silent
from milliner.images.ledger import LEDGER_NAME, Ledger
from milliner.sources.examine import Examined, examined
from milliner.sources.label import checked_label
from milliner.sources.lock import filling
from milliner.sources.result import FetchResult, Tally
from milliner.sources.source import Listing, Missed, Options, Source, Wanted
from milliner.sources.store import Store

_SILENT_START: Final = 20  # so many addresses without one answer mean that the network, not the list, is at fault


def fetch(
    sources: Sequence[str] | str,
    *,
    into: str | Path,
    label: str | None = None,
    limit: int | None = None,
    endpoint: str | None = None,
    seed: int = 0,
    base: str | Path = "",
    progress: Progress = silent,
) -> FetchResult:
    """Fetches the pictures of all `sources` into ``<into>/<label>/<16 hex of sha256>.<format>``.

    What became of each address is a row in ``<into>/ledger.sqlite``. Pictures that are there are not asked for
    again, nor are those that were rejected; those that failed are.

    Args:
        sources: each ``kind:argument``: ``urls:list.csv``, ``folder:path``, ``scenes:100``.
        into: the folder, made where it is missing. A second fetch into it waits for the first to end.
        label: the class of pictures for which the source names none.
        limit: at most so many pictures of each class, from all `sources` together and over all runs.
        endpoint: scheme, host and port, such as ``http://127.0.0.1:8000``, to ask instead of every list's own.
        seed: chooses other drawn scenes.
        base: where relative paths of the sources begin; the current folder when left out.
        progress: told of every picture.

    Raises:
        FetchError: a source cannot be used as a whole, a label is missing or cannot name a folder, the folder
            cannot be written, nobody answers, or not one picture can be used.
        DatasetError: the ledger cannot be used.
    """
    started = time.monotonic()
    specs = [sources] if isinstance(sources, str) else list(sources)
    if not specs:
        raise FetchError("There is no source to fetch from; give one, such as urls:list.csv.")
    if limit is not None and limit < 1:
        raise FetchError(f"The limit must be 1 or more, not {limit}; leave it out to fetch everything.")
    folder = Path(into)
    own_label = None if label is None else checked_label(label, "--label")
    options = Options(folder, own_label, endpoint, seed, Path(base))
    listings = [(spec, open_source(spec, options)) for spec in specs]
    with filling(folder, progress), Ledger.open(folder / LEDGER_NAME) as ledger:
        store = Store(folder, ledger, limit)
        intakes = [_Intake(spec, listing, store) for spec, listing in listings]
        with progress("fetch", _expected(intakes, store)) as advance:
            for intake in intakes:
                intake.run(advance)
    counts = tuple(count for intake in intakes for count in intake.tally.counts())
    result = FetchResult(folder, counts, time.monotonic() - started)
    _check_any(result)
    return result


def _check_any(result: FetchResult) -> None:
    totals = result.totals()
    if not totals["stored"] + totals["already"]:
        reasons = Counter[str]()
        for count in result.classes:
            reasons.update(count.rejected)
            reasons.update(count.failed)
        told = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common(3))
        raise FetchError(f"Not one picture of {sum(reasons.values())} could be used ({told}); check the source.")


def open_source(spec: str, options: Options) -> Listing:
    """Lists what ``kind:argument`` has; raises FetchError where there is no such source or it cannot be used."""
    kind, colon, argument = spec.partition(":")
    plugins: dict[str, Source] = find_plugins("milliner.sources", "SOURCE")
    if not colon or not argument or kind not in plugins:
        usages = ", ".join(plugin.usage for plugin in plugins.values())
        raise FetchError(f"{spec!r} is no source; give one of: {usages}.")
    return plugins[kind].open(argument, options)


class _Intake:
    """One source on its way into the folder: what still waits, and the count of what does not."""

    def __init__(self, source: str, listing: Listing, store: Store) -> None:
        # A path that is not UTF-8 reaches us with signs that the ledger cannot hold.
        self._source = source.encode(errors="replace").decode()
        self._listing = listing
        self._store = store
        self._silence = _Silence(self._source)
        self.tally = Tally(self._source, (wanted.label for wanted in listing.pictures))
        self.waiting: dict[str, deque[Wanted]] = {}
        waiting = [wanted for wanted in listing.pictures if not self._is_settled(wanted)]
        # What failed before is asked last, so that dead addresses do not stand in the way of living ones.
        for wanted in sorted(waiting, key=store.failed_before):
            self.waiting.setdefault(wanted.label, deque()).append(wanted)

    def run(self, advance: Advance) -> None:
        """Fetches what waits. With a limit, failures leave room, which the next batch fills."""
        for batch in self._batches():
            failed_before = {wanted for wanted in batch if self._store.failed_before(wanted)}
            with closing(self._listing.deliver(batch)) as deliveries, closing(examined(deliveries)) as findings:
                for finding in findings:
                    row = self._store.keep(self._source, finding)
                    self.tally.add(row)
                    done = row.file is not None or self._store.room(row.label) == math.inf
                    advance(int(done), note=row.file or row.reason or "")
                    self._silence.note(finding, again=finding.wanted in failed_before)
        self._silence.end()

    def _batches(self) -> Iterator[list[Wanted]]:
        while batch := [wanted for label, queue in self.waiting.items() for wanted in self._next_of(label, queue)]:
            yield batch

    def _next_of(self, label: str, queue: deque[Wanted]) -> list[Wanted]:
        batch: list[Wanted] = []
        while queue and len(batch) < self._store.room(label):
            wanted = queue.popleft()
            if not self._is_settled(wanted):  # by an earlier source of the same call
                batch.append(wanted)
        return batch

    def _is_settled(self, wanted: Wanted) -> bool:
        row = self._store.settled(wanted)
        if row is not None:
            self.tally.add_settled(row)
            self._silence.known |= row.file is not None
        return row is not None


class _Silence:
    """Tells a machine that is offline from a list with dead addresses, before all of them are waited for."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._unanswered = 0
        self._answered = False
        self.known = False
        """Whether pictures of this source have come before; addresses that have failed before then tell nothing."""

    def note(self, finding: Examined | Missed, again: bool) -> None:
        """Counts one address; raises FetchError when the first 20 were silent."""
        if not isinstance(finding, Missed) or finding.answered:
            self._answered = True
        elif finding.status == "failed" and not (self.known and again):
            self._unanswered += 1
        if self._unanswered >= _SILENT_START and not self._answered:
            raise self._error()

    def end(self) -> None:
        """Raises FetchError when there were fewer addresses and all were silent."""
        if self._unanswered and not self._answered and not self.known:
            raise self._error()

    def _error(self) -> FetchError:
        return FetchError(
            f"None of {self._unanswered} addresses of {self._source} answered; check the network or the list, "
            "then fetch again."
        )


def _expected(intakes: list[_Intake], store: Store) -> int:
    """How many pictures are to come if none fails."""
    waiting: Counter[str] = Counter()
    for intake in intakes:
        waiting.update({label: len(queue) for label, queue in intake.waiting.items()})
    return sum(int(min(count, max(0, store.room(label)))) for label, count in waiting.items())
