"""Downloads many pictures at once, with every wait, retry, redirect and byte bounded."""

import asyncio
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Thread
from typing import Final

import httpx

from milliner import __version__
from milliner.images.decode import MAX_BYTES
from milliner.sources.answer import NoPictureError, askable, bad_address, no_answer, read_answer, target
from milliner.sources.source import Delivered, Delivery, Missed, Wanted

MAX_CONNECTIONS: Final = 32
MAX_CONNECTIONS_PER_HOST: Final = 20
MAX_REDIRECTS: Final = 5
USER_AGENT: Final = f"milliner/{__version__} (+https://github.com/milliner-vision/milliner)"


@dataclass(frozen=True)
class Patience:
    """How long one picture is worth waiting for, in seconds."""

    connect: float = 5.0
    read: float = 20.0
    """From one piece of an answer to the next."""
    total: float = 90.0
    """For all attempts, with the pauses between them."""
    pause: float = 0.5
    """Before the second attempt; it doubles from attempt to attempt."""
    longest_pause: float = 30.0
    """A server that asks for a longer one is left in peace."""
    attempts: int = 3


def download(
    pictures: Sequence[Wanted], endpoint: httpx.URL | None = None, patience: Patience = Patience()
) -> Generator[Delivery, None, None]:
    """Yields what became of each picture, as it comes in; not more than `MAX_CONNECTIONS` are in memory.

    The event loop has a thread of its own, so this works inside another loop too, as in a notebook.
    """
    with _loop_in_thread() as loop:
        session = _Session(endpoint, patience)
        pending: set[Future[Delivery]] = set()
        try:
            for picture in pictures:
                pending.add(asyncio.run_coroutine_threadsafe(session.get(picture), loop))
                while len(pending) == MAX_CONNECTIONS:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in pending:
                future.cancel()
            asyncio.run_coroutine_threadsafe(session.close(), loop).result()


class _Session:
    """The connections of one `download`; its coroutines run in one event loop."""

    def __init__(self, endpoint: httpx.URL | None, patience: Patience) -> None:
        self._endpoint = endpoint
        self._patience = patience
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(MAX_CONNECTIONS_PER_HOST)
        )
        self._client = httpx.AsyncClient(
            headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(patience.read, connect=patience.connect, pool=None),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def close(self) -> None:
        """Waits for what was cancelled, then ends the connections."""
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await self._client.aclose()

    async def get(self, picture: Wanted) -> Delivery:
        """One picture, whatever becomes of it."""
        try:
            url = target(picture.address, self._endpoint)
            async with self._hosts[url.host], asyncio.timeout(self._patience.total):
                return Delivered(picture, await self._persist(url))
        except NoPictureError as error:
            return Missed(picture, error.status, error.reason, error.answered)
        except TimeoutError:
            return Missed(picture, "failed", "timed out")

    async def _persist(self, url: httpx.URL) -> bytes:
        """Tries again where that may help; raises the last NoPictureError."""
        attempt = 1
        while True:
            try:
                return await self._attempt(url)
            except NoPictureError as error:
                pause = self._patience.pause * 2 ** (attempt - 1) if error.pause is None else error.pause
                if not error.transient or attempt == self._patience.attempts or pause > self._patience.longest_pause:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    async def _attempt(self, url: httpx.URL) -> bytes:
        request = self._client.build_request("GET", url)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(request)
            try:
                if response.next_request is None:
                    return await read_answer(response, MAX_BYTES)
            finally:
                await response.aclose()  # a redirect's own body, which may be endless, is not read
            request = response.next_request
        raise NoPictureError("too many redirects")

    async def _send(self, request: httpx.Request) -> httpx.Response:
        if not askable(request.url):
            raise NoPictureError("redirected away from http", status="rejected")
        try:
            return await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            raise no_answer(error) from error
        except (ValueError, OverflowError, ExceptionGroup) as error:  # what sockets say of hosts that cannot be
            raise bad_address() from error


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(MAX_CONNECTIONS))  # name look-ups that hang hold up no others
    thread = Thread(target=loop.run_forever, name="milliner-download", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
