"""``preprocessor_config.json`` of the Hugging Face hub: how a network's pictures are made.

Keys as of transformers' ``image_processing_utils``: ``do_rescale`` and ``rescale_factor``, ``do_normalize``,
``image_mean``, ``image_std``, ``crop_size`` and ``size`` (a number, ``height`` and ``width``, or ``shortest_edge``),
and ``resample``, a number of Pillow's filters. Pictures are squeezed to a square here and never cropped, so that of
the sizes the crop's is obeyed.
"""

import json
from pathlib import Path
from typing import Any, Final

from milliner.backbones.adapt import Hints
from milliner.backbones.policy import Triple
from milliner.core.errors import DatasetError, ModelError
from milliner.images.files import read_at_most

CONFIG_NAME: Final = "preprocessor_config.json"
_MAX_BYTES: Final = 2**20
_BICUBIC: Final = 3
_LEAST, _MOST = 32, 2048


def read_preprocessing(path: Path, prefix: int | None = None) -> Hints:
    """The file as hints, with the number of tokens that are not of patches; raises ModelError."""
    try:
        value = json.loads(read_at_most(path, _MAX_BYTES))
        return preprocessing(value, prefix)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    except (DatasetError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} says nothing usable of how pictures are made ({error}); mend or delete it."
        ) from error


def preprocessing(value: dict[str, Any], prefix: int | None = None) -> Hints:
    """The document as hints; raises ValueError, TypeError, KeyError or AttributeError."""
    factor = float(value.get("rescale_factor", 1 / 255)) if value.get("do_rescale", True) else 1.0
    mean, scale = [0.0] * 3, [1.0] * 3
    if value.get("do_normalize", True):
        mean, scale = value.get("image_mean", [0.5] * 3), value.get("image_std", [0.5] * 3)
    means, scales = _triple(mean, factor), _triple(scale, factor)
    if not factor > 0 or min(scales) <= 0:
        raise ValueError("a scale is not above 0")
    filtering = "bicubic" if value.get("resample", _BICUBIC) == _BICUBIC else "bilinear"
    return Hints(means, scales, _side(value), filtering, prefix)


def _triple(values: Any, factor: float) -> Triple:
    red, green, blue = (float(number) / factor for number in values)
    if not all(abs(number) < 1e6 for number in (red, green, blue)):
        raise ValueError("a mean or scale is out of all bounds")
    return red, green, blue


def _side(value: dict[str, Any]) -> int | None:
    """The crop's side where pictures are cropped, else the one that they are resized to."""
    crops = value.get("crop_size") if value.get("do_center_crop", "crop_size" in value) else None
    size = crops or value.get("size")
    if isinstance(size, dict):
        size = size.get("height", size.get("shortest_edge"))
    if size is None:
        return None
    if not isinstance(size, int) or not _LEAST <= size <= _MOST:
        raise ValueError(f"its size is {size!r}, not {_LEAST} to {_MOST}")
    return size
