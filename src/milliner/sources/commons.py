"""`commons:Category:NAME` and `commons:search:QUERY`: pictures of Wikimedia Commons, with whom to credit."""

import time
from collections.abc import Iterator
from itertools import chain
from typing import Final

from milliner.core.credit import Credit, parse_licence
from milliner.core.errors import FetchError
from milliner.sources.answers import Fields
from milliner.sources.source import Listing, Options, Wanted

API: Final = "https://commons.wikimedia.org/w/api.php"

WIDTH: Final = 960
"""Pixels of the scaled-down pictures that are asked for; one of the widths that Wikimedia keeps ready."""

CONNECTIONS: Final = 3
"""At once, as Wikimedia asks robots."""

_PICTURES: Final = ("image/jpeg", "image/png", "image/webp", "image/tiff", "image/gif")
_MAX_PAGES: Final = 10_000
_BARREN: Final = 100  # answers in a row without a picture, after which there will hardly be any
_ASKED_WHILE_BUSY: Final = 5  # times
_PAUSE: Final = 5.0  # seconds, as Wikimedia asks robots to wait
_LONGEST_PAUSE: Final = 30.0


class _Commons:
    name: Final = "commons"
    usage: Final = "commons:Category:NAME or commons:search:QUERY (with --label)"

    def open(self, argument: str, options: Options) -> Listing:
        if options.label is None:
            raise FetchError(f"commons:{argument} needs --label to say what the pictures show.")
        pages = _pages(_generator(argument), options)
        first = next(pages)
        if not first.object("query").list("pages"):
            raise FetchError(f"Wikimedia Commons has nothing for {argument!r}; check the name, or use other words.")
        return Listing(_pictures(first, pages, options.label), None, options.label, connections=CONNECTIONS)


SOURCE: Final = _Commons()


def _generator(argument: str) -> dict[str, str]:
    kind, _, words = argument.partition(":")
    if kind.lower() == "category" and words.strip():
        return {
            "generator": "categorymembers",
            "gcmtitle": f"Category:{words.strip()}",
            "gcmtype": "file",
            "gcmlimit": "50",
        }
    if kind == "search" and words.strip():
        return {
            "generator": "search",
            "gsrsearch": f"filetype:bitmap {words.strip()}",
            "gsrnamespace": "6",
            "gsrlimit": "50",
        }
    raise FetchError(f"commons:{argument} must be commons:Category:NAME or commons:search:QUERY.")


def _pages(generator: dict[str, str], options: Options) -> Iterator[Fields]:
    """Every answer of a query, which says itself how it continues."""
    query = generator | {
        "action": "query",
        "format": "json",
        "formatversion": "2",
        "maxlag": "5",
        "prop": "imageinfo",
        "iiprop": "url|size|mime|sha1|extmetadata",
        "iiurlwidth": str(WIDTH),
    }
    following: dict[str, str] = {}
    for _ in range(_MAX_PAGES):
        answer = _answer(query | following, options)
        yield answer
        before, following = following, answer.object("continue").texts()
        if following in ({}, before):
            return


def _answer(query: dict[str, str], options: Options) -> Fields:
    """One answer, once the servers are not too busy for robots."""
    for _ in range(_ASKED_WHILE_BUSY):
        answer = Fields(options.web.json(API, query))
        error = answer.object("error")
        if error.text("code") not in ("maxlag", "ratelimited"):
            break
        time.sleep(min(error.decimal("lag") or _PAUSE, _LONGEST_PAUSE))
    if fault := error.text("info") or error.text("code"):
        raise FetchError(f"Wikimedia Commons refuses the query ({fault}); check the name, or try again later.")
    return answer


def _pictures(first: Fields, pages: Iterator[Fields], label: str) -> Iterator[Wanted]:
    barren = 0
    for answer in chain([first], pages):
        found = [wanted for page in answer.object("query").list("pages") if (wanted := _wanted(Fields(page), label))]
        yield from found
        barren = 0 if found else barren + 1
        if barren == _BARREN:
            return


def _wanted(page: Fields, label: str) -> Wanted | None:
    info = Fields(next(iter(page.list("imageinfo")), None))
    url = info.address("thumburl") or info.address("url")
    if url is None or info.text("mime") not in _PICTURES:
        return None
    about = info.object("extmetadata")

    def meta(name: str) -> str | None:
        return about.object(name).html("value")

    licence, version = parse_licence(meta("LicenseShortName") or "")
    creator = meta("Artist")
    needed = (meta("AttributionRequired") or "").lower() not in ("false", "")
    title = (page.text("title") or "").removeprefix("File:").rpartition(".")[0]
    credit = Credit(
        licence,
        version,
        about.object("LicenseUrl").address("value"),
        creator,
        meta("Attribution") or (f"{creator}, {meta('LicenseShortName')}" if needed and creator else None),
        meta("ObjectName") or title or None,
        info.address("descriptionurl"),
        "Wikimedia Commons",
    )
    return Wanted(info.address("descriptionurl") or url, label, credit=credit, url=url)
