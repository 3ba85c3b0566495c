"""`openverse:QUERY`: openly licensed pictures that api.openverse.org finds, with whom to credit."""

import re
from collections.abc import Iterator
from typing import Final

from milliner.core.credit import Credit, parse_licence
from milliner.core.errors import FetchError
from milliner.sources.answers import Fields
from milliner.sources.source import Listing, Options, Wanted
from milliner.sources.web.failure import NoAnswerError

API: Final = "https://api.openverse.org/v1"

PAGE: Final = 20
"""Pictures of one answer that anonymous callers may ask for; with a key, `PAGE_WITH_KEY`."""

PAGE_WITH_KEY: Final = 50

DEPTH: Final = 240
"""Pictures of one query that anonymous callers may see; with a key, `DEPTH_WITH_KEY`."""

DEPTH_WITH_KEY: Final = 10_000

_ID: Final = re.compile(r"[0-9a-f-]{36}")

_ASK_AGAIN: Final = "register at https://api.openverse.org/v1/ and set MILLINER_OPENVERSE_CLIENT_ID and \
MILLINER_OPENVERSE_CLIENT_SECRET for more"


class _Openverse:
    name: Final = "openverse"
    usage: Final = "openverse:QUERY (with --label; openly licensed pictures)"

    def open(self, argument: str, options: Options) -> Listing:
        if options.label is None:
            raise FetchError(f"openverse:{argument} needs --label to say what the pictures show.")
        token = _token(options)
        first = _page(argument, 1, options, token)
        count = first.number("result_count")
        if count is None:
            raise FetchError("Openverse answers otherwise than its documentation says; try again later.")
        if count < 1:
            raise FetchError(f"Openverse finds nothing for {argument!r}; use other words, or fewer --licenses.")
        depth = DEPTH_WITH_KEY if token else DEPTH
        return Listing(_pictures(argument, first, options, token), min(count, depth), options.label)


SOURCE: Final = _Openverse()


def _token(options: Options) -> str | None:
    """The token that was given, or the one that the client's id and secret are worth."""
    secrets = options.secrets
    if token := secrets.get("openverse_token"):
        return token
    if not {"openverse_client_id", "openverse_client_secret"} <= set(secrets):
        return None
    fields = {
        "grant_type": "client_credentials",
        "client_id": secrets["openverse_client_id"],
        "client_secret": secrets["openverse_client_secret"],
    }
    try:
        answer = Fields(options.web.post(f"{API}/auth_tokens/token/", fields))
    except NoAnswerError as error:
        if error.reason in ("status 400", "status 401", "status 403"):
            told = f"Openverse does not take the client id and secret ({error.reason}); check both."
            raise FetchError(told) from error
        raise
    if (token := answer.text("access_token")) is None:
        raise FetchError("Openverse gives no token for the client id and secret; try again later, or go without.")
    return token


def _pictures(query: str, page: Fields, options: Options, token: str | None) -> Iterator[Wanted]:
    most = DEPTH_WITH_KEY // PAGE_WITH_KEY if token else DEPTH // PAGE
    number = 1
    while True:
        results = page.list("results")
        for result in results:
            if wanted := _wanted(Fields(result), options.label or ""):
                yield wanted
        number += 1
        if not results or number > min(page.number("page_count") or 0, most):
            return
        page = _page(query, number, options, token)


def _page(query: str, number: int, options: Options, token: str | None) -> Fields:
    fields = {"q": query, "page": str(number), "page_size": str(PAGE_WITH_KEY if token else PAGE)}
    if options.licences:
        fields["license"] = ",".join(options.licences)
    try:
        return Fields(options.web.json(f"{API}/images/", fields, token))
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
