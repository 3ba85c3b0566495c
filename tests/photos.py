"""Copies of photographs as the world makes them: smaller, recompressed, mirrored, cut, toned."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFilter, ImageOps

Change = Callable[[Image.Image, np.random.Generator], bytes]


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def drawn(seed: int, width: int = 240, height: int = 180) -> Image.Image:
    """A made-up picture with shapes and fine texture, another for each seed."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (6, 8, 3)).astype(np.uint8)).resize((width, height))
    fine = Image.fromarray(random.integers(0, 255, (45, 60, 3)).astype(np.uint8)).resize((width, height))
    return Image.blend(coarse, fine, 0.45)


def cut(area: float) -> Callable[[Image.Image, np.random.Generator], Image.Image]:
    """A part of the picture with that share of its area, anywhere, and somewhat of another shape."""

    def change(image: Image.Image, random: np.random.Generator) -> Image.Image:
        wide = min(1.0, float(np.sqrt(area * np.exp(random.uniform(-0.2, 0.2)))))
        width, height = int(image.width * wide), int(image.height * min(1.0, area / wide))
        left = int(random.integers(0, image.width - width + 1))
        top = int(random.integers(0, image.height - height + 1))
        return image.crop((left, top, left + width, top + height))

    return change


COPIES: Final[Mapping[str, Change]] = {
    "recompressed": lambda image, random: jpeg(image, 40),
    "half the size": lambda image, random: jpeg(image.resize((image.width // 2, image.height // 2))),
    "twice the size": lambda image, random: jpeg(image.resize((image.width * 2, image.height * 2))),
    "mirrored": lambda image, random: jpeg(ImageOps.mirror(image)),
    "squeezed": lambda image, random: jpeg(image.resize((image.width, image.height * 2 // 3))),
    "brighter": lambda image, random: jpeg(image.point(lambda value: min(255, int(value * 1.25 + 10)))),
    "cut to 90 %": lambda image, random: jpeg(cut(0.9)(image, random)),
    "cut to 75 %": lambda image, random: jpeg(cut(0.75)(image, random)),
    "cut to 60 %": lambda image, random: jpeg(cut(0.6)(image, random)),
    "cut to 60 %, mirrored, small": lambda image, random: jpeg(
        ImageOps.mirror(cut(0.6)(image, random)).resize((200, 200)), 50
    ),
}


def blurred(path: Path, share: float) -> bytes:
    """A photograph blurred with a standard deviation of that share of its longer side."""
    with Image.open(path) as image:
        return jpeg(image.convert("RGB").filter(ImageFilter.GaussianBlur(share * max(image.size))), 88)
