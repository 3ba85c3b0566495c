"""`video:FILE` and `video:rtsp://…`: frames of a video or camera, without those that look like the one before."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from PIL import Image

from milliner.core.address import without_login
from milliner.core.credit import UNKNOWN, Credit
from milliner.core.errors import FetchError
from milliner.images.heatmap import to_jpeg
from milliner.images.inspect import inspect
from milliner.images.likeness import NEAR
from milliner.sources.frames import looks
from milliner.sources.source import Listing, Options, Wanted

EVERY: Final = 1.0
"""Seconds between two frames, where nothing else is asked for."""

SCENE: Final = 20
"""Bits of likeness that must change for a new scene."""

_GLANCE: Final = 0.2  # seconds between two looks for a new scene
_OPTION: Final = re.compile(r"\?(every=(?P<every>\d+(\.\d+)?)|(?P<scene>scene))$")


class _Video:
    name: Final = "video"
    usage: Final = (
        "video:FILE or video:rtsp://… (with --label; ?every=2 for a frame every 2 seconds, ?scene for each new scene)"
    )

    def open(self, argument: str, options: Options) -> Listing:
        if options.label is None:
            raise FetchError("A video needs --label to say what its frames show.")
        asked = _OPTION.search(argument)
        place = argument[: asked.start()] if asked else argument
        remote = "://" in place
        if remote and options.limit is None:
            raise FetchError("A camera may never end; pass --limit to say how many frames to take.")
        step = _Step(
            float(asked["every"] or _GLANCE) if asked else EVERY, SCENE if asked and asked["scene"] else NEAR + 1
        )
        if step.seconds <= 0:
            raise FetchError("A video's ?every must be more than 0 seconds.")
        # Of a relative path, FFmpeg would take what comes before a colon for a protocol.
        path = place if remote else str((options.base / Path(place).expanduser()).absolute())
        name = without_login(place) if remote else _content_name(Path(path))
        return Listing(_frames(path, name, step, remote, options.label), label=options.label)


SOURCE: Final = _Video()


@dataclass(frozen=True)
class _Step:
    seconds: float
    change: int
    """Bits of likeness by which a frame must differ from the last one taken."""


def _content_name(path: Path) -> str:
    """Names a video by its content, so that a renamed one is known and another one of the same name is not."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FetchError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    return digest[:32]


def _frames(path: str, name: str, step: _Step, remote: bool, label: str) -> Iterator[Wanted]:
    last: int | None = None
    shown = name if remote else path
    credit = UNKNOWN if remote else Credit(title=Path(path).name)
    for moment, frame in looks(path, shown, step.seconds, remote):
        encoded = to_jpeg(Image.fromarray(frame[:, :, ::-1]))
        alike = inspect(encoded).likeness or 0  # as the ledger will have it
        if last is not None and (alike ^ last).bit_count() < step.change:
            continue
        last = alike
        address = f"video:{name}#t={moment}"
        yield Wanted(address, label, credit=credit, read=partial(bytes, encoded), in_order=True)
