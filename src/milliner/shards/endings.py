"""The usual ending of a picture's name, told from its first bytes."""

from typing import Final

_SIGNATURES: Final = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"P4": "pbm", b"P5": "pgm", b"P6": "ppm",
}  # fmt: skip


def ending_of(encoded: bytes, otherwise: str) -> str:
    """Such as ``jpg``, without a dot; `otherwise` for formats that are not known."""
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "webp"
    if encoded[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    return next((ending for signature, ending in _SIGNATURES.items() if encoded.startswith(signature)), otherwise)
