"""`openverse:QUERY`: openly licensed pictures that api.openverse.org finds, with whom to credit."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl

from milliner.core.credit import Credit, parse_licence
from milliner.core.errors import FetchError
from milliner.sources.answers import Fields
from milliner.sources.openverse_key import API, Access, access
from milliner.sources.source import Listing, Options, Wanted
from milliner.sources.web.failure import NoAnswerError

_FILTERS: Final = {"license_type", "category", "size", "aspect_ratio", "extension", "source"}
_ID: Final = re.compile(r"[0-9a-f-]{36}")

_ASK_AGAIN: Final = "register at https://api.openverse.org/v1/ and set MILLINER_OPENVERSE_CLIENT_ID and \
MILLINER_OPENVERSE_CLIENT_SECRET for more"


class _Openverse:
    name: Final = "openverse"
    usage: Final = (
        "openverse:QUERY (with --label; openly licensed pictures; ?category=photograph&size=large narrows it)"
    )

    def open(self, argument: str, options: Options) -> Listing:
        if options.label is None:
            raise FetchError(f"openverse:{argument} needs --label to say what the pictures show.")
        allowed = access(options)
        asked = _asked(argument)
        first = _page(asked, 1, options, allowed)
        count = first.number("result_count")
        if count is None:
            raise FetchError("Openverse answers otherwise than its documentation says; try again later.")
        if count < 1:
            raise FetchError(f"Openverse finds nothing for {argument!r}; use other words, or fewer --licenses.")
        return Listing(_pictures(asked, first, options, allowed), min(count, allowed.depth), options.label)


SOURCE: Final = _Openverse()


def _asked(argument: str) -> dict[str, str]:
    """The words to look for, and the filters that may stand behind a question mark."""
    words, _, rest = argument.rpartition("?")
    filters = dict(parse_qsl(rest))
    return {"q": words} | filters if words and filters and filters.keys() <= _FILTERS else {"q": argument}


def _pictures(query: dict[str, str], page: Fields, options: Options, allowed: Access) -> Iterator[Wanted]:
    most = allowed.depth // allowed.page
    number = 1
    while True:
        results = page.list("results")
        for result in results:
            if wanted := _wanted(Fields(result), options.label or ""):
                yield wanted
        number += 1
        if not results or number > min(page.number("page_count") or 0, most):
            return
        page = _page(query, number, options, allowed)


def _page(query: dict[str, str], number: int, options: Options, allowed: Access) -> Fields:
    fields = query | {"page": str(number), "page_size": str(allowed.page)}
    if options.licences:
        fields["license"] = ",".join(options.licences)
    try:
        return Fields(options.web.json(f"{API}/images/", fields, allowed.token))
    except NoAnswerError as error:
        if error.reason == "status 429":
            raise FetchError(f"Openverse has had enough of us for now; wait, or {_ASK_AGAIN}.") from error
        if error.reason == "status 401":
            raise FetchError("Openverse does not take the token; it may have expired: get another.") from error
        raise


def _wanted(result: Fields, label: str) -> Wanted | None:
    address = result.address("url")
    if address is None:
        return None
    licence, _ = parse_licence(result.text("license") or "")
    credit = Credit(
        licence,
        result.text("license_version"),
        result.address("license_url"),
        result.text("creator"),
        result.text("attribution"),
        result.text("title"),
        result.address("foreign_landing_url"),
        result.text("source"),
    )
    name = result.text("id") or ""
    return Wanted(f"{API}/images/{name}/" if _ID.fullmatch(name) else address, label, credit=credit, url=address)
