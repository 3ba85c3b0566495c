"""Asks addresses: in turn, patiently, politely, and with every wait, retry, redirect and byte bounded."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from milliner.images.placeholders import is_placeholder_address
from milliner.sources.web.address import Proxies, PublicResolver, at_endpoint, is_private, literal_ip, parse
from milliner.sources.web.answer import REDIRECTS, check_robots_tag, check_status, read_body
from milliner.sources.web.failure import (
    NoAnswerError,
    PrivateAddressError,
    as_no_answer,
    bad_address,
    private_address,
)
from milliner.sources.web.host import ROBOTS_BYTES, Host
from milliner.sources.web.manners import Manners

MAX_REDIRECTS: Final = 5
_FOR_THE_DEAD: Final = 2  # attempts where nobody listens
_MAX_HEADER: Final = 2**16
_LONGEST_PAUSE: Final = 120.0  # seconds that a source's own interface may ask us to wait

ERRORS: Final = (aiohttp.ClientError, OSError, ValueError, asyncio.TimeoutError)
"""What asking may raise besides NoAnswerError; `as_no_answer` translates."""


class Client:
    """The connections of one fetch; to be made and used inside one event loop.

    Args:
        manners: what is allowed.
        endpoint: where every request goes instead of its own host; its host is trusted, as the user typed it.
    """

    def __init__(self, manners: Manners, endpoint: URL | None) -> None:
        self.manners: Final = manners
        self._endpoint = endpoint
        self._trusted = {(endpoint.host or "", endpoint.port or 0)} if endpoint else set()
        self._hosts: dict[URL, Host] = {}
        self._proxies = Proxies()
        self._slots = asyncio.Semaphore(manners.connections)
        self._given_back: deque[None] = deque()
        self._loop = asyncio.get_running_loop()
        self._resolver = PublicResolver(self._trusted | self._proxies.places)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=None if manners.allow_private else self._resolver),
            headers={"User-Agent": manners.user_agent, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=manners.connect, sock_read=manners.read),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )

    async def close(self) -> None:
        """Waits for what was cancelled, then ends the connections."""
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await self._session.close()

    async def picture(self, address: str, connections: int | None = None) -> bytes:
        """A picture's bytes, with our whole patience and all of our manners; raises NoAnswerError.

        They count as a connection until `give_back`, so that no more of them come in than are worked off.
        """
        url = at_endpoint(parse(address), self._endpoint)
        host = self._host(url, connections)
        if self.manners.robots_txt:
            await self._check_robots(host, url)
        return await self._persist(url, host, self.manners.max_bytes, picture=True)

    def give_back(self) -> None:
        """Ends a picture's connection, from whatever thread; the loop is woken only where somebody waits for it."""
        self._given_back.append(None)
        if self._slots.locked():
            self._loop.call_soon_threadsafe(self._take_back)

    def _take_back(self) -> None:
        while self._given_back:
            self._given_back.pop()
            self._slots.release()

    async def document(self, address: str, most: int, headers: Mapping[str, str] | None = None) -> bytes:
        """Another answer's bytes, such as an interface's; raises NoAnswerError."""
        url = at_endpoint(parse(address), self._endpoint)
        return await self._persist(url, self._host(url), most, headers=headers)

    async def form(self, address: str, fields: Mapping[str, str], most: int) -> bytes:
        """What a form that is posted once is answered with; raises NoAnswerError."""
        url = at_endpoint(parse(address), self._endpoint)
        await self._check_public(url)
        try:
            async with self._session.post(
                url, data=dict(fields), allow_redirects=False, proxy=self._proxies.of(url)
            ) as response:
                check_status(response)
                return await read_body(response, most, picture=False)
        except ERRORS as error:
            raise as_no_answer(error) from error

    @asynccontextmanager
    async def answer(
        self, url: URL, headers: Mapping[str, str] | None = None, *, robots: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer at the end of the redirects, its body unread; raises NoAnswerError and `ERRORS`."""
        sent = dict(headers or {})
        for _ in range(MAX_REDIRECTS + 1):
            await self._check_public(url)
            async with self._session.get(
                url, headers=sent, allow_redirects=False, proxy=self._proxies.of(url)
            ) as response:
                if response.status not in REDIRECTS or "Location" not in response.headers:
                    yield response
                    return
                following = self._redirected(url, response.headers["Location"])
            if following.origin() != url.origin():
                sent = {name: value for name, value in sent.items() if name not in ("Cookie", "Authorization")}
            if robots:
                await self._check_robots(self._host(following), following)
            url = following
        raise NoAnswerError("too many redirects")

    async def _persist(
        self,
        url: URL,
        host: Host,
        most: int,
        *,
        picture: bool = False,
        robots: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Tries again where that may help, and keeps the slot of a picture; raises the last NoAnswerError.

        A robots.txt is cut at `most` bytes, and takes no slot: whoever waits for it may hold one.
        """
        manners = self.manners
        longest = manners.longest_pause if picture else _LONGEST_PAUSE
        for attempt in range(1, manners.attempts + 1):
            host.check_alive()
            try:
                if robots:
                    async with asyncio.timeout(manners.total):
                        content = await self._attempt(url, most, False, True, headers)
                else:
                    async with host.slots:
                        await host.wait()
                        content = await self._attempt_in_slot(url, most, picture, headers)
                host.answered()
                return content
            except NoAnswerError as error:
                failure = error
            except ERRORS as error:
                failure = as_no_answer(error)
            host.missed(failure.answered)
            pause = failure.pause
            if pause is None:
                pause = manners.pause * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311
            last = attempt == (manners.attempts if failure.answered else min(_FOR_THE_DEAD, manners.attempts))
            if not failure.transient or last or pause > longest:
                raise failure
            if failure.pause is not None:
                host.refused(pause)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt_in_slot(self, url: URL, most: int, picture: bool, headers: Mapping[str, str] | None) -> bytes:
        """One attempt, in a slot that a picture which came keeps."""
        self._take_back()
        await self._slots.acquire()
        kept = False
        try:
            async with asyncio.timeout(self.manners.total):
                content = await self._attempt(url, most, picture, False, headers)
            kept = picture
            return content
        finally:
            if not kept:
                self._slots.release()

    async def _attempt(self, url: URL, most: int, picture: bool, cut: bool, headers: Mapping[str, str] | None) -> bytes:
        async with self.answer(url, headers, robots=picture and self.manners.robots_txt) as response:
            check_status(response)
            if picture and self.manners.x_robots_tag:
                check_robots_tag(response)
            return await read_body(response, most, picture=picture, cut=cut)

    def _redirected(self, url: URL, location: str) -> URL:
        try:
            following = url.join(URL(location))
        except ValueError as error:
            raise NoAnswerError("bad redirect") from error
        if is_placeholder_address(following.path):
            raise NoAnswerError("placeholder", status="rejected")
        try:
            return parse(str(following))
        except NoAnswerError as error:
            raise NoAnswerError("redirected away from http", status="rejected") from error

    async def _check_public(self, url: URL) -> None:
        """Refuses addresses that our resolver will not see: IP addresses, and names that a proxy is to resolve."""
        host = url.host or ""
        if self.manners.allow_private or (host, url.port) in self._trusted:
            return
        ip = literal_ip(host)
        if ip is not None and is_private(ip):
            raise private_address()
        if ip is None and self._proxies.of(url) is not None:
            try:
                await self._resolver.resolve(host, url.port or 0)
            except PrivateAddressError as error:
                raise private_address() from error
            except OSError:  # only the proxy may know the name
                return

    async def _check_robots(self, host: Host, url: URL) -> None:
        async def get(robots: URL) -> bytes:
            return await self._persist(robots, host, ROBOTS_BYTES, robots=True)

        if not await host.allows(url, "milliner", get):
            raise NoAnswerError("robots.txt", status="rejected", answered=True)

    def _host(self, url: URL, connections: int | None = None) -> Host:
        origin = url.origin()
        if not origin.host:
            raise bad_address()
        if origin not in self._hosts:
            self._hosts[origin] = Host(origin, self.manners.connections_per_host)
        host = self._hosts[origin]
        if connections is not None:
            host.narrow(connections)
        return host
