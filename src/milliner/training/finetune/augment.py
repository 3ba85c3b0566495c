"""Pictures as training sees them: never twice the same, and decoded and resized as prediction does it."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageStat

from milliner.images.decode import decode
from milliner.images.resize import ResizePolicy

_LEAST_AREA: Final = 0.6  # of the picture: what makes its class may be a few pixels at an edge
_STRETCH: Final = 4 / 3
_DEGREES: Final = 8.0
_TONE: Final = 0.25
_TONES: Final = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


@dataclass(frozen=True)
class Augmentation:
    """A random part of the picture, mirrored half of the time, turned a little, in other tones."""

    policy: ResizePolicy

    def __call__(self, encoded: bytes, random: np.random.Generator) -> NDArray[np.uint8]:
        """uint8 RGB [size, size, 3] of a picture file; raises UnreadableImageError."""
        image = decode(encoded, shrink_to=self.policy.size)
        square = Image.fromarray(self.policy.apply(image.crop(_part(image.width, image.height, random))))
        if random.random() < 0.5:
            square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if random.random() < 0.5:
            around = tuple(round(mean) for mean in ImageStat.Stat(square).mean)
            square = square.rotate(random.uniform(-_DEGREES, _DEGREES), Image.Resampling.BILINEAR, fillcolor=around)
        for tone in random.permutation(len(_TONES)):
            square = _TONES[tone](square).enhance(random.uniform(1 - _TONE, 1 + _TONE))
        return np.asarray(square, np.uint8)


def _part(width: int, height: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """A window of 60 to 100 % of the area, up to a third wider or narrower in shape than the picture, anywhere."""
    area, stretch = random.uniform(_LEAST_AREA, 1), math.exp(random.uniform(-1, 1) * math.log(_STRETCH))
    wide = max(1, round(width * min(1.0, math.sqrt(area * stretch))))
    high = max(1, round(height * min(1.0, math.sqrt(area / stretch))))
    left, top = int(random.integers(0, width - wide + 1)), int(random.integers(0, height - high + 1))
    return left, top, left + wide, top + high
