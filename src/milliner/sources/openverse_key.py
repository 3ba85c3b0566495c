"""What Openverse lets us see: as strangers, or with the key of somebody who has registered."""

from dataclasses import dataclass
from typing import Final

from milliner.core.errors import FetchError
from milliner.sources.answers import Fields
from milliner.sources.source import Options
from milliner.sources.web.failure import NoAnswerError

API: Final = "https://api.openverse.org/v1"

_REFUSALS: Final = ("status 400", "status 401", "status 403")


@dataclass(frozen=True)
class Access:
    """How one query may be asked."""

    token: str | None
    page: int
    """Pictures of one answer."""
    depth: int
    """Pictures of the whole query."""


STRANGER: Final = Access(None, 20, 240)


def access(options: Options) -> Access:
    """The limits that hold for us; raises FetchError where a key is given that Openverse does not take.

    `/rate_limit/` says whether a key's e-mail address has been confirmed; until then a key is worth no more than none.
    """
    token = _token(options)
    if token is None:
        return STRANGER
    try:
        limits = Fields(options.web.json(f"{API}/rate_limit/", token=token))
    except NoAnswerError as error:
        if error.reason in _REFUSALS:
            raise FetchError("Openverse does not take the token; it may have expired: get another.") from error
        raise
    return Access(token, 50, 10_000) if limits.flag("verified") else Access(token, STRANGER.page, STRANGER.depth)


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
        if error.reason in _REFUSALS:
            told = f"Openverse does not take the client id and secret ({error.reason}); check both."
            raise FetchError(told) from error
        raise
    if (token := answer.text("access_token")) is None:
        raise FetchError("Openverse gives no token for the client id and secret; try again later, or go without.")
    return token
