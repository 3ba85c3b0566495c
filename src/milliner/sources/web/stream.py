"""One long answer as a file that is read from beginning to end, which survives lost connections."""

import asyncio
import io
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
from yarl import URL

from milliner.sources.web.answer import check_status
from milliner.sources.web.client import ERRORS, Client
from milliner.sources.web.failure import NoAnswerError, as_no_answer

BUFFER: Final = 2**20

_TRIES: Final = 5  # in a row without one byte
_PAUSE: Final = 0.5

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Stream(io.RawIOBase):
    """Reads an address through `client`; `run` waits for a coroutine of its event loop.

    A connection that breaks is made again, from where it broke; servers that cannot do that give an error.
    Raises NoAnswerError, when made and when read.
    """

    def __init__(self, client: Client, run: Run, url: URL, headers: Mapping[str, str]) -> None:
        self._client = client
        self._run = run
        self._url = url
        self._headers = dict(headers)
        self._connection = AsyncExitStack()
        self._response: aiohttp.ClientResponse | None = None
        self._tag: str | None = None
        self.position = 0
        self.content_type = ""
        try:
            self._run(self._connect())
        except BaseException:
            super().close()  # there is nothing to hang up
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
        for attempt in range(_TRIES):
            try:
                response = self._response or await self._connect()
                piece = await response.content.read(most)
            except ERRORS as error:
                await self._connection.aclose()
                self._response = None
                failure = as_no_answer(error)
            else:
                self.position += len(piece)
                return piece
            await asyncio.sleep(_PAUSE * attempt)
        raise failure

    async def _connect(self) -> aiohttp.ClientResponse:
        headers = dict(self._headers)
        if self.position:
            headers |= {"Range": f"bytes={self.position}-"} | ({"If-Range": self._tag} if self._tag else {})
        for attempt in range(_TRIES):
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
            if not failure.transient or attempt == _TRIES - 1:
                raise failure
            await asyncio.sleep(min(failure.pause or _PAUSE * 2**attempt, 30.0))
        if self.position and not _begins_at(response, self.position):
            raise NoAnswerError("connection lost")
        self._response, self._tag = response, _validator(response)
        self.content_type = response.content_type
        return response


def _begins_at(response: aiohttp.ClientResponse, position: int) -> bool:
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {position}-")


def _validator(response: aiohttp.ClientResponse) -> str | None:
    """What tells the server to go on only where the file is still the same; a weak tag would never do."""
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag
