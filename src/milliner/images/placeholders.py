"""Pictures that hosts send in place of those that are gone: by where they redirect to, and by their bytes."""

import hashlib
from typing import Final

_ADDRESSES: Final = ("/photo_unavailable", "/removed.png", "/image_not_found", "/no_image_available")
"""Parts of the paths that Flickr, Imgur and others redirect to."""

_SHA256: Final = {
    "9b5936f4006146e4e1e9025b474c02863c0b5614132ad40db4b925a10e8bfbb9",
    "6b4966252973c581b521f804453c6a0649ea6a2ce7e3e5c7deeb7d80623de231",
}
"""Imgur: "The image you are requesting does not exist"; and "We're sorry, this image could not be found", which lies
in a much copied set of ants and bees as imageNotFound.gif."""

_MD5: Final = {2051: "880a7a58e05d3e83797f27573bb6d35c"}
"""By size. Flickr: "This photo is no longer available"; known in the world by this digest only."""

SUSPICIOUS: Final = 3
"""So many addresses with the same bytes: nobody's photograph, but what their hosts say instead of it."""


def is_placeholder_address(path: str) -> bool:
    """Whether a redirect to this path means that the picture is gone."""
    return any(part in path.lower() for part in _ADDRESSES)


def is_placeholder(encoded: bytes, sha256: str) -> bool:
    """Whether a picture file is one of the known placeholders; `sha256` is its digest in hex."""
    if sha256 in _SHA256:
        return True
    known = _MD5.get(len(encoded))
    return known is not None and hashlib.md5(encoded, usedforsecurity=False).hexdigest() == known
