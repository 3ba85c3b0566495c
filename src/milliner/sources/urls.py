"""`urls:FILE`: pictures at the addresses that a list names."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from milliner.core.errors import FetchError
from milliner.sources.answer import SCHEMES
from milliner.sources.download import download
from milliner.sources.lists import read_list
from milliner.sources.source import Delivery, Options, Wanted


@dataclass(frozen=True)
class _Addresses:
    pictures: list[Wanted]
    endpoint: httpx.URL | None

    def deliver(self, pictures: Sequence[Wanted]) -> Generator[Delivery, None, None]:
        return download(pictures, self.endpoint)


class _Urls:
    name: Final = "urls"
    usage: Final = "urls:FILE (a .csv list with a column url, or .txt with one address a line)"

    def open(self, argument: str, options: Options) -> _Addresses:
        path = options.base / Path(argument).expanduser()
        return _Addresses(read_list(path, options.label), parse_endpoint(options.endpoint))


SOURCE: Final = _Urls()


def parse_endpoint(endpoint: str | None) -> httpx.URL | None:
    """The endpoint as a URL; raises FetchError unless it is just a scheme, a host and perhaps a port."""
    if endpoint is None:
        return None
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in SCHEMES or not url.host or url.path not in ("", "/"):
        raise FetchError(f"The endpoint {endpoint!r} must be scheme, host and port, such as http://127.0.0.1:8000.")
    return url
