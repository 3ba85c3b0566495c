"""Makes another picture file of a picture: turned upright, RGB, perhaps cropped and resized, without metadata."""

import io
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from milliner.core.errors import SettingsError, UnreadableImageError

if TYPE_CHECKING:
    from PIL import Image

FORMATS: Final = ("jpg", "png", "webp")

DEFAULT_QUALITY: Final = 95

MAX_SIDE: Final = 8192
"""Pixels that a shorter side may be asked to have."""

_LONGEST: Final = {"jpg": 65_500, "png": 65_500, "webp": 16_383}  # pixels of a side that the formats can hold
_OPTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "jpg": ("JPEG", {}),
    "png": ("PNG", {"compress_level": 6}),
    "webp": ("WEBP", {"method": 4}),
}
_BLOCKS_KEPT: Final = 8  # of at most 16 MiB


@dataclass(frozen=True)
class Reencoding:
    """What is asked of the new files. The same file, options and Pillow give the same bytes.

    Called with a file's bytes it returns the new ones, or raises UnreadableImageError as `images.decode` does.
    """

    resize: int | None = None
    """Pixels of the shorter side, 1 to 8192, larger or smaller than it was; None leaves the size."""
    quality: int | None = None
    """1 to 100, of jpg and webp; 95 where nothing is said."""
    format: str = "jpg"
    """`jpg`, `png` or `webp`."""
    center_crop: bool = False
    """Only the square in the middle, cut out before resizing."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise SettingsError(f"Pictures are written as {', '.join(FORMATS)}, not {self.format!r}.")
        if self.resize is not None and not 1 <= self.resize <= MAX_SIDE:
            raise SettingsError(f"The shorter side can be resized to 1 to {MAX_SIDE} pixels, not {self.resize}.")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise SettingsError(f"The quality must be 1 to 100, not {self.quality}.")
        if self.quality is not None and self.format == "png":
            raise SettingsError("PNG loses nothing and so has no quality; leave the quality out or take jpg or webp.")

    @property
    def fingerprint(self) -> str:
        """What the new bytes depend on besides the old ones."""
        from importlib.metadata import version

        return f"{self!r} pillow {version('pillow')} cykooz_resizer {version('cykooz_resizer')}"

    def __call__(self, encoded: bytes) -> bytes:
        """Decodes, crops, resizes and encodes one picture."""
        from milliner.images.decode import decode

        _keep_memory()
        image = decode(encoded, shrink_to=self.resize)
        image = self._resized(_middle(image) if self.center_crop else image)
        if max(image.size) > _LONGEST[self.format]:
            raise UnreadableImageError("too many pixels", f"a side of {max(image.size)} pixels is too long")
        image.info = {}  # comments and profiles, which encoders would take over
        name, options = _OPTIONS[self.format]
        if self.format != "png":
            options = {**options, "quality": self.quality or DEFAULT_QUALITY}
        file = io.BytesIO()
        image.save(file, name, **options)
        return file.getvalue()

    def _resized(self, image: "Image.Image") -> "Image.Image":
        from PIL import Image

        from milliner.images.decode import MAX_PIXELS

        shorter = min(image.size)
        if self.resize is None or self.resize == shorter:
            return image
        width, height = (max(1, side * self.resize // shorter) for side in image.size)  # rounded down as im2rec does
        if width * height > MAX_PIXELS:
            raise UnreadableImageError("too many pixels", f"{width} x {height} pixels would be too many")
        resized = Image.new("RGB", (width, height))
        _resizer().resize_pil(image, resized, _bilinear())
        return resized


@cache
def _bilinear() -> Any:
    from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions

    return ResizeOptions(resize_alg=ResizeAlg.convolution(FilterType.bilinear))


def _resizer() -> Any:
    """One a thread, since it holds what it computed for the last picture."""
    if not hasattr(_of_thread, "resizer"):
        from cykooz_resizer import Resizer

        _of_thread.resizer = Resizer()
    return _of_thread.resizer


_of_thread: Final = threading.local()


def renamed(keys: list[str], format: str) -> list[str]:  # noqa: A002 - the name that the option has
    """Keys with the new files' suffix, still all different: ``a.png`` beside ``a.jpg`` becomes ``a.png.jpg``."""
    suffix = f".{format}"
    new = {key: key for key in keys if key.endswith(suffix)}
    taken = set(new)
    for key in sorted(set(keys) - taken):
        name = str(PurePosixPath(key).with_suffix(suffix))
        if name in taken:
            name = f"{key}{suffix}"
        while name in taken:
            name += suffix
        taken.add(name)
        new[key] = name
    return [new[key] for key in keys]


def _middle(image: "Image.Image") -> "Image.Image":
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image if image.width == image.height else image.crop((left, top, left + side, top + side))


@cache
def _keep_memory() -> None:
    """Lets Pillow use the memory of one picture for the next, which the system would have to clear each time."""
    from PIL import Image

    Image.core.set_blocks_max(_BLOCKS_KEPT)  # type: ignore[attr-defined] # as Pillow's manual has it
