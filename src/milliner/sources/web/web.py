"""The web as the sources see it: an event loop in a thread of its own, so that it works inside a notebook's too."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any, Final, Self, TypeVar

from yarl import URL

from milliner.sources.web.address import at_endpoint, parse, parse_endpoint
from milliner.sources.web.client import Client
from milliner.sources.web.failure import NoAnswerError, bad_address
from milliner.sources.web.manners import POLITE, Manners
from milliner.sources.web.stream import BUFFER, Stream

MAX_DOCUMENT: Final = 32 * 2**20
"""Bytes of an interface's answer."""

_MAX_LOOKUPS: Final = 32

_log: Final = logging.getLogger(__name__)

Result = TypeVar("Result")


class Web:
    """Asks for pictures and documents; use `Web.open`. Its methods may be called from any thread but the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: Client, endpoint: URL | None) -> None:
        self._loop = loop
        self._client = client
        self._endpoint = endpoint

    @classmethod
    @contextmanager
    def open(cls, manners: Manners = POLITE, endpoint: str | None = None) -> Iterator[Self]:
        """Opens the connections and closes them.

        Args:
            manners: what is allowed.
            endpoint: scheme, host and port that every request goes to, such as ``http://127.0.0.1:8000``.

        Raises:
            FetchError: the endpoint is not of that form.
        """
        where = parse_endpoint(endpoint)
        with _loop_in_thread() as loop:
            client = asyncio.run_coroutine_threadsafe(_made(manners, where), loop).result()
            try:
                yield cls(loop, client, where)
            finally:
                asyncio.run_coroutine_threadsafe(_closed(client), loop).result()

    def picture(
        self, address: str, use: Callable[[bytes], Result], pool: Executor, connections: int | None = None
    ) -> Future[Result]:
        """What `use` will make of a picture's bytes on a thread of `pool`, or a NoAnswerError.

        At most so many `connections` to its host are open at once.
        """
        answer: Future[Result] = Future()
        self._loop.call_soon_threadsafe(self._begin, answer, address, use, pool, connections)
        return answer

    def _begin(
        self,
        answer: Future[Result],
        address: str,
        use: Callable[[bytes], Result],
        pool: Executor,
        connections: int | None,
    ) -> None:
        asked = self._loop.create_task(self._client.picture(address, connections))
        asked.add_done_callback(partial(self._hand_on, answer, use, pool))

        def call_off(done: Future[Result]) -> None:
            if done.cancelled():
                self._loop.call_soon_threadsafe(asked.cancel)

        answer.add_done_callback(call_off)

    def _hand_on(
        self,
        answer: Future[Result],
        use: Callable[[bytes], Result],
        pool: Executor,
        asked: asyncio.Task[bytes],
    ) -> None:
        """Takes what came to the pool, and what did not to whoever waits."""
        if asked.cancelled():
            answer.cancel()
        elif error := asked.exception():
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)
        else:
            try:
                pool.submit(self._use, answer, use, asked.result())
            except RuntimeError:  # the pool is closed, and nobody waits any more
                self._client.give_back()
                answer.cancel()

    def _use(self, answer: Future[Result], use: Callable[[bytes], Result], content: bytes) -> None:
        try:
            if answer.set_running_or_notify_cancel():
                answer.set_result(use(content))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it; the pool would keep it to itself
            answer.set_exception(error)
        finally:
            self._client.give_back()

    def content(self, address: str, most: int) -> bytes:
        """What an address answers, of no more than `most` bytes. Raises NoAnswerError."""
        return self._wait(self._client.document(address, most))

    def json(self, address: str, query: Mapping[str, str] | None = None, token: str | None = None) -> Any:
        """What an interface answers, parsed; `token` goes along as a bearer's. Raises NoAnswerError."""
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            url = str(URL(address).with_query(dict(query or {})))
        except ValueError as error:  # such as a name of files that is not UTF-8
            raise bad_address() from error
        return _parsed(self._wait(self._client.document(url, MAX_DOCUMENT, headers)))

    def post(self, address: str, fields: Mapping[str, str]) -> Any:
        """What a form is answered with, parsed from JSON. Raises NoAnswerError."""
        return _parsed(self._wait(self._client.form(address, fields, MAX_DOCUMENT)))

    def stream(self, address: str, headers: Mapping[str, str] | None = None) -> tuple[io.BufferedReader, str]:
        """A long answer as a file that reads forward only, and its content type. Raises NoAnswerError."""
        stream, kind, _ = self.stream_from(address, headers, 0)
        return stream, kind

    def stream_from(
        self, address: str, headers: Mapping[str, str] | None, begin: int
    ) -> tuple[io.BufferedReader, str, int]:
        """`stream`, begun `begin` bytes into the answer where its server can do that; third is where it does begin."""
        url = at_endpoint(parse(address), self._endpoint)
        try:
            raw = Stream(self._client, self._wait, url, headers or {}, begin)
        except NoAnswerError as error:
            if not begin or error.transient or error.reason != "connection lost":
                raise
            raw = Stream(self._client, self._wait, url, headers or {})
        return io.BufferedReader(raw, BUFFER), raw.content_type, raw.position

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NoAnswerError("answer is not JSON") from error


async def _made(manners: Manners, endpoint: URL | None) -> Client:
    return Client(manners, endpoint)


async def _closed(client: Client) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await client.close()


def _note_quietly(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What goes wrong inside the library's own callbacks, such as a reset of a connection that is closed already.

    What goes wrong with a picture reaches whoever asked for it.
    """
    _log.debug("web: %s", context.get("message"), exc_info=context.get("exception"))


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_note_quietly)
    loop.set_default_executor(ThreadPoolExecutor(_MAX_LOOKUPS))  # name look-ups that hang hold up no others
    thread = Thread(target=loop.run_forever, name="milliner-web", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
