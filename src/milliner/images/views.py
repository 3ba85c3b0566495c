"""Views of a picture: what a head may be trained on besides the whole of it, and what answers may be averaged over."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from milliner.core.errors import SettingsError


@dataclass(frozen=True)
class View:
    """A part of a picture, perhaps mirrored."""

    name: str
    margin: float = 0.0
    """What is left off at each edge, as a share of the picture's side; below 0.5."""
    mirrored: bool = False

    def of(self, image: Image.Image) -> Image.Image:
        """The view; of a picture of a few pixels at least one of them."""
        if self.margin:
            across, down = (min(round(side * self.margin), (side - 1) // 2) for side in image.size)
            image = image.crop((across, down, image.width - across, image.height - down))
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirrored else image

    def whole(self, side: int) -> int:
        """Pixels a side of a picture of which this view has `side`."""
        return math.ceil(side / (1 - 2 * self.margin))


WHOLE: Final = View("whole")

_MIRRORED: Final = View("mirrored", mirrored=True)
_CENTRE: Final = View("centre", margin=0.125)
"""The middle three quarters of both sides, chosen by cross-validation on the helmets' training list among a half, two
thirds and three quarters; what it gives is in benchmarks/RESULTS.md."""

VIEWS: Final[Mapping[str, tuple[View, ...]]] = {"none": (), "mirror": (_MIRRORED,), "crops": (_CENTRE,)}
"""What there is to choose from, by name: the views besides the whole picture."""


def check_views(name: str) -> None:
    """Raises SettingsError where there is no such choice of views."""
    if name not in VIEWS:
        raise SettingsError(f"There are no views {name!r}; choose one of: {', '.join(VIEWS)}.")


def named(names: Sequence[Any]) -> tuple[View, ...]:
    """The views of these names; raises ValueError where there is none of that name, or one comes twice."""
    known = [view for views in VIEWS.values() for view in views]
    found = tuple(view for name in names for view in known if view.name == name)
    if len(found) != len(names) or len(set(found)) != len(found):
        raise ValueError("its views are none that are known")
    return found
