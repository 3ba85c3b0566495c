"""Small pictures inside the page, each within its share of the page's size."""

import base64
from typing import Final

from PIL import Image

from milliner.images.decode import decode
from milliner.images.heatmap import to_jpeg

MAX_BYTES: Final = 36_000
"""Of one picture; the page holds at most 42 large ones and some small ones, so it stays under 3 MB."""

_QUALITIES: Final = (80, 65, 45, 25)


def data_uri(image: Image.Image) -> str:
    """An RGB picture as a JPEG in a data URI, as good as `MAX_BYTES` allow."""
    side = max(image.size)
    while True:
        for quality in _QUALITIES:
            jpeg = to_jpeg(image, side, quality)
            if len(jpeg) <= MAX_BYTES:
                return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
        side = side * 2 // 3  # of a picture that is all noise


def thumbnail(encoded: bytes, side: int) -> str:
    """A picture file shrunk to at most `side` pixels, as a data URI; raises UnreadableImageError."""
    image = decode(encoded, shrink_to=side)
    image.thumbnail((side, side))
    return data_uri(image)
