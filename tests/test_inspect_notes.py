"""What check notes of single pictures: blur, odd shapes, wrong names, what is converted, and placeholders."""

import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from photos import blurred, drawn, jpeg
from PIL import Image

from milliner.curation.check import check
from milliner.images import placeholders
from milliner.images.inspect import inspect, named_wrongly


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sixteen_bit() -> Image.Image:
    return Image.fromarray((np.random.default_rng(1).integers(0, 2**16, (64, 64))).astype(np.uint16))


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (jpeg(drawn(1)), ()),
        (jpeg(drawn(1, 500, 120)), ("long",)),
        (jpeg(drawn(1, 120, 490)), ("long",)),
        (jpeg(drawn(1, 480, 120)), ()),
        (saved(drawn(1).convert("CMYK"), "JPEG"), ("cmyk",)),
        (saved(sixteen_bit(), "PNG"), ("16-bit",)),
        (saved(drawn(1), "GIF"), ()),
        (saved(drawn(1), "GIF", save_all=True, append_images=[drawn(2)]), ("animated",)),
        (saved(drawn(1), "PNG", save_all=True, append_images=[drawn(2)]), ("animated",)),
        (saved(drawn(1), "WEBP", save_all=True, append_images=[drawn(2)]), ("animated",)),
    ],
)
def test_what_is_remarkable_is_noted_and_the_picture_kept(content: bytes, notes: tuple[str, ...]) -> None:
    seen = inspect(content)
    assert (seen.reason, seen.notes) == (None, notes)


def test_an_animation_cut_off_behind_its_first_frame_is_kept() -> None:
    whole = saved(drawn(1), "GIF", save_all=True, append_images=[drawn(2)])
    first = saved(drawn(1), "GIF")
    assert inspect(whole[: len(first) + 40]).reason is None


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        ("a.jpg", "JPEG", False),
        ("a.JPEG", "JPEG", False),
        ("a.jpg", "MPO", False),
        ("a.jpg", "PNG", True),
        ("a.png", "JPEG", True),
        ("a.heic", "JPEG", True),
        ("holiday.2019", "JPEG", False),
        ("noname", "GIF", False),
        ("a.tiff", "TIFF", False),
        ("a.jpg", None, False),
    ],
)
def test_a_name_is_wrong_where_it_ends_like_another_format(name: str, kind: str | None, wrong: bool) -> None:
    assert named_wrongly(name, kind) is wrong


def test_notes_are_findings_and_are_remembered(class_folders: Callable[..., Path]) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / "odd.jpg").write_bytes(saved(drawn(3, 600, 100), "PNG"))
    for _ in range(2):
        found = check(folder, quick=True)
        assert [(each.kind, each.files, each.note, each.action) for each in found.findings] == [
            ("long", ("red/odd.jpg",), "600 x 100 pixels", "kept"),
            ("wrong-extension", ("red/odd.jpg",), "is PNG", "kept"),
        ]
        assert "red/odd.jpg" in {row.file for row in found.kept}


def test_a_known_placeholder_is_set_aside(class_folders: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = class_folders(red=2, green=2)
    gone = jpeg(drawn(4))
    monkeypatch.setattr(placeholders, "_SHA256", {hashlib.sha256(gone).hexdigest()})
    (folder / "red" / "gone.jpg").write_bytes(gone)
    assert {row.file: row.reason for row in check(folder, quick=True).set_aside} == {"red/gone.jpg": "placeholder"}


def test_real_photographs_are_not_called_blurred_and_blurred_ones_are(test_data: Path) -> None:
    sound = sorted((test_data / "helmets").glob("*/*.jpg"))[::5]
    assert [path.name for path in sound if "blurred" in inspect(path.read_bytes()).notes] == []
    insects = sorted((test_data / "ants-bees").rglob("*.jpg"))[::3]  # close-ups, whose background is out of focus
    assert sum("blurred" in inspect(path.read_bytes()).notes for path in insects) <= 1
    found = ["blurred" in inspect(blurred(path, 0.012)).notes for path in sound[::4]]
    assert sum(found) == len(found) > 50


def test_the_placeholder_in_a_much_copied_set_is_found(test_data: Path, tmp_path: Path) -> None:
    shutil.copytree(test_data / "ants-bees" / "train", tmp_path / "train", copy_function=shutil.copyfile)
    reasons = {row.file: row.reason for row in check(tmp_path / "train", quick=True).set_aside}
    assert reasons == {"ants/imageNotFound.gif": "placeholder"}
