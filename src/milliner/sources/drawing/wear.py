"""What cameras, weather and storage do to a picture: light, shadow, haze, blur, noise, JPEG."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


@dataclass(frozen=True)
class Wear:
    """How bad a picture is; drawn from the same distribution whatever the picture shows."""

    exposure: float
    contrast: float
    tint: tuple[float, float, float]
    slope: tuple[float, float]
    """Change of brightness from left to right and from top to bottom."""
    haze: float
    vignette: float
    blur: float
    """Radius in pixels for a picture 320 pixels wide."""
    noise: float
    """Standard deviation in grey levels."""
    quality: int
    """Of the JPEG, 30 to 92."""
    subsampling: int


def sample_wear(rng: np.random.Generator, detail: float) -> Wear:
    """Wear for a picture whose main head is `detail` pixels high: the smaller, the less blur it can bear."""
    warmth = float(rng.normal(0, 0.06))
    return Wear(
        exposure=float(np.clip(rng.normal(1.1, 0.2), 0.5, 1.55)),
        contrast=float(np.clip(rng.normal(1.0, 0.14), 0.6, 1.35)),
        tint=(1 + warmth, float(rng.normal(1, 0.015)), 1 - warmth),
        slope=(float(rng.normal(0, 0.14)), float(rng.normal(0, 0.08))),
        haze=max(0.0, float(rng.normal(-0.08, 0.14))),
        vignette=max(0.0, float(rng.normal(0.05, 0.18))),
        blur=float(min(rng.exponential(0.4), 1.6, detail * 0.03)),
        noise=float(min(rng.gamma(1.4, 2.2), 14.0)),
        quality=int(rng.integers(30, 93)),
        subsampling=int(rng.integers(3)),
    )


def apply_wear(image: Image.Image, wear: Wear, surface: np.random.Generator, noise: np.random.Generator) -> Image.Image:
    """The worn picture, same size, RGB; `surface` makes the unevenness of things, `noise` the camera's."""
    if wear.blur > 0.25:
        image = image.filter(ImageFilter.BoxBlur(1.4 * wear.blur * image.width / 320))
    height, width = image.height, image.width
    across = np.linspace(-1, 1, width, dtype=np.float32)
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = 1 + wear.slope[0] * across + wear.slope[1] * down
    light = (light - wear.vignette * 0.4 * (across**2 + down**2)) * _mottle(surface, width, height)
    light *= np.float32(wear.exposure * wear.contrast * (1 - wear.haze))
    level = 112 * (1 - wear.contrast) * (1 - wear.haze) + 205 * wear.haze
    grain = noise.standard_normal((height, width), dtype=np.float32) * np.float32(wear.noise)
    grain += np.float32(level)
    bands = []
    for band, tint in zip(image.split(), wear.tint, strict=True):  # by band: numpy is slow on rows of three
        values = np.asarray(band, np.float32) * light
        values *= np.float32(tint)
        values += grain
        bands.append(Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8)))
        grain = np.roll(grain, 1, axis=1)  # sensors' noise differs a little from band to band
    return Image.merge("RGB", bands)


def _mottle(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Uneven brightness around 1, coarse and fine, so that no surface is flat: [height, width]."""
    total = np.ones((height, width), np.float32)
    for cells, strength in ((7, 0.045), (80, 0.03)):
        coarse = rng.normal(0, strength, (cells, cells)).astype(np.float32)
        total += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))
    return total


def encode_jpeg(image: Image.Image, quality: int, subsampling: int = 2) -> bytes:
    """The picture as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()
