"""`scenes:N`: N drawn pictures of each class, with the box of every head beside them; needs no network."""

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from milliner.core.errors import FetchError
from milliner.images.files import write_atomically
from milliner.sources.drawing.scene import LABELS, Scene, draw_scene
from milliner.sources.source import Delivered, Delivery, Options, Wanted

BOXES_FOLDER: Final = ".boxes"
"""In the filled folder; hidden, so that it is not taken for a class."""

MAX_SCENES: Final = 100_000
"""Of each class; the scenes of one seed end where those of the next begin."""


@dataclass(frozen=True)
class _Scenes:
    numbers: dict[Wanted, int]
    boxes: Path

    @property
    def pictures(self) -> list[Wanted]:
        return list(self.numbers)

    def deliver(self, pictures: Sequence[Wanted]) -> Generator[Delivery, None, None]:
        for wanted in pictures:
            scene = draw_scene(self.numbers[wanted], wanted.label)
            _write_boxes(self.boxes, scene)  # before the picture, which then always has them
            yield Delivered(wanted, scene.encoded)


class _Drawn:
    name: Final = "scenes"
    usage: Final = "scenes:N (N drawn pictures of each class)"

    def open(self, argument: str, options: Options) -> _Scenes:
        if not argument.isdecimal() or not 1 <= int(argument[:10]) <= MAX_SCENES:
            raise FetchError(f"scenes:{argument[:20]} must name 1 to {MAX_SCENES} pictures, such as scenes:100.")
        if options.seed < 0:
            raise FetchError(f"The seed must be 0 or more, not {options.seed}.")
        numbers = {
            Wanted(f"scenes:{label}/{index}?seed={options.seed}", label): options.seed * MAX_SCENES + index
            for index in range(int(argument))
            for label in LABELS
        }
        return _Scenes(numbers, options.into / BOXES_FOLDER)


SOURCE: Final = _Drawn()


def _write_boxes(folder: Path, scene: Scene) -> None:
    path = folder / f"{hashlib.sha256(scene.encoded).hexdigest()[:16]}.json"
    facts = {"label": scene.label, "boxes": [asdict(box) for box in scene.boxes]}
    try:
        write_atomically(path, json.dumps(facts).encode())
    except OSError as error:
        raise FetchError(
            f"{path} cannot be written ({error.strerror}); check the folder's rights and space."
        ) from error
