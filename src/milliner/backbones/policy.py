"""What a pretrained network takes in: how pixels become its numbers, and squares of which sides it can see."""

from dataclasses import dataclass
from typing import Any, Final, Self

from milliner.core.errors import SettingsError
from milliner.images.resize import DEFAULT_SIZE, ENLARGE, LEAST, MAX_SIZE, ResizePolicy

Triple = tuple[float, float, float]

_LEAST: Final = 32  # the smallest side of a `ResizePolicy`

IMAGENET_MEAN: Final[Triple] = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_SCALE: Final[Triple] = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""Mean and standard deviation of ImageNet's red, green and blue, as torchvision's and most other networks take them."""


@dataclass(frozen=True)
class InputPolicy:
    """The network sees ``(pixel - mean) / scale`` of a square; pixels are 0 to 255, in the order red, green, blue."""

    size: int
    """Pixels a side where nobody says otherwise."""
    stride: int
    """Pixels a cell of its features; sides are multiples of it."""
    mean: Triple = IMAGENET_MEAN
    scale: Triple = IMAGENET_SCALE
    fixed: bool = False
    """It takes no other side than `size`."""
    filter: str = "bilinear"
    """How pictures are made as small: `bilinear` or `bicubic`."""

    def resize(self, size: int | None, name: str) -> ResizePolicy:
        """The policy for squares of `size`, its own where that is None; raises SettingsError where it cannot be."""
        side = self.size if size is None else size
        if self.fixed and side != self.size:
            raise SettingsError(f"{name} takes squares of {self.size} pixels a side only, not {side}; leave size out.")
        if (side % self.stride and not self.fixed) or not _LEAST <= side <= MAX_SIZE:
            raise SettingsError(
                f"The size must be a multiple of {self.stride} from {_least(self.stride)} to {MAX_SIZE} for {name}, "
                f"not {side}; try {self.size}."
            )
        if self.fixed:
            return ResizePolicy(side, self.filter)
        least = min(side, -(-LEAST // self.stride) * self.stride)
        return ResizePolicy(side, self.filter, ENLARGE, least, self.stride)

    def to_json(self) -> dict[str, Any]:
        """As listed and remembered."""
        return {
            "size": self.size,
            "stride": self.stride,
            "mean": list(self.mean),
            "scale": list(self.scale),
            "fixed": self.fixed,
            "filter": self.filter,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Reads `to_json`'s shape; raises ValueError, TypeError or KeyError on anything else."""
        red, green, blue = (float(number) for number in value["mean"])
        scales = [float(number) for number in value["scale"]]
        return cls(
            size=int(value["size"]),
            stride=int(value["stride"]),
            mean=(red, green, blue),
            scale=(scales[0], scales[1], scales[2]),
            fixed=bool(value["fixed"]),
            filter=str(value["filter"]),
        )


DEFAULT: Final = "efficientnet_lite0"
"""The backbone where nobody says otherwise."""

DEFAULT_INPUT: Final = InputPolicy(DEFAULT_SIZE, stride=32, mean=(127.0, 127.0, 127.0), scale=(128.0, 128.0, 128.0))
"""Its policy and its family's. The networks were trained at 224 to 260 pixels; see `DEFAULT_SIZE` on why it is more."""


def _least(stride: int) -> int:
    return -(-_LEAST // stride) * stride
