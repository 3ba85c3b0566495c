"""`scenes:N`: N drawn pictures of each class, with the box of every head beside them; needs no network."""

import hashlib
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from milliner.core.errors import FetchError
from milliner.images.files import write_atomically
from milliner.sources.drawing.scene import LABELS, Scene, draw_scene
from milliner.sources.source import Listing, Options, Wanted

BOXES_FOLDER: Final = ".boxes"
"""In the filled folder; hidden, so that it is not taken for a class."""

MAX_SCENES: Final = 100_000
"""Of each class; the scenes of one seed end where those of the next begin."""


class _Drawn:
    name: Final = "scenes"
    usage: Final = "scenes:N (N drawn pictures of each class)"

    def open(self, argument: str, options: Options) -> Listing:
        if not argument.isdecimal() or not 1 <= int(argument[:10]) <= MAX_SCENES:
            raise FetchError(f"scenes:{argument[:20]} must name 1 to {MAX_SCENES} pictures, such as scenes:100.")
        count = int(argument)
        return Listing(
            (_wanted(index, label, options) for index in range(count) for label in LABELS), count * len(LABELS)
        )


SOURCE: Final = _Drawn()


def _wanted(index: int, label: str, options: Options) -> Wanted:
    number = options.seed * MAX_SCENES + index
    read = partial(_draw, number, label, options.into / BOXES_FOLDER)
    return Wanted(f"scenes:{label}/{index}?seed={options.seed}", label, read=read)


def _draw(number: int, label: str, boxes: Path) -> bytes:
    scene = draw_scene(number, label)
    _write_boxes(boxes, scene)  # before the picture, which then always has them
    return scene.encoded


def _write_boxes(folder: Path, scene: Scene) -> None:
    path = folder / f"{hashlib.sha256(scene.encoded).hexdigest()[:16]}.json"
    facts = {"label": scene.label, "boxes": [asdict(box) for box in scene.boxes]}
    try:
        write_atomically(path, json.dumps(facts).encode())
    except OSError as error:
        raise FetchError(
            f"{path} cannot be written ({error.strerror}); check the folder's rights and space."
        ) from error
