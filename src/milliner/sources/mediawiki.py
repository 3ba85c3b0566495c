"""The query interface of Wikimedia's sites: asked page by page, and not while their databases lag."""

import time
from collections.abc import Iterator
from typing import Final

from milliner.core.errors import FetchError
from milliner.sources.answers import Fields
from milliner.sources.source import Options

_FORM: Final = {"action": "query", "format": "json", "formatversion": "2", "maxlag": "5"}
_MAX_PAGES: Final = 10_000
_ASKED_WHILE_BUSY: Final = 5  # times
_PAUSE: Final = 5.0  # seconds, as Wikimedia asks robots to wait
_LONGEST_PAUSE: Final = 30.0


def answers(api: str, query: dict[str, str], options: Options) -> Iterator[Fields]:
    """Every answer of a query, which says itself how it continues; raises FetchError where it is refused."""
    following: dict[str, str] = {}
    been: set[int] = set()
    for _ in range(_MAX_PAGES):
        answer = _answer(api, _FORM | query | following, options)
        yield answer
        following = answer.object("continue").texts()
        place = hash(tuple(sorted(following.items())))
        if not following or place in been:
            return
        been.add(place)


def _answer(api: str, query: dict[str, str], options: Options) -> Fields:
    """One answer, once the servers are not too busy for robots."""
    for _ in range(_ASKED_WHILE_BUSY):
        answer = Fields(options.web.json(api, query))
        error = answer.object("error")
        if error.text("code") not in ("maxlag", "ratelimited"):
            break
        time.sleep(min(error.decimal("lag") or _PAUSE, _LONGEST_PAUSE))
    if fault := error.text("info") or error.text("code"):
        raise FetchError(f"Wikimedia Commons refuses the query ({fault}); check the name, or try again later.")
    return answer
