"""Slices of a test set, exact tests, and one model against another."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from test_report import FakeModel, _case

from milliner.core.errors import DatasetError, MillinerError, ModelError, SettingsError
from milliner.core.picture_set import PictureSet
from milliner.core.sample import Sample
from milliner.evaluation.comparison import pictures_to_show
from milliner.evaluation.evaluate import evaluate
from milliner.evaluation.exact import fisher, holm, mcnemar
from milliner.evaluation.traits import traits_of
from milliner.images.ledger import FetchRow, Ledger, RunRow

counts = st.integers(0, 60)


@given(counts, counts)
def test_mcnemar_is_a_coin_that_is_thrown_for_each_picture_on_which_one_is_right(one: int, other: int) -> None:
    thrown = one + other
    tail = sum(math.comb(thrown, heads) for heads in range(min(one, other) + 1))
    assert mcnemar(one, other) == pytest.approx(min(1.0, float(Fraction(2 * tail, 2**thrown))))
    assert mcnemar(one, other) == mcnemar(other, one)


@given(counts, counts, counts, counts)
def test_fisher_adds_up_the_tables_that_are_no_more_probable(a: int, b: int, c: int, d: int) -> None:
    def ways(hits: int) -> int:
        return math.comb(a + b, hits) * math.comb(c + d, a + c - hits)

    tables = [ways(hits) for hits in range(max(0, a - d), min(a + b, a + c) + 1)]
    expected = Fraction(sum(table for table in tables if table <= ways(a)), sum(tables))
    assert fisher(a, b, c, d) == pytest.approx(float(expected))
    assert fisher(a, b, c, d) == pytest.approx(fisher(c, d, a, b))


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps: list[float]) -> None:
    corrected = holm(ps)
    assert all(before <= after <= 1 for before, after in zip(ps, corrected, strict=True))
    assert [corrected[place] for place in np.argsort(ps, kind="stable")] == sorted(corrected)
    assert not ps or min(corrected) == pytest.approx(min(1, min(ps) * len(ps)))


def test_so_many_pictures_show_a_difference_four_times_in_five() -> None:
    pictures = pictures_to_show(0.05, 0.15)
    random = np.random.default_rng(1)
    cells = random.multinomial(pictures, [0.1, 0.05, 0.85], size=600)
    shown = np.mean([mcnemar(int(better), int(worse)) < 0.05 for better, worse, _ in cells])
    assert 0.72 < shown < 0.84
    assert pictures_to_show(0.01, 0) == pictures_to_show(0.01, 0.01) > 700


def _like(model: FakeModel, change: Callable[[int, NDArray[np.float32]], NDArray[np.float32]], name: str) -> FakeModel:
    """Another model that says something else of each picture by its number."""
    told = {encoded: change(place, said) for place, (encoded, said) in enumerate(model.told.items())}
    return FakeModel(model.metadata, told, name)


def _swapped(model: FakeModel, every: int, name: str = "other.onnx") -> FakeModel:
    """Says the contrary of every so many pictures."""
    return _like(model, lambda place, said: said[::-1] if place % every == 0 else said, name)


def test_a_better_model_is_said_to_be_better_whichever_way_they_are_given() -> None:
    model, dataset = _case(("helmet", "nohelmet"), 60, flawless=True)
    worse = _swapped(model, 4)
    found = evaluate(model, dataset, against=worse).comparison
    assert found is not None
    assert (found.samples, found.only_right, found.only_other_right) == (60, 15, 0)
    assert found.sentence.startswith("fake.onnx is better than other.onnx by 25.0 points (")
    assert found.p == mcnemar(15, 0)
    back = evaluate(worse, dataset, against=model).comparison
    assert back is not None
    assert back.sentence == found.sentence
    for name, figure in found.differences.items():
        other = back.differences[name]
        assert figure.value is not None
        assert figure.interval is not None
        assert other.interval is not None
        assert other.value == pytest.approx(-figure.value)
        assert other.interval == pytest.approx((-figure.interval[1], -figure.interval[0]))
        assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert {each.file for each in found.disagreements} == {dataset.key(place) for place in range(0, 60, 4)}


def test_models_that_say_the_same_cannot_be_told_apart_and_the_sentence_says_what_it_would_take() -> None:
    model, dataset = _case(("helmet", "nohelmet"), 60)
    found = evaluate(model, dataset, against=_like(model, lambda _, said: said, "twin.onnx")).comparison
    assert found is not None
    assert (found.p, found.disagreements) == (1.0, ())
    low, high = found.differences["accuracy"].interval or (0, 0)
    assert low < -0.01
    assert high > 0.01
    assert found.differences["log_loss"].interval is None
    assert found.sentence == (
        f"No difference in accuracy between fake.onnx and twin.onnx can be shown (\N{MINUS SIGN}{high * 100:.1f} to "
        f"+{high * 100:.1f} points, p = 1); to show one of 1 point takes about 790 pictures."
    )


def test_classes_are_matched_by_name_whatever_their_order() -> None:
    model, dataset = _case(("a", "b", "c"), 40)
    turned = FakeModel(
        replace(model.metadata, labels=("c", "a", "b")),
        {encoded: said[[2, 0, 1]] for encoded, said in model.told.items()},
        "turned.onnx",
    )
    found = evaluate(model, dataset, against=turned).comparison
    assert found is not None
    assert found.disagreements == ()
    assert found.figures == pytest.approx(found.figures_of_other)


def test_models_of_other_classes_are_not_compared() -> None:
    model, dataset = _case(("a", "b", "c"), 6)
    stranger = FakeModel(replace(model.metadata, labels=("a", "b", "d")), model.told, "other.onnx")
    with pytest.raises(ModelError, match=r"^fake\.onnx knows a class 'c' and other\.onnx does not; compare models"):
        evaluate(model, dataset, against=stranger)


def test_pictures_that_either_was_trained_on_are_left_out_of_the_comparison() -> None:
    model, dataset = _case(("a", "b"), 20)
    seen = PictureSet.of(sample.sha256 for sample in dataset.samples[:3])
    also_seen = PictureSet.of(sample.sha256 for sample in dataset.samples[2:7])
    learnt = replace(model, metadata=replace(model.metadata, trained_on=seen))
    other = FakeModel(replace(model.metadata, trained_on=also_seen), model.told, "other.onnx")
    found = evaluate(learnt, dataset, against=other)
    assert found.after.samples == 17
    assert found.comparison is not None
    assert (found.comparison.samples, found.comparison.left_out) == (13, 4)
    assert "Left out of the comparison: 4 pictures that other.onnx was trained on." in found.notes
    all_seen = PictureSet.of(sample.sha256 for sample in dataset.samples)
    found = evaluate(learnt, dataset, against=replace(other, metadata=replace(other.metadata, trained_on=all_seen)))
    assert found.comparison is None
    assert found.notes[-1] == "Not compared: other.onnx was trained on all of these pictures; give others."


def test_models_of_one_name_are_told_apart() -> None:
    model, dataset = _case(("a", "b"), 20)
    other = replace(_swapped(model, 3, model.name), sha256="cd" * 32)
    found = evaluate(model, dataset, against=other).comparison
    assert found is not None
    assert (found.model, found.other) == ("fake.onnx (abababab)", "fake.onnx (cdcdcdcd)")


def _ledger(folder: Path, samples: Sequence[Sample], origin: Mapping[str, object], **more: object) -> None:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        ledger.add(RunRow(3, "2024-05-06T07:08:09+00:00", "web", "a", 1, 1, 0, "{}", "{}", 1, 1.0))
        for number, sample in enumerate(samples):
            known = {name: values[number % len(values)] for name, values in origin.items()}  # type: ignore[index,arg-type]
            row = FetchRow(f"https://x/{number}", sample.label, status="stored", sha256=sample.sha256, **known, **more)  # type: ignore[arg-type]
            ledger.add(replace(row, file=sample.key))


def test_slices_are_those_of_the_ledger_and_the_weak_one_is_marked(tmp_path: Path) -> None:
    model, dataset = _case(("a", "b"), 60, flawless=True)
    weak = _like(model, lambda place, said: said[::-1] if place % 3 == 2 else said, "weak.onnx")
    sources = {"source": ["openverse:hat", "openverse:hat", "commons:Category:Hats"], "licence": ["by", None]}
    _ledger(tmp_path, dataset.samples[:-3], sources, run=3)
    found = evaluate(weak, dataset, slices=("source", "licence", "day"), ledger=tmp_path)
    shown = {(each.column, each.value): each for each in found.slices}
    assert [(column, value, each.samples) for (column, value), each in shown.items()] == [
        ("source", "openverse:hat", 38),
        ("source", "commons:Category:Hats", 19),
        ("source", "unknown", 3),
        ("licence", "unknown", 31),
        ("licence", "by", 29),
        ("day", "2024-05-06", 57),
        ("day", "unknown", 3),
    ]
    bad, good, few = list(shown.values())[:3]
    assert bad.accuracy.value == 1
    assert bad.rest == pytest.approx(2 / 22)
    assert (good.accuracy.value, good.differs, few.differs) == (0, True, False)
    assert few.accuracy.interval is not None
    assert few.accuracy.interval[1] - few.accuracy.interval[0] > 0.5
    assert not shown["licence", "by"].differs
    document = json.loads(json.dumps(found.to_json()))
    assert [each["differs"] for each in document["slices"]] == [each.differs for each in found.slices]


def test_pictures_that_were_written_anew_are_known_by_their_path(tmp_path: Path) -> None:
    model, dataset = _case(("a", "b"), 4)
    _ledger(tmp_path, dataset.samples, {"source": ["x", "y"]})
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.add_all([replace(row, sha256="0" * 64) for row in list(ledger.fetched())])
    found = evaluate(model, dataset, slices=["source"], ledger=tmp_path / "ledger.sqlite")
    assert [(each.value, each.samples) for each in found.slices] == [("x", 2), ("y", 2)]


def test_size_shape_and_brightness_need_no_ledger(tmp_path: Path) -> None:
    model, dataset = _case(("a", "b"), 12)
    found = evaluate(model, dataset, slices=("size", "aspect", "brightness", "size"))
    assert {each.column: 0 for each in found.slices} == {"size": 0, "aspect": 0, "brightness": 0}
    for column in ("size", "aspect", "brightness"):
        assert sum(each.samples for each in found.slices if each.column == column) == 12
    path = tmp_path / "picture.png"
    for size, grey, expected in (
        ((300, 100), 0, {"size": "under 128 pixels", "aspect": "wide", "brightness": "dark"}),
        ((200, 220), 130, {"size": "128 to 255 pixels", "aspect": "square", "brightness": "medium"}),
        ((1024, 2000), 250, {"size": "1024 pixels and more", "aspect": "tall", "brightness": "bright"}),
    ):
        Image.new("L", size, grey).save(path)
        assert traits_of(path.read_bytes(), tuple(expected)) == expected


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"slices": ["sauce"]}, SettingsError, "There are no slices by 'sauce'; give some of aspect, "),
        ({"slices": ["source"]}, DatasetError, "pictures/test has no ledger beside it .* with --ledger"),
        ({"slices": ["source"], "ledger": "nowhere"}, DatasetError, "There is no ledger nowhere; give the folder"),
        ({"at_false_alarms": [0.01, 1]}, SettingsError, "above 0 and below 1, such as 0.01, not 1"),
        ({"at_false_alarms": [math.nan]}, SettingsError, "not nan"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence(
    options: dict[str, object], error: type[MillinerError], sentence: str
) -> None:
    model, dataset = _case(("a", "b"), 2)
    with pytest.raises(error, match=sentence):
        evaluate(model, dataset, **options)  # type: ignore[arg-type]


def test_a_column_that_tells_every_picture_apart_makes_no_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milliner.evaluation.slices.MOST_VALUES", 7)
    model, dataset = _case(("a", "b"), 8)
    _ledger(tmp_path, dataset.samples, {"page": [sample.key for sample in dataset.samples]})
    with pytest.raises(DatasetError, match="'page' has 8 values for 8 pictures"):
        evaluate(model, dataset, slices=["page"], ledger=tmp_path)
