"""Frames of videos and cameras, as OpenCV and FFmpeg decode them."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from milliner.core.errors import FetchError

_OPEN_MS: Final = 10_000
_READ_MS: Final = 15_000


def looks(path: str, name: str, every: float, remote: bool) -> Iterator[tuple[str, Any]]:
    """Every so many seconds a frame, BGR uint8 [height, width, 3], with its moment.

    That is seconds since the beginning for what has an end, and the time of day for a camera, which has none.

    Args:
        path: a file, or an address that FFmpeg knows.
        name: what errors call it.
        every: seconds from one frame to the next, or somewhat more.
        remote: whether it is an address; then it may be a camera.

    Raises:
        FetchError: there is no OpenCV or no video, or it breaks off.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg says the same in more words
    try:
        import cv2
    except ImportError as error:
        raise FetchError("Videos need OpenCV; pip install 'milliner[video]'.") from error
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_MS]
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, limits)
    try:
        if not capture.isOpened():
            check = "the address and the login" if remote else "that it is one"
            raise FetchError(f"{name} cannot be opened as a video; check {check}.")
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate < 1000 else 25.0
        live = remote and capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        started, number, due = time.monotonic(), 0, 0.0
        while capture.grab():
            now = time.monotonic() - started if live else number / rate
            number += 1
            if now + 1e-9 < due:
                continue
            due = now + every
            whole, frame = capture.retrieve()
            if whole:
                yield datetime.now(UTC).isoformat(timespec="milliseconds") if live else f"{now:.3f}", frame
        if not number or live:
            raise FetchError(f"{name} broke off after {number} frames; check it, then fetch again.")
    finally:
        capture.release()
        cv2.utils.logging.setLogLevel(level)
