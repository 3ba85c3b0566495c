"""From a picture file's bytes to RGB pixels: the one decoder that training and prediction share."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from milliner.core.errors import UnreadableImageError
from milliner.images.quiet import Quiet
from milliner.images.raw import MAX_BYTES as MAX_BYTES
from milliner.images.raw import is_web_page
from milliner.images.raw import refusal as refusal

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is read. A short list keeps rarely tested decoders away from files that strangers made."""

DECODER: Final = f"pillow {PIL.__version__}"
"""What the pixels depend on besides the file; part of what cached embeddings are known by."""

MAX_PIXELS: Final = 89_000_000
"""Pictures of more pixels are refused before they are decoded (decompression bombs)."""

_SHRINK_MARGIN: Final = 2  # decode a JPEG at no less than twice the wanted side, so that resizing still averages

DAMAGE: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
)
"""What Pillow's decoders raise on damaged input."""

# What makes a picture of an EXIF orientation upright.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ON_ITS_SIDE: Final = {turn for orientation, turn in _TURNS.items() if orientation >= 5}

_pillow_quiet: Final = Quiet(r"PIL\.")  # Pillow warns of damaged metadata, which strangers' files are full of


@contextmanager
def opened(encoded: bytes) -> Iterator[Image.Image]:
    """The picture with its header read and its size checked, not yet decoded.

    Raises UnreadableImageError with reason ``empty``, ``not a picture``, ``too many bytes``,
    ``too many pixels``, ``truncated`` or ``undecodable``, here or while the body decodes it.
    """
    if not encoded:
        raise UnreadableImageError("empty", "the file is empty; fetch or export it again")
    if len(encoded) > MAX_BYTES:
        raise UnreadableImageError("too many bytes", f"the file is over {MAX_BYTES >> 20} MiB; shrink it first")
    try:
        with _pillow_quiet, Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_many_pixels()
            yield image
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not a picture", _unknown_format(encoded)) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except DAMAGE as error:
        raise _damaged(error) from error


def decode(encoded: bytes, shrink_to: int | None = None) -> Image.Image:
    """Decodes a picture file to an upright RGB image.

    The first frame of an animation; EXIF orientation applied; transparency laid on white; 16-bit scaled
    to 8; grey, palette and CMYK converted. With `shrink_to` a large JPEG is decoded at a reduced scale,
    never below twice that many pixels a side, which is several times faster.

    Raises UnreadableImageError (see `opened`), also for a picture whose data ends early.
    """
    with opened(encoded) as image:
        if shrink_to is not None:
            image.draft("RGB", (shrink_to * _SHRINK_MARGIN, shrink_to * _SHRINK_MARGIN))
        image.load()
        return upright_rgb(image)


def upright_size(encoded: bytes) -> tuple[int, int]:
    """Width and height of a picture file as `decode` turns it, from its header; raises UnreadableImageError."""
    with opened(encoded) as image:
        return image.size[::-1] if _turn(image) in _ON_ITS_SIDE else image.size


def upright_grey(image: Image.Image, shrink_to: int) -> Image.Image:
    """An opened picture decoded to the last byte, upright and grey; a large JPEG smaller, as by `decode`.

    Of a JPEG's colours only the brightness is made into pixels, which is faster.
    """
    image.draft("L", (shrink_to * _SHRINK_MARGIN, shrink_to * _SHRINK_MARGIN))
    image.load()
    turn = _turn(image)
    grey = image if image.mode == "L" and "transparency" not in image.info else _to_rgb(image).convert("L")
    return grey if turn is None else grey.transpose(turn)


def upright_rgb(image: Image.Image) -> Image.Image:
    """A decoded image turned upright by its EXIF orientation and made RGB as `decode` does it."""
    turn = _turn(image)
    return _to_rgb(image if turn is None else image.transpose(turn))


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """An RGB image's pixels, uint8 [height, width, 3]."""
    return np.asarray(image, dtype=np.uint8)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Unlike `ImageOps.exif_transpose` this writes no EXIF back, which would fail where the block is damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except DAMAGE:
        return None  # the pixels may be whole all the same
    return _TURNS.get(orientation) if isinstance(orientation, int) else None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_stretch(np.asarray(image, dtype=np.float32))).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper).convert("RGB")
    return image.convert("RGB")


def _stretch(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """32-bit grey has no agreed white: 0..255, 0..1 and 16-bit ranges are recognised by their maximum."""
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(finite.max(initial=0.0))
    white = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0 if top <= 65535.0 else top
    return (finite.clip(0.0, white) * (255.0 / white)).astype(np.uint8)


def _too_many_pixels() -> UnreadableImageError:
    return UnreadableImageError(
        "too many pixels", f"the picture has over {MAX_PIXELS // 10**6} million pixels; shrink it first"
    )


def _damaged(error: Exception) -> UnreadableImageError:
    if "truncated" in str(error).lower() or isinstance(error, EOFError):
        return UnreadableImageError("truncated", "the picture's data ends early; fetch or copy it again")
    return UnreadableImageError("undecodable", f"the picture is damaged ({error}); fetch or copy it again")


def _unknown_format(encoded: bytes) -> str:
    if is_web_page(encoded):
        return "the file is a web page, not a picture; fetch it again from the picture's own address"
    if encoded[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "the picture is HEIC; export it as JPEG"
    return "the file is not a picture that can be read; use JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
