"""One long answer as a file that is read from beginning to end, which survives lost connections."""

import asyncio
import io
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
from yarl import URL

from milliner.sources.web.answer import check_status
from milliner.sources.web.client import ERRORS, Client
from milliner.sources.web.failure import NoAnswerError, as_no_answer

BUFFER: Final = 2**20

Run = Callable[[Coroutine[Any, Any, Any]], Any]

_MINUTE: Final = 60.0
_TRICKLE: Final = 60 * 1024
"""Bytes a minute of waiting; what brings less is given up."""


class Stream(io.RawIOBase):
    """Reads an address through `client`; `run` waits for a coroutine of its event loop.

    A connection that breaks is made again, from where it broke; servers that cannot do that give an error.
    Raises NoAnswerError, when made and when read.
    """

    def __init__(self, client: Client, run: Run, url: URL, headers: Mapping[str, str], begin: int = 0) -> None:
        self._client = client
        self._run = run
        self._url = url
        self._headers = dict(headers)
        self._connection = AsyncExitStack()
        self._response: aiohttp.ClientResponse | None = None
        self._mark: str | None = None
        self.position = begin
        self._waited, self._paced_from = 0.0, begin
        self.content_type = ""
        try:
            self._run(self._connect())
        except BaseException:
            super().close()  # there is nothing to hang up on, neither now nor when this is forgotten
            raise

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads up to as many bytes as the buffer holds, none at the end."""
        piece: bytes = self._run(self._read(len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Hangs up."""
        if not self.closed:
            self._run(self._connection.aclose())
        super().close()

    async def _read(self, most: int) -> bytes:
        for attempt in range(self._client.manners.attempts):
            if attempt > 1:
                await asyncio.sleep(self._pause(attempt))
            try:
                response = self._response or await self._connect()
                asked = time.monotonic()
                piece = await response.content.read(most)
                self._waited += time.monotonic() - asked
            except ERRORS as error:
                await self._connection.aclose()
                self._response = None
                failure = as_no_answer(error)
            else:
                self.position += len(piece)
                self._check_pace()
                return piece
        raise failure

    def _check_pace(self) -> None:
        """Raises NoAnswerError where a minute of waiting brought next to nothing; a trickle could go on for ever."""
        if self._waited >= _MINUTE:
            if self.position - self._paced_from < _TRICKLE:
                raise NoAnswerError("too slow", transient=True)
            self._waited, self._paced_from = 0.0, self.position

    def _pause(self, attempt: int) -> float:
        return self._client.manners.pause * 2.0**attempt

    async def _connect(self) -> aiohttp.ClientResponse:
        headers = dict(self._headers)
        if self.position:
            headers |= {"Range": f"bytes={self.position}-"} | ({"If-Range": self._mark} if self._mark else {})
        for attempt in range(self._client.manners.attempts):
            try:
                response = await self._connection.enter_async_context(self._client.answer(self._url, headers))
                if self.position and response.status == 416:  # it broke exactly at the end
                    raise NoAnswerError("connection lost")
                check_status(response)
                break
            except ERRORS as error:
                failure = as_no_answer(error)
            except NoAnswerError as error:
                failure = error
            await self._connection.aclose()
            if not failure.transient or attempt == self._client.manners.attempts - 1:
                raise failure
            await asyncio.sleep(min(failure.pause or self._pause(attempt), 30.0))
        if self.position and (response.status != 206 or not self._continues(response)):
            await self._connection.aclose()
            raise NoAnswerError("connection lost")
        self._response, self._mark = response, _mark_of(response)
        self.content_type = response.content_type
        return response

    def _continues(self, response: aiohttp.ClientResponse) -> bool:
        """Whether the answer begins where the last one broke off."""
        return response.headers.get("Content-Range", "").startswith(f"bytes {self.position}-")


def _mark_of(response: aiohttp.ClientResponse) -> str | None:
    """What tells this version of a file from others byte by byte, which weak ETags do not."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
