"""How the bytes of a record are made from a picture's file."""

from dataclasses import dataclass

from milliner.core.errors import UnreadableImageError
from milliner.curation.plan import SetAside
from milliner.images.raw import read_bounded, refusal
from milliner.images.reencode import Reencoding


@dataclass(frozen=True)
class Recipe:
    """How the bytes of a record are made from a file; can be sent to another process."""

    root: str
    """The pictures' folder."""
    reencoding: Reencoding | None = None
    """None: the file's bytes as they are."""
    checked: bool = True
    """Whether every file was seen to be a usable picture before. Where one then cannot be read, it is an error."""

    @property
    def fingerprint(self) -> str:
        """What the bytes depend on besides the files."""
        return self.reencoding.fingerprint if self.reencoding else f"untouched, checked={self.checked}"

    def one(self, path: str) -> bytes | SetAside:
        """The bytes for one path."""
        try:
            encoded = read_bounded(f"{self.root}/{path}")
        except UnreadableImageError as error:
            if self.checked:
                raise
            return SetAside(path, error.reason)
        if self.reencoding is None:
            reason = None if self.checked else _fault(encoded)
            return encoded if reason is None else SetAside(path, reason)
        try:
            return self.reencoding(encoded)
        except UnreadableImageError as error:
            return SetAside(path, error.reason)


def _fault(encoded: bytes) -> str | None:
    return refusal(encoded[:512]) if encoded else "empty"
