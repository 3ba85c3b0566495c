"""Functions that the workers of an engine are sent by name."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from milliner.core.errors import DatasetError, UnreadableImageError


def doubled(number: int) -> int:
    return 2 * number


def laborious_at_first(number: int) -> int:
    """The first ones take longest."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000 if number < 16 else 1)
    return number


def process_of(_: int) -> int:
    return os.getpid()


def read(path: str) -> bytes:
    return Path(path).read_bytes()


@dataclass(frozen=True)
class Failing:
    """Fails at one number in one way."""

    at: int
    kind: str

    def __call__(self, number: int) -> int:
        if number == self.at:
            if self.kind == "unreadable":
                raise UnreadableImageError("truncated", "it is cut short")
            if self.kind == "dataset":
                raise DatasetError("it is not as it should be; mend it.")
            if self.kind == "system":
                raise FileNotFoundError(2, "No such file", "a.jpg")
            raise ValueError("a mistake of ours")
        return number


def waiting(number: int) -> int:
    """Later ones wait for ever, or until they are stopped."""
    if number >= 128:
        Event().wait()
    return number
