"""What an evaluation reads is never written over."""

from pathlib import Path
from typing import Any

import pytest
from test_report import _case

from milliner.core.errors import SettingsError
from milliner.evaluation.evaluate import evaluate

READ: dict[str, Any] = {
    "model": "m.onnx",
    "dataset": "packed/test.rec",
    "train": "train",
    "against": "other.onnx",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that are no models and no pictures: what is refused before anything is opened."""
    for name in ("m.onnx", "other.onnx", "packed/test.rec", "packed/test.labels", "train/red/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"kept")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("option", ["report", "card"])
@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("m.onnx", "over the model;"),
        ("packed/../m.onnx", "over the model;"),
        ("link.html", "over the model;"),
        ("other.onnx", "over the model that it is compared with;"),
        ("packed/test.rec", "over the dataset;"),
        ("packed/test.labels", "over the dataset;"),
        ("train/red/page.html", "over the training pictures;"),
    ],
)
def test_it_writes_over_nothing_that_it_reads(place: Path, option: str, target: str, what: str) -> None:
    (place / "link.html").symlink_to("m.onnx")
    asked: dict[str, Any] = READ | {option: target}
    with pytest.raises(SettingsError, match=f"The {option} .* would be written {what} give another name"):
        evaluate(**asked)
    assert {path.read_bytes() for path in place.rglob("*") if path.is_file()} == {b"kept"}


def test_the_files_of_a_pattern_are_read_too(place: Path) -> None:
    with pytest.raises(SettingsError, match="over the dataset"):
        evaluate("m.onnx", "packed/*.rec", report="packed/test.rec")


def test_page_and_card_have_two_names_and_neither_is_a_folder(place: Path) -> None:
    with pytest.raises(SettingsError, match=r"both to be page\.html; give two names"):
        evaluate(**READ, report="page.html", card=place / "page.html")
    with pytest.raises(SettingsError, match=r"The report packed is a folder; give a file name such as .*report\.html"):
        evaluate(**READ, report="packed")


def test_other_places_are_free(place: Path) -> None:
    model, dataset = _case(("red", "blue"), 4)
    evaluate(model, dataset, card="packed/card.md")
    assert (place / "packed" / "card.md").exists()
