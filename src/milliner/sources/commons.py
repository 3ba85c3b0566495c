"""`commons:Category:NAME` and `commons:search:QUERY`: pictures of Wikimedia Commons, with whom to credit."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from milliner.core.credit import Credit, parse_licence
from milliner.core.errors import FetchError
from milliner.sources.answers import Fields
from milliner.sources.mediawiki import answers
from milliner.sources.source import Listing, Options, Wanted

API: Final = "https://commons.wikimedia.org/w/api.php"

WIDTH: Final = 960
"""Pixels of the scaled-down pictures that are asked for; one of the widths that Wikimedia keeps ready."""

CONNECTIONS: Final = 3
"""At once, as Wikimedia asks robots."""

_WHAT: Final = {"prop": "imageinfo", "iiprop": "url|size|mime|sha1|extmetadata", "iiurlwidth": str(WIDTH)}
_PICTURES: Final = ("image/jpeg", "image/png", "image/webp", "image/tiff", "image/gif")
_BARREN: Final = 100  # answers in a row without a picture, after which there will hardly be any


class _Commons:
    name: Final = "commons"
    usage: Final = "commons:Category:NAME or commons:search:QUERY (with --label)"

    def open(self, argument: str, options: Options) -> Listing:
        if options.label is None:
            raise FetchError(f"commons:{argument} needs --label to say what the pictures show.")
        pages = answers(API, _generator(argument) | _WHAT, options)
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
