"""Judges a picture's bytes: is it what was promised, and is it a picture that can be learnt from?"""

import hashlib
from typing import Final

from milliner.images.decode import refusal
from milliner.images.inspect import inspect
from milliner.images.placeholders import is_placeholder
from milliner.sources.source import Found, Wanted

_EXTENSIONS: Final = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}


def examine(wanted: Wanted, encoded: bytes, min_side: int) -> Found:
    """Compares the hash where one was promised, and decodes the picture to its end.

    Args:
        wanted: what was asked for.
        encoded: what came.
        min_side: pixels; what has a shorter side is rejected.

    Returns:
        The verdict; `file` is where the picture belongs, and not written yet. Reasons are ``wrong sha256``,
        ``placeholder``, ``web page``, ``too small``, and those of `images.decode.opened`. Blank pictures pass:
        about them `check` decides.
    """
    sha256 = hashlib.sha256(encoded).hexdigest()
    size = len(encoded)
    if wanted.sha256 not in (None, sha256):
        return Found(wanted, sha256, size, "wrong sha256")
    if is_placeholder(encoded, sha256):
        return Found(wanted, sha256, size, "placeholder")
    seen = inspect(encoded)
    reason = None if seen.reason in ("tiny", "blank") else seen.reason
    if reason == "not a picture":
        reason = refusal(encoded) or reason
    if seen.width and seen.height and min(seen.width, seen.height) < min_side:
        reason = reason or "too small"
    kind = seen.format or ""
    file = f"{wanted.label}/{sha256[:16]}{_EXTENSIONS.get(kind, f'.{kind.lower()}')}"
    return Found(wanted, sha256, size, reason, None if reason else file, False, seen.width, seen.height, seen.likeness)
