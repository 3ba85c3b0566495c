"""Why an address gave no bytes."""

import asyncio
import ssl
from typing import Final, Literal

import aiohttp

TRANSIENT_STATUS: Final = (408, 425, 429)
"""Besides all of 5xx."""


class NoAnswerError(Exception):
    """No bytes, and why; `reason` is a short stable word or two, for ledgers and counts."""

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
        """False where nobody was there, as on a machine that is offline, or nobody was asked."""


class PrivateAddressError(OSError):
    """A name that leads into a private network; raised inside the connector, which wraps other errors only."""


def bad_address() -> NoAnswerError:
    """The error for an address that cannot be asked."""
    return NoAnswerError("not an http address", status="rejected", answered=False)


def private_address() -> NoAnswerError:
    """The error for an address that lists of strangers must not make us ask."""
    return NoAnswerError("private address", status="rejected", answered=False)


def as_no_answer(error: Exception) -> NoAnswerError:
    """What the HTTP library's and the system's errors mean for one address."""
    if _caused_by(error, PrivateAddressError):
        return private_address()
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return NoAnswerError("TLS failure")
        case aiohttp.ClientConnectorError() | aiohttp.ClientProxyConnectionError() | aiohttp.ConnectionTimeoutError():
            return NoAnswerError("no connection", transient=True, answered=False)
        case aiohttp.ServerTimeoutError() | asyncio.TimeoutError():
            return NoAnswerError("timed out", transient=True, answered=False)
        case aiohttp.InvalidURL() | ValueError() | UnicodeError():
            return bad_address()
        case aiohttp.ClientResponseError():
            return NoAnswerError("not an HTTP answer")
        case _:
            return NoAnswerError("connection lost", transient=True)


def _caused_by(error: BaseException | None, kind: type[Exception]) -> bool:
    while error is not None:
        if isinstance(error, kind) or isinstance(getattr(error, "os_error", None), kind):
            return True
        error = error.__cause__
    return False
