"""What evaluated pictures have in common with each other and with the training pictures."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photos import COPIES, drawn, jpeg
from selenium import webdriver
from test_report import FakeDataset, FakeModel, _case, _show, browser  # noqa: F401 - the fixture is used by name

from milliner.cli.figures import print_figures
from milliner.core.errors import DatasetError
from milliner.core.picture_set import PictureSet
from milliner.core.sample import Sample
from milliner.evaluation.evaluate import evaluate
from milliner.evaluation.leak_words import in_short
from milliner.evaluation.likenesses import Leakage
from milliner.evaluation.result import Evaluation

LABELS = ("even", "odd")


def _pictures(numbers: Sequence[int], name: str) -> FakeDataset:
    samples = [
        Sample(f"{LABELS[number % 2]}/{number}.jpg", LABELS[number % 2], jpeg(drawn(number))) for number in numbers
    ]
    return FakeDataset(LABELS, samples, name)


def _add(dataset: FakeDataset, key: str, label: str, encoded: bytes) -> None:
    dataset.samples.append(Sample(key, label, encoded))


def _model(*datasets: FakeDataset, wrong: Sequence[str] = ()) -> FakeModel:
    """Says the truth of all pictures but those."""
    model = FakeModel(replace(_case(LABELS, 1)[0].metadata, trained_on=PictureSet.of(["ab" * 32])))
    for sample in (sample for dataset in datasets for sample in dataset.samples):
        right = LABELS.index(sample.label) ^ (sample.key in wrong)
        model.told[sample.encoded] = np.eye(2, dtype=np.float32)[right] * 0.8 + 0.1
    return model


def _leakage(evaluation: Evaluation) -> Leakage:
    assert evaluation.leakage is not None
    return evaluation.leakage


def test_near_duplicates_within_the_test_set_are_counted_once(tmp_path: Path) -> None:
    dataset = _pictures(range(10), "test")
    random = np.random.default_rng(1)
    _add(dataset, "even/again.jpg", "even", COPIES["recompressed"](drawn(4), random))
    _add(dataset, "even/same.jpg", "even", dataset.samples[6].encoded)
    model = _model(dataset, wrong=["even/4.jpg", "even/again.jpg"])
    evaluation = evaluate(model, dataset, report=tmp_path / "page.html")
    within = _leakage(evaluation).within
    assert within.repeated == 4
    assert [(each.file, each.other_file, each.kind) for each in within.pairs] == [
        ("even/4.jpg", "even/again.jpg", "near duplicate"),
        ("even/6.jpg", "even/same.jpg", "exact"),
    ]
    assert within.once is not None
    assert (within.once.correct, within.once.pictures) == (9, 10)
    assert evaluation.after.accuracy == pytest.approx(10 / 12)
    document = evaluation.to_json()["leakage"]
    assert document["within"]["repeated"] == 4
    assert document["across"] is None
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "4\N{NO-BREAK SPACE}pictures are nearly the same as another test picture." in text
    assert "With one of each kept, 90.0\N{NO-BREAK SPACE}% of 10\N{NO-BREAK SPACE}pictures are named correctly" in text
    assert "Whether test pictures look like training pictures was not checked." in text


def test_what_the_training_pictures_give_away_is_told_and_taken_out(
    browser: webdriver.Chrome,  # noqa: F811
    tmp_path: Path,
) -> None:
    train, dataset = _pictures(range(20, 32), "train"), _pictures(range(8), "test")
    random = np.random.default_rng(1)
    _add(dataset, "even/mirrored.jpg", "even", COPIES["mirrored"](drawn(20), random))
    _add(dataset, "odd/same.jpg", "odd", train.samples[1].encoded)
    model = _model(dataset, wrong=["odd/3.jpg"])
    page = tmp_path / "page.html"
    evaluation = evaluate(model, dataset, report=page, train=train, cache=tmp_path / "cache.sqlite")
    across = _leakage(evaluation).across
    assert across is not None
    assert [(each.file, each.other_file, each.kind) for each in across.found][:2] == [
        ("odd/same.jpg", "odd/21.jpg", "exact"),
        ("even/mirrored.jpg", "even/20.jpg", "near duplicate"),
    ]
    assert across.counts["exact"] == across.counts["near duplicate"] == 1
    assert across.pictures == 12
    assert across.without_duplicates is not None
    assert (across.without_duplicates.correct, across.without_duplicates.pictures) == (7, 8)
    assert evaluation.to_json()["leakage"]["across"]["without_duplicates"]["pictures"] == 8
    _show(browser, page)
    section = browser.find_element("css selector", "section[aria-labelledby=leaks]")
    assert "2 pictures look like a training picture." in section.text.replace("\N{NO-BREAK SPACE}", " ")
    shown = browser.execute_script(
        "return [...document.querySelectorAll('.pairs figure')].map(f => [...f.querySelectorAll('code bdi')]"
        ".map(e => e.textContent).concat([...f.querySelectorAll('img')].map(e => e.naturalWidth > 0)))"
    )
    assert shown[0] == ["odd/same.jpg", "odd/21.jpg", True, True]
    assert shown[1] == ["even/mirrored.jpg", "even/20.jpg", True, True]


def test_the_terminal_tells_of_leaks_and_names_the_first_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dataset = _pictures(range(20, 32), "train"), _pictures(range(8), "test")
    for place in range(7):
        _add(dataset, f"odd/same{place}.jpg", LABELS[place % 2], train.samples[place].encoded)
    evaluation = evaluate(_model(dataset), dataset, train=train, cache=tmp_path / "cache.sqlite")
    print_figures(evaluation)
    told = " ".join(capsys.readouterr().out.split())
    assert "7 pictures look like a training picture. Seen in train: 7 in the very same file." in told
    assert "xa0" not in told
    assert told.count(" in training") == 5
    assert told.endswith("and 2 more; --json has all")
    assert "7 pictures look like a training picture. Seen in train" in in_short(_leakage(evaluation))


def test_a_clean_test_is_called_clean(tmp_path: Path) -> None:
    train, dataset = _pictures(range(20, 26), "train"), _pictures(range(6), "test")
    evaluate(
        _model(dataset), dataset, report=tmp_path / "page.html", train=train, cache=tmp_path / "cache.sqlite"
    )  # fmt: skip
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "No picture that it was trained on is counted." in text
    assert "Every test picture is another one." in text
    assert "No test picture looks like a training picture." in text
    assert text.count('class="good"') == 3


def test_keys_that_repeat_and_pictures_that_cannot_be_read_do_not_shift_the_pairs() -> None:
    dataset, train = _pictures(range(4), "test"), _pictures(range(20, 24), "train")
    dataset.samples.insert(0, Sample("broken", "even", b"\xff\xd8\xff"))
    dataset.samples = [replace(sample, key="0") for sample in dataset.samples]
    train.samples.insert(0, Sample("broken", "odd", b"GIF8"))
    model = _model(dataset)
    _add(train, "copy", "odd", dataset.samples[4].encoded)
    across = _leakage(evaluate(model, dataset, train=train)).across
    assert across is not None
    assert [(each.place, each.other_place, each.kind) for each in across.found] == [(4, 5, "exact")]


def test_a_training_set_that_is_not_there_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    dataset = _pictures(range(4), "test")
    with pytest.raises(DatasetError, match="There is no"):
        evaluate(_model(dataset), dataset, report=tmp_path / "page.html", train=tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []
