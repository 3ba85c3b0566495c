"""Which addresses may be asked at all."""

import asyncio
import ipaddress
import re
import socket
from typing import Final
from urllib.request import getproxies, proxy_bypass

from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult
from yarl import URL

from milliner.core.errors import FetchError
from milliner.sources.web.failure import PrivateAddressError, bad_address

SCHEMES: Final = ("http", "https")

_NUMBERS: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)

_CARRIERS: Final = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""IPv6 networks whose addresses end in an IPv4 one: IPv4-compatible, IPv4-translated, NAT64."""

_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")

_AS_IT_IS: Final = re.compile(r"([!-$&-~]|%[0-9A-Fa-f]{2})+")
"""An address that is encoded already; its signature may depend on how."""


def parse(address: str) -> URL:
    """An address as a URL; raises NoAnswerError unless it is http(s) with a host and a port that exists."""
    try:
        url = URL(address, encoded=bool(_AS_IT_IS.fullmatch(address)))
        sound = url.scheme in SCHEMES and bool(url.host) and 0 < (url.port or 0) < 2**16
    except ValueError as error:  # such as host names that no alphabet allows
        raise bad_address() from error
    if not sound:
        raise bad_address()
    return url.with_fragment(None)


def parse_endpoint(endpoint: str | None) -> URL | None:
    """The endpoint as a URL; raises FetchError unless it is just a scheme, a host and perhaps a port."""
    if endpoint is None:
        return None
    try:
        url = URL(endpoint)
        sound = url.scheme in SCHEMES and url.host and url.path in ("", "/") and not url.query_string
    except ValueError:
        sound = False
    if not sound:
        raise FetchError(f"The endpoint {endpoint!r} must be scheme, host and port, such as http://127.0.0.1:8000.")
    return url


def at_endpoint(url: URL, endpoint: URL | None) -> URL:
    """The URL on the endpoint's host instead of its own, where there is an endpoint."""
    if endpoint is None:
        return url
    return URL.build(
        scheme=endpoint.scheme,
        host=endpoint.host or "",
        port=endpoint.port,
        path=url.raw_path,
        query_string=url.raw_query_string,
        encoded=True,
    )


class Proxies:
    """The system's proxies, as environment variables or its settings name them when this is made."""

    def __init__(self) -> None:
        self._of_schemes = {scheme: proxy for scheme, proxy in getproxies().items() if "://" in proxy}

    @property
    def places(self) -> set[tuple[str, int]]:
        """Where they are: hosts and ports."""
        return {(URL(proxy).host or "", URL(proxy).port or 0) for proxy in self._of_schemes.values()}

    def of(self, url: URL) -> str | None:
        """The one to ask for an address, None to ask its host itself."""
        proxy = self._of_schemes.get(url.scheme)
        return None if proxy is None or proxy_bypass(url.host or "") else proxy


def is_private(ip: str) -> bool:
    """Whether an IP address leads anywhere but to the public internet.

    Addresses that carry another one (IPv4-mapped, 6to4, NAT64) are judged by that.
    """
    found = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and any(found in network for network in _CARRIERS):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_private(str(inner))
        if found in _LOCAL_NAT64 or found.is_site_local:
            return True
    return not found.is_global or found.is_multicast


def literal_ip(host: str) -> str | None:
    """The IP address that a host is written as, of which no resolver is asked; None for a name.

    Connecting takes 2130706433, 127.1 and 0x7f.1 for 127.0.0.1, so these are IP addresses too.
    """
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) if _NUMBERS.fullmatch(host) else None
    except OSError:
        return None


class PublicResolver(ThreadedResolver):
    """Resolves names for the connector, and keeps back the private addresses that they lead to.

    The connection is made to the very addresses that were judged, so a name that changes its mind gains nothing.
    `trusted` hosts with their ports, the ones that the user typed and the system's proxies, may be anywhere.
    """

    def __init__(self, trusted: set[tuple[str, int]]) -> None:
        super().__init__(asyncio.get_running_loop())
        self._trusted = trusted

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of the host that may be connected to; raises PrivateAddressError where none may."""
        found = await super().resolve(host, port, family)
        public = [each for each in found if (host, port) in self._trusted or not is_private(each["host"])]
        if found and not public:
            raise PrivateAddressError(f"{host} leads to a private address")
        return public
