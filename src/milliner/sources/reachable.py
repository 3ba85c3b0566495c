"""Asks whether a list of addresses can be fetched from here, before anybody waits for all of it."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from milliner.core.errors import FetchError
from milliner.images.inspect import MIN_SIDE
from milliner.sources import urls
from milliner.sources.examine import examine
from milliner.sources.lists import read_list
from milliner.sources.source import Found
from milliner.sources.web.failure import NoAnswerError
from milliner.sources.web.manners import Manners
from milliner.sources.web.web import Web

_ASKED: Final = 3


def reachable(source: str, endpoint: str | None = None, manners: Manners | None = None) -> bool:
    """Whether one of the first three addresses of ``urls:FILE`` answers with its picture.

    Args:
        source: the list, as `fetch` takes it.
        endpoint: scheme, host and port to ask instead of the list's own.
        manners: how long to wait; five seconds when left out.

    Raises:
        FetchError: the source is no list of addresses, or the list or the endpoint cannot be used.
    """
    kind, _, argument = source.partition(":")
    if kind != urls.SOURCE.name:
        raise FetchError(f"{source!r} has no addresses to ask; give one of: {urls.SOURCE.usage}.")
    pictures = list(islice(read_list(Path(argument).expanduser(), label="any"), _ASKED))
    patience = manners or Manners(connect=5, read=5, total=5, attempts=1)
    with Web.open(patience, endpoint) as web, ThreadPoolExecutor(1) as pool:
        answers = [
            web.picture(picture.address, partial(examine, picture, min_side=MIN_SIDE), pool) for picture in pictures
        ]
        found: list[Found] = []
        for answer in answers:
            try:
                found.append(answer.result())
            except NoAnswerError:
                continue
    return any(each.reason is None for each in found)
