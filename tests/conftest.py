"""What the tests share: the real data where it is, small made-up pictures everywhere."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from milliner import train

os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # read once a process, by whichever test opens a video first

_BESIDE = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photographs, record files and weights; the test is skipped where there is none."""
    folder = Path(os.environ.get("MILLINER_TEST_DATA") or _BESIDE)
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MILLINER_TEST_DATA")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the user's cache out of the tests; one for all of them, since the backbone is the same."""
    monkeypatch.setenv("MILLINER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def noise_jpeg(seed: int, side: int = 64, tint: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    """A small JPEG of tinted noise; different seeds give different bytes."""
    values = np.random.default_rng(seed).integers(0, 160, (side, side, 3)) + np.array(tint)
    buffer = io.BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def fill_class_folders(folder: Path, start: int = 0, /, **counts: int) -> Path:
    """Makes so many different pictures of each class, whose tints differ by the place of the class.

    Another `start`, below 1000, gives others.
    """
    for number, (label, count) in enumerate(counts.items()):
        (folder / label).mkdir(parents=True, exist_ok=True)
        tint = (90 * (number % 3 == 0), 90 * (number % 3 == 1), 90 * (number % 3 == 2))
        for index in range(count):
            (folder / label / f"{index:03}.jpg").write_bytes(noise_jpeg(1000 * number + start + index, tint=tint))
    return folder


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """Makes a labelled folder: `class_folders(red=6, blue=4)` has that many different pictures of each class."""

    def make(root: Path | None = None, /, **counts: int) -> Path:
        return fill_class_folders(root or tmp_path / "pictures", **counts)

    return make


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the classes `blue` and `red`, trained on noise pictures at 64 pixels."""
    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLINER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        pictures = fill_class_folders(folder / "pictures", red=12, blue=10)
        train(pictures, into=folder / "small.onnx", size=64, cache=folder / "cache.sqlite")
    return folder / "small.onnx"
