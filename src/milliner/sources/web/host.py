"""One host's share of our attention: how many connections, when to be quiet, and what its robots.txt says."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from protego import Protego
from yarl import URL

from milliner.sources.web.failure import NoAnswerError

ROBOTS_BYTES: Final = 512 * 1024
"""As much of a robots.txt as RFC 9309 asks crawlers to read."""

_PATIENCE: Final = 3  # refusals in a row that mean the host, not just one address
_DEAD: Final = 20  # attempts in a row that nobody answered
_ASK_AGAIN: Final = 30.0  # seconds for which a robots.txt that could not be had is not asked for again

Get = Callable[[URL], Awaitable[bytes]]


class Host:
    """The state of one host (scheme, name and port) during one fetch."""

    def __init__(self, origin: URL, connections: int) -> None:
        self._origin = origin
        self._connections = connections
        self.slots = asyncio.Semaphore(connections)
        self._refusals = 0
        self._silences = 0
        self._quiet_until = 0.0
        self._robots: asyncio.Task[Protego | None] | None = None
        self._robots_asked = 0.0

    def narrow(self, connections: int) -> None:
        """Allows no more connections than that from now on; those that are open already come on top."""
        if connections < self._connections:
            self._connections = connections
            self.slots = asyncio.Semaphore(connections)

    async def wait(self) -> None:
        """Returns once the host may be asked again."""
        while (pause := self._quiet_until - time.monotonic()) > 0:
            await asyncio.sleep(pause)

    def answered(self) -> None:
        """Notes an answer that was no refusal."""
        self._refusals = 0
        self._silences = 0

    def missed(self, answered: bool) -> None:
        """Notes an attempt that brought nothing, and whether anybody was there."""
        self._silences = 0 if answered else self._silences + 1

    def check_alive(self) -> None:
        """Raises NoAnswerError where nobody was there so often that its other addresses need not be waited for."""
        if self._silences >= _DEAD:
            raise NoAnswerError("no connection", transient=True, answered=False)

    def refused(self, pause: float) -> None:
        """Notes that the host asked for a pause; after a few in a row all of its addresses wait."""
        self._refusals += 1
        if self._refusals >= _PATIENCE:
            self._quiet_until = max(self._quiet_until, time.monotonic() + pause)

    async def allows(self, url: URL, user_agent: str, get: Get) -> bool:
        """Whether robots.txt, which is asked for once, leaves the address open to us.

        A missing one allows everything; raises NoAnswerError while it cannot be had (RFC 9309, 2.3.1).
        """
        if self._robots is None or self._has_failed(self._robots):
            self._robots, self._robots_asked = asyncio.ensure_future(self._read_robots(get)), time.monotonic()
        rules = await asyncio.shield(self._robots)
        return rules is None or bool(rules.can_fetch(str(url), user_agent))

    def _has_failed(self, robots: asyncio.Task[Protego | None]) -> bool:
        old = time.monotonic() - self._robots_asked > _ASK_AGAIN
        return robots.done() and (robots.cancelled() or (old and robots.exception() is not None))

    async def _read_robots(self, get: Get) -> Protego | None:
        try:
            content = await get(self._origin.with_path("/robots.txt"))
        except NoAnswerError as error:
            if not error.transient and error.reason != "compressed answer":
                return None
            if error.answered:
                raise NoAnswerError("robots.txt unavailable", transient=True) from error
            raise
        return Protego.parse(content.decode("utf-8-sig", "replace"))
