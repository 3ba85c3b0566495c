"""What an HTTP answer is worth: a picture's bytes, or an error with its reason."""

import re
import time
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from milliner.images.decode import refusal
from milliner.sources.web.failure import TRANSIENT_STATUS, NoAnswerError

REDIRECTS: Final = (301, 302, 303, 307, 308)

_NOT_FOR_TRAINING: Final = {"noai", "noimageai", "noindex", "noimageindex", "none"}
_RULES_WITH_VALUES: Final = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
_ROBOT: Final = re.compile(r"[a-z*][a-z0-9_.*/-]*")
_PACKED: Final = ("deflate", "br", "zstd", "compress", "x-compress")
_SNIFF: Final = 64  # bytes that tell a picture from a web page
_PIECE: Final = 2**16


def check_status(response: aiohttp.ClientResponse) -> None:
    """Raises NoAnswerError unless the answer brings plain content."""
    code = response.status
    if code in TRANSIENT_STATUS or code >= 500:
        pause = retry_after(response.headers.get("Retry-After", ""))
        raise NoAnswerError(f"status {code}", transient=True, pause=pause)
    if not 200 <= code < 300:
        raise NoAnswerError(f"status {code}")
    if response.headers.get("Content-Encoding", "").strip().lower() in _PACKED:
        raise NoAnswerError("compressed answer")  # not asked for


def check_robots_tag(response: aiohttp.ClientResponse) -> None:
    """Raises NoAnswerError where an X-Robots-Tag that is for everybody, or for us, keeps the picture from us."""
    for value in response.headers.getall("X-Robots-Tag", []):
        if _rules_for_us(value.lower()) & _NOT_FOR_TRAINING:
            raise NoAnswerError("X-Robots-Tag", status="rejected")


def _rules_for_us(value: str) -> set[str]:
    """The rules of one header that come before any robot's name, or after ours."""
    ours, rules = True, set()
    for part in value.split(","):
        name, colon, rest = part.strip().partition(":")
        if colon and name not in _RULES_WITH_VALUES and _ROBOT.fullmatch(name.strip()):
            ours = name.strip() in ("milliner", "*")
            part = rest
        if ours:
            rules.add(part.strip())
    return rules


async def read_body(response: aiohttp.ClientResponse, most: int, *, picture: bool = True, cut: bool = False) -> bytes:
    """The body, of no more than `most` bytes; of what begins like no `picture`, no more than that beginning.

    A longer one raises NoAnswerError, or is `cut`.
    """
    if (response.content_length or 0) > most and not cut:
        raise NoAnswerError("too many bytes", status="rejected")
    body = bytearray()
    sniffed = not picture
    unpack = _unpacker(response, most)
    async for piece in response.content.iter_chunked(_PIECE):
        body += unpack(piece)
        if len(body) > most:
            if cut:
                return bytes(body[:most])
            raise NoAnswerError("too many bytes", status="rejected")
        if not sniffed and len(body) >= _SNIFF:
            if reason := refusal(bytes(body[:_SNIFF])):
                raise NoAnswerError(reason, status="rejected")
            sniffed = True
    return bytes(body)


def _unpacker(response: aiohttp.ClientResponse, most: int) -> Callable[[bytes], bytes]:
    """What makes a body of its pieces: gzip, which some send unasked, is unpacked, never to more than `most` bytes."""
    if response.headers.get("Content-Encoding", "").strip().lower() not in ("gzip", "x-gzip"):
        return bytes
    unpacking = zlib.decompressobj(wbits=31)

    def unpack(piece: bytes) -> bytes:
        try:
            return unpacking.decompress(piece, most + 1)
        except zlib.error as error:
            raise NoAnswerError("compressed answer") from error

    return unpack


def retry_after(value: str) -> float | None:
    """Seconds, from a Retry-After header in either of its forms; None where it has neither."""
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
