"""Downloads published weights into the user's cache, checked before they have their name."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from milliner.core.errors import ModelError
from milliner.core.progress import Advance, Progress

PUBLISHED_AT: Final = "https://download.pytorch.org/models"
MIRROR: Final = "MILLINER_WEIGHTS_URL"
"""Environment variable: the address of a folder with the same files, which is asked instead."""

MAX_MEGABYTES: Final = 1024
_TIMEOUT: Final = 30.0  # seconds without a byte
_CHUNK: Final = 2**16


def download(name: str, into: Path, sha256: str, network: str, progress: Progress) -> None:
    """Writes the published file `name`, of which the SHA-256 begins with `sha256`, to `into`.

    Raises ModelError, with nothing written, where it does not come whole or is another.
    """
    import pooch
    import requests

    address = f"{os.environ.get(MIRROR, PUBLISHED_AT).rstrip('/')}/{name}"
    pooch.get_logger().setLevel(logging.WARNING)
    remedy = f"check the network, give a file of them by --weights, or name a mirror in {MIRROR}"
    try:
        with progress(f"download {network}", None) as advance:
            fetch = _checked(pooch.HTTPDownloader(_Meter(advance), _CHUNK, timeout=_TIMEOUT), sha256, address)
            pooch.retrieve(address, None, into.name, into.parent, downloader=fetch)
    except ValueError as error:  # an address that is none; pooch knows no other schemes either
        raise ModelError(
            f"The weights of {network} cannot be downloaded: {address} is no address; {remedy}."
        ) from error
    except (requests.RequestException, OSError) as error:
        raise ModelError(
            f"The weights of {network} cannot be downloaded from {address} ({_why(error)}); {remedy}."
        ) from error


def _checked(fetch: Callable[..., Any], sha256: str, address: str) -> Callable[..., None]:
    """The downloader, which hands a file on only after its hash was compared; pooch deletes what fails."""

    def fetch_and_check(url: str, output_file: str, pooch: Any) -> None:
        fetch(url, output_file, pooch)
        found = hashlib.sha256(Path(output_file).read_bytes()).hexdigest()
        if not found.startswith(sha256):
            raise ModelError(
                f"What came from {address} are not the published weights (sha256 {found[:12]}..., expected "
                f"{sha256}...); try again, and if it stays so, do not trust this address."
            )

    return fetch_and_check


class _Meter:
    """What pooch's downloads tell of themselves, in megabytes; it ends a download that does not end."""

    total = 0

    def __init__(self, advance: Advance) -> None:
        self._advance, self._bytes, self._ended = advance, 0, False

    def update(self, count: int) -> None:
        """So many bytes came."""
        if self._ended:
            return
        before = self._bytes >> 20
        self._bytes += count
        if self._bytes >> 20 > MAX_MEGABYTES:
            raise OSError(f"it is over {MAX_MEGABYTES} MB")
        if self._bytes >> 20 > before:
            self._advance((self._bytes >> 20) - before, f"of {self.total / 1e6:.0f} MB" if self.total else "")

    def reset(self) -> None:
        """The download is over; pooch then tells its whole size once more."""
        self._ended = True

    def close(self) -> None:
        """Nothing more comes."""


def _why(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"it answers {response.status_code}"
    kind = type(error).__name__
    return {"ConnectionError": "no connection", "ConnectTimeout": "no answer", "ReadTimeout": "no answer"}.get(
        kind, str(error).strip() or kind
    )[:200]
