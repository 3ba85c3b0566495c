"""A set of pictures that a model file can carry: the first eight bytes of each one's SHA-256."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

MAX_PICTURES: Final = 2**20
"""Of one set; eleven megabytes as text."""

_BYTES: Final = 8  # two of a million pictures share them once in tens of millions of sets
_DIGITS: Final = 2 * _BYTES


@dataclass(frozen=True)
class PictureSet:
    """Pictures by their content. Raises ValueError where the digests are not whole, sorted and different."""

    digests: bytes = b""

    def __post_init__(self) -> None:
        if len(self.digests) % _BYTES or len(self) > MAX_PICTURES or not (self._numbers[1:] > self._numbers[:-1]).all():
            raise ValueError("its set of pictures is none")

    @classmethod
    def of(cls, sha256s: Iterable[str]) -> Self:
        """The set of pictures with these hex digests, at most `MAX_PICTURES`."""
        return cls(b"".join(sorted({bytes.fromhex(sha256[:_DIGITS]) for sha256 in sha256s})))

    @classmethod
    def from_text(cls, text: Any) -> Self:
        """Reads `to_text`'s base64; raises ValueError for anything else."""
        if not isinstance(text, str):
            raise ValueError("its set of pictures is none")
        return cls(base64.b64decode(text, validate=True))

    def to_text(self) -> str:
        """Base64, the same for the same pictures."""
        return base64.b64encode(self.digests).decode("ascii")

    def __len__(self) -> int:
        return len(self.digests) // _BYTES

    def __contains__(self, sha256: str) -> bool:
        number = np.uint64(int(sha256[:_DIGITS], 16))
        place = int(np.searchsorted(self._numbers, number))
        return place < len(self) and self._numbers[place] == number

    @cached_property
    def _numbers(self) -> NDArray[np.uint64]:
        return np.frombuffer(self.digests, ">u8").astype(np.uint64)
