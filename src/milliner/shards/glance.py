"""Whether a picture can be decoded at all: what stands in for a checksum where there is none."""

from typing import Final

from milliner.core.errors import UnreadableImageError
from milliner.images.decode import opened, upright_grey

_SIDE: Final = 64  # pixels at which it is decoded


def undecodable(encoded: bytes) -> str:
    """Why a picture cannot be decoded; empty where it can."""
    try:
        with opened(encoded) as image:
            upright_grey(image, _SIDE)
    except UnreadableImageError as error:
        return f"its picture cannot be decoded ({error.reason})"
    return ""
