"""What an address and an HTTP answer are worth: a picture's bytes, or an error with its reason."""

import time
from email.utils import parsedate_to_datetime
from typing import Final, Literal

import httpx

SCHEMES: Final = ("http", "https")

_TRANSIENT: Final = (408, 425, 429)  # besides all of 5xx


class NoPictureError(Exception):
    """No bytes, and why; see `Missed` for `status`, `reason` and `answered`."""

    def __init__(
        self,
        reason: str,
        *,
        status: Literal["rejected", "failed"] = "failed",
        transient: bool = False,
        pause: float | None = None,
        answered: bool = True,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.transient = transient
        """Whether another attempt may help."""
        self.pause = pause
        """Seconds that the server asks to wait before it."""
        self.answered = answered


def target(address: str, endpoint: httpx.URL | None) -> httpx.URL:
    """The URL to ask for `address`, at `endpoint` where there is one; raises NoPictureError if it is not http(s)."""
    try:
        url = httpx.URL(address)
        sound = askable(url)
    except (httpx.InvalidURL, ValueError) as error:  # such as host names that no alphabet allows
        raise bad_address() from error
    if not sound:
        raise bad_address()
    return url.copy_with(scheme=endpoint.scheme, host=endpoint.host, port=endpoint.port) if endpoint else url


def askable(url: httpx.URL) -> bool:
    """Whether a URL can be asked at all: http or https, with a host and a port that exists."""
    return url.scheme in SCHEMES and bool(url.host) and (url.port or 0) < 2**16


def no_answer(error: httpx.TransportError) -> NoPictureError:
    """The error for a request that got no answer."""
    match error:
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return bad_address()
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            return NoPictureError("no connection", transient=True, answered=False)
        case httpx.TimeoutException():
            return NoPictureError("timed out", transient=True, answered=False)
        case _:
            return NoPictureError("connection lost", transient=True)


def bad_address() -> NoPictureError:
    """The error for an address that cannot be asked."""
    return NoPictureError("not an http address", status="rejected", answered=False)


async def read_answer(response: httpx.Response, most: int) -> bytes:
    """The body of a final answer; raises NoPictureError for any other status and for more than `most` bytes."""
    code = response.status_code
    if code in _TRANSIENT or code >= 500:
        raise NoPictureError(
            f"status {code}", transient=True, pause=_retry_after(response.headers.get("retry-after", ""))
        )
    if not response.is_success:
        raise NoPictureError(f"status {code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise NoPictureError("compressed answer")  # not asked for; unpacking is where small answers become large
    if int(response.headers.get("content-length", 0)) > most:
        raise NoPictureError("too many bytes", status="rejected")
    return await _body(response, most)


async def _body(response: httpx.Response, most: int) -> bytes:
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > most:
                raise NoPictureError("too many bytes", status="rejected")
    except httpx.TimeoutException as error:
        raise NoPictureError("timed out", transient=True) from error
    except httpx.TransportError as error:
        raise NoPictureError("connection lost", transient=True) from error
    return bytes(body)


def _retry_after(value: str) -> float | None:
    """Seconds, from a Retry-After header in either of its forms; None where it has neither."""
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
