"""The model card, in the page and as Markdown that a model hub reads, and the learning curve that training noted."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from test_report import HOSTILE, FakeModel, _case

from milliner.classifier.operating_point import OperatingPoint
from milliner.evaluation.evaluate import evaluate
from milliner.evaluation.learning import learning_curve
from milliner.images.ledger import LEDGER_NAME, FetchRow, Ledger


def _of(model: FakeModel, **changes: Any) -> FakeModel:
    model.metadata = replace(model.metadata, **changes)
    return model


def _card(path: Path, **changes: Any) -> str:
    model, dataset = _case(("helmet", "nohelmet"), 30)
    evaluate(_of(model, **changes), dataset, card=path)
    return path.read_text(encoding="utf-8")


def test_a_hub_reads_the_head_and_its_results(tmp_path: Path) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 30)
    evaluation = evaluate(model, dataset, card=tmp_path / "card.md")
    card: Any = ModelCard((tmp_path / "card.md").read_text(encoding="utf-8"))
    assert card.data.library_name == "milliner"
    assert card.data.pipeline_tag == "image-classification"
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == round(evaluation.after.accuracy, 4)
    assert results["accuracy"].dataset_name == "pictures/test"
    assert set(results) == {"accuracy", "roc_auc", "log_loss"}
    assert evaluation.verdict in card.text


def test_strangers_words_stay_words_on_their_line(tmp_path: Path) -> None:
    labels = (*HOSTILE, "# heading\n---\nkey: value", "a | b", "[link](http://x)")
    model, dataset = _case(labels, 44)
    dataset.name = "x\n---\nlicense: mit"
    evaluate(model, dataset, card=tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    card: Any = ModelCard(text)
    assert card.data.to_dict().get("license") is None
    assert card.data.eval_results[0].dataset_name == dataset.name
    body = card.text
    assert len(re.findall(r"(?m)^#{1,2} ", body)) == 1 + 5
    assert not re.search(r"(?<!\\)<[a-z/!]", body)
    assert not re.search(r"(?<!\\)\]\(", body)
    table = body.split("\n\n")[2].splitlines()
    assert len(table) == 2 + len(labels)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {6}


def test_the_same_evaluation_gives_the_same_card(tmp_path: Path) -> None:
    assert _card(tmp_path / "one.md") == _card(tmp_path / "two.md")


@pytest.mark.parametrize(
    ("point", "told", "stranger"),
    [
        (OperatingPoint(), "says the most probable class; never abstains", "all the same: it never abstains"),
        (
            OperatingPoint(0.6, weights={"nohelmet": 3.0}, stated="at least 0.99 recall of nohelmet"),
            "at least 0.99 recall of nohelmet; says nohelmet from a probability of 0.25 on; "
            "abstains below a probability of 0.6",
            "unless it happens to abstain",
        ),
        (
            OperatingPoint(min_margin=0.1, max_distance=3.0),
            "says the most probable class; abstains where two classes are within 0.1 of each other or far from "
            "everything that it was trained on",
            "is mostly abstained on",
        ),
    ],
)
def test_the_operating_point_is_told_in_words(tmp_path: Path, point: OperatingPoint, told: str, stranger: str) -> None:
    text = _card(tmp_path / "card.md", operating_point=point)
    assert f"| Operating point | {told} |" in text
    assert stranger in text


def test_facts_of_training_are_told_where_the_file_has_them(tmp_path: Path) -> None:
    metrics = {
        "cross_validated": {"accuracy": 0.9, "log_loss": 0.2},
        "temperature": 1.25,
        "fine_tuning": {
            "kept": True,
            "tuned": {"accuracy": 0.95, "log_loss": 0.1},
            "linear": {"accuracy": 0.94, "log_loss": 0.2},
        },
        "int8": {"accuracy_before": 0.91, "accuracy_after": 0.909},
    }
    dataset = {"name": "train", "per_class": {"helmet": 20, "nohelmet": 200}, "licences": {"by 4.0": 30, "cc0": 190}}
    text = _card(tmp_path / "card.md", metrics=metrics, dataset=dataset)
    for line in (
        "| Temperature | 1.25, inside the file's own weights: it softens the probabilities |",
        "| Fine-tuning | kept: on pictures held out accuracy",
        "| Whole numbers (int8) | accuracy after 0.909; accuracy before 0.91 |",
        "| Its licences | cc0 190, by 4.0 30 |",
        "| Training set | train: 220 pictures (helmet 20, nohelmet 200) |",
        "- Trained on fewer than 50 pictures of helmet.",
        "- Tested on fewer than 100 pictures of each of helmet and nohelmet: their figures are uncertain.",
    ):
        assert line in text


def test_what_is_said_of_several_classes_is_said_of_each(tmp_path: Path) -> None:
    text = _card(tmp_path / "card.md", dataset={"name": "train", "per_class": {"helmet": 20, "nohelmet": 30}})
    assert "- Trained on fewer than 50 pictures of each of helmet and nohelmet." in text


def test_licences_of_test_pictures_come_from_the_ledger_beside_them(tmp_path: Path) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 6)
    for sample in dataset.samples:
        path = tmp_path / "test" / sample.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.encoded)
    with Ledger.open(tmp_path / "test" / LEDGER_NAME) as ledger:
        for number, sample in enumerate(dataset.samples[:4]):
            licence, version = ("by-sa", "4.0") if number % 2 else ("cc0", None)
            row = FetchRow(f"https://example.org/{number}", sample.label, "urls", "stored", licence, file=sample.key)
            ledger.add(replace(row, licence_version=version))
    evaluate(model, tmp_path / "test", card=tmp_path / "card.md")
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "| Its licences | by-sa 4.0 2, cc0 2, unknown 2 |" in text


CURVE = {
    "pictures_per_class": [5, 20, 80, 320],
    "accuracy": [0.86, 0.93, 0.96, 0.975],
    "low": [0.82, 0.91, 0.95, 0.965],
    "high": [0.9, 0.95, 0.97, 0.985],
    "sentence": "50 more <b>pictures</b> of each class would likely buy 0.4 points.",
}


def test_the_learning_curve_is_drawn_with_its_band_and_its_sentence(tmp_path: Path) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 12)
    evaluate(_of(model, metrics={"learning_curve": CURVE}), dataset, report=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "50 more &lt;b&gt;pictures&lt;/b&gt; of each class would likely buy 0.4 points." in text
    assert '<a href="#learning">' in text
    row = "320</th><td>97.5\N{NO-BREAK SPACE}%<small>96.5\N{NO-BREAK SPACE}% to 98.5\N{NO-BREAK SPACE}%</small>"
    assert row in text
    assert "Without init" not in text
    drawn = learning_curve({"learning_curve": CURVE})
    assert drawn is not None
    x, y = np_points(drawn.points)
    assert x == sorted(x)
    assert y == sorted(y, reverse=True)
    assert (x[0], x[-1]) == (drawn.left, drawn.right)
    assert [x[1] - x[0], x[2] - x[1], x[3] - x[2]] == pytest.approx([(x[3] - x[0]) / 3] * 3, abs=0.2)
    assert drawn.band.count(",") == 8
    assert all(10 <= each <= drawn.bottom for each in y)
    assert [tick.text for tick in drawn.widths] == ["5", "20", "80", "320"]


def test_what_the_curve_is_without_init_is_drawn_beside_it(tmp_path: Path) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 12)
    curve = CURVE | {"without_init": [0.7, 0.9, 0.96, 0.975]}
    evaluate(_of(model, metrics={"learning_curve": curve}), dataset, report=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<td>70.0\N{NO-BREAK SPACE}%</td>" in text
    drawn = learning_curve({"learning_curve": curve})
    assert drawn is not None
    assert f'<path class="curve s2" d="{drawn.without_init}"/>' in text
    assert drawn.without_init.split("L")[-1] == drawn.path.split("L")[-1]


def np_points(points: tuple[tuple[float, float], ...]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": [0.9]},
        {"accuracy": [0.9, 0.9, float("nan"), 0.9]},
        {"low": "none"},
        {"without_init": [0.9]},
        {"without_init": None},
        {"high": [1.1, 1, 1, 1]},
        {"pictures_per_class": [0, 1, 2, 3]},
        {"pictures_per_class": [5, 5, 20, 30]},
        {"pictures_per_class": [True, 2, 3, 4]},
        {"accuracy": None},
    ],
)
def test_a_learning_curve_that_is_none_is_left_out(change: dict[str, Any]) -> None:
    assert learning_curve({"learning_curve": CURVE | change}) is None


@pytest.mark.parametrize("metrics", [{}, {"learning_curve": None}, {"learning_curve": [1, 2]}, {"learning_curve": {}}])
def test_without_a_learning_curve_there_is_none(metrics: dict[str, Any]) -> None:
    assert learning_curve(metrics) is None


def test_a_flat_learning_curve_and_one_at_the_top_can_be_drawn() -> None:
    for level in (0.0, 0.5, 1.0):
        flat = {name: [level, level] for name in ("accuracy", "low", "high")}
        drawn = learning_curve({"learning_curve": {"pictures_per_class": [5, 10], **flat}})
        assert drawn is not None
        assert all(10 <= y <= drawn.bottom for _, y in drawn.points)
