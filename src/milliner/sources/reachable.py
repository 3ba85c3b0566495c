"""Asks whether a list of addresses can be fetched from here, before anybody waits for all of it."""

from contextlib import closing
from pathlib import Path
from typing import Final

from milliner.core.errors import FetchError
from milliner.sources import urls
from milliner.sources.download import Patience, download
from milliner.sources.examine import examine
from milliner.sources.lists import read_list
from milliner.sources.source import Delivered

_ASKED: Final = 3


def reachable(source: str, endpoint: str | None = None, seconds: float = 5.0) -> bool:
    """Whether one of the first three addresses of ``urls:FILE`` answers with its picture within `seconds`.

    Args:
        source: the list, as `fetch` takes it.
        endpoint: scheme, host and port to ask instead of the list's own.
        seconds: how long to wait.

    Raises:
        FetchError: the source is no list of addresses, or the list or the endpoint cannot be used.
    """
    kind, _, argument = source.partition(":")
    if kind != urls.SOURCE.name:
        raise FetchError(f"{source!r} has no addresses to ask; give one of: {urls.SOURCE.usage}.")
    pictures = read_list(Path(argument).expanduser(), label="any")[:_ASKED]
    patience = Patience(connect=seconds, read=seconds, total=seconds, attempts=1)
    with closing(download(pictures, urls.parse_endpoint(endpoint), patience)) as deliveries:
        return any(isinstance(came, Delivered) and examine(came).reason is None for came in deliveries)
