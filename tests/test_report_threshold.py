"""The page's threshold slider in a real browser: what it shows is what the model would say at other weights."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from test_report import (  # noqa: F401 - the fixture is used by name
    HOSTILE,
    FakeDataset,
    FakeModel,
    _case,
    _show,
    browser,
)

from milliner.classifier.operating_point import OperatingPoint
from milliner.core.sample import Sample
from milliner.evaluation.evaluate import evaluate
from milliner.evaluation.result import Evaluation
from milliner.evaluation.threshold import STEP, sweep

DIGITS = tuple(f"digit {number}" for number in range(10))
WEIGHTS = {"digit 3": 4.0, "digit 7": 0.5}

Counts = tuple[int, int, int, int]
"""Found, missed, false alarms and those left alone."""


def _weighted(model: FakeModel, weights: dict[str, float]) -> FakeModel:
    point = replace(model.metadata.operating_point, weights=weights)
    model.metadata = replace(model.metadata, operating_point=point)
    return model


def _told(evaluation: Evaluation, labels: tuple[str, ...], weights: dict[str, float], label: str, stop: int) -> Counts:
    """What the operating point itself says at another weight of one class."""
    moved = {**weights, label: weights.get(label, 1.0) * float(np.exp(-stop * STEP))}
    said = OperatingPoint(weights=moved).decide(evaluation.answers.probabilities, None, labels).said
    called, positive = said == labels.index(label), evaluation.answers.targets == labels.index(label)
    found, missed = (called & positive).sum(), (~called & positive).sum()
    return int(found), int(missed), int((called & ~positive).sum()), int((~called & ~positive).sum())


def _shown(browser: webdriver.Chrome) -> Counts:  # noqa: F811
    texts = {
        name: browser.find_element("css selector", f"td [data-live={name}]").text
        for name in ("hits", "missed", "alarms", "quiet")
    }
    found = {name: int(re.sub(r"\s", "", text)) for name, text in texts.items()}
    return found["hits"], found["missed"], found["alarms"], found["quiet"]


@pytest.fixture(scope="module", params=["two classes", "two weighted classes", "ten classes"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A page, what it is about, and the class that its slider should begin with."""
    labels = DIGITS if request.param == "ten classes" else ("helmet", "nohelmet")
    weights = {"two classes": {}, "two weighted classes": {"nohelmet": 3.0}, "ten classes": WEIGHTS}[request.param]
    model, dataset = _case(labels, 120)
    path = tmp_path_factory.mktemp("threshold") / "report.html"
    evaluation = evaluate(_weighted(model, weights), dataset, report=path)
    f1 = {label: figures.f1 for label, figures in evaluation.after.per_class.items()}
    first = next(iter(weights), min(f1, key=lambda label: f1[label]))
    return {"path": path, "evaluation": evaluation, "labels": labels, "weights": weights, "first": first}


def test_moved_by_keyboard_it_shows_what_the_operating_point_would_say(
    browser: webdriver.Chrome,  # noqa: F811
    case: dict[str, Any],
) -> None:
    _show(browser, case["path"])
    slider, picker = browser.find_element("id", "threshold"), browser.find_element("id", "about")
    assert picker.get_attribute("value") == case["first"]
    matrix, row = case["evaluation"].after.confusion, case["labels"].index(case["first"])
    assert _shown(browser)[:2] == (matrix[row, row], matrix[row].sum() - matrix[row, row])
    for label in (case["first"], *case["labels"][:2]):
        picker.send_keys(Keys.HOME + label)
        assert picker.get_attribute("value") == label
        for keys in ("", Keys.ARROW_RIGHT, Keys.ARROW_LEFT * 9, Keys.PAGE_UP * 2, Keys.PAGE_DOWN, Keys.END, Keys.HOME):
            slider.send_keys(keys)
            stop = int(slider.get_attribute("value") or "")
            expected = _told(case["evaluation"], case["labels"], case["weights"], label, stop)
            assert _shown(browser) == expected, (label, stop)
        browser.find_element("id", "own").click()
        assert slider.get_attribute("value") == "0"


def test_the_marks_lie_on_the_curves_where_the_figures_say(browser: webdriver.Chrome, case: dict[str, Any]) -> None:  # noqa: F811
    _show(browser, case["path"])
    slider = browser.find_element("id", "threshold")
    for keys in (Keys.ARROW_LEFT * 5, Keys.ARROW_RIGHT * 12):
        slider.send_keys(keys)
        hits, missed, alarms, quiet = _shown(browser)
        recall, false = hits / (hits + missed), alarms / (alarms + quiet)
        assert _mark(browser, "live-roc") == pytest.approx((false, recall), abs=1e-3)
        assert _mark(browser, "live-precision-recall") == pytest.approx((recall, hits / (hits + alarms)), abs=1e-3)
        for name in ("live-roc", "live-precision-recall"):
            assert browser.execute_script(_TOUCHES, name) < 0.7


def _mark(browser: webdriver.Chrome, name: str) -> tuple[float, float]:  # noqa: F811
    mark = browser.find_element("css selector", f"[aria-labelledby^={name}] .marker")
    x, y = (float(mark.get_attribute(each) or "nan") for each in ("cx", "cy"))
    return (x - 54) / 270, 1 - (y - 8) / 270


# The least distance of the mark from the points along the curve.
_TOUCHES = """
const svg = document.querySelector(`[aria-labelledby^=${arguments[0]}]`);
const curve = svg.querySelector('.curve'), mark = svg.querySelector('.marker');
const x = mark.cx.baseVal.value, y = mark.cy.baseVal.value, length = curve.getTotalLength();
return Math.min(...Array.from({length: 4001}, (_, step) => {
  const point = curve.getPointAtLength(length * step / 4000);
  return Math.hypot(point.x - x, point.y - y);
}));
"""


def test_figures_command_and_setting_follow(browser: webdriver.Chrome, case: dict[str, Any]) -> None:  # noqa: F811
    _show(browser, case["path"])
    browser.find_element("id", "threshold").send_keys(Keys.ARROW_LEFT * 8)
    hits, missed, alarms, _ = _shown(browser)
    while missed == 0:  # where all are found there is no share to ask for
        browser.find_element("id", "threshold").send_keys(Keys.ARROW_RIGHT)
        hits, missed, alarms, _ = _shown(browser)
    live = {
        element.get_attribute("data-live"): element.get_attribute("textContent") or ""
        for element in browser.find_elements("css selector", "[data-live]")
    }
    recall = hits / (hits + missed)
    assert float(live["recall"].removesuffix("\N{NO-BREAK SPACE}%")) / 100 == pytest.approx(recall, abs=6e-4)
    assert live["said"] == f"{hits} of {hits + missed} found, {missed} missed, {alarms} false."
    aim = f"{np.floor(recall * 1000) / 1000:g}"
    named = {"digit 3": "'digit 3={}'"}.get(case["first"], case["first"] + "={}").format(aim)
    assert live["command"] == f"--min-recall {named}"
    assert live["toml"].endswith(f" = {aim} }}")
    assert not browser.find_element("id", "no-aim").is_displayed()
    slider = browser.find_element("id", "threshold")
    assert live["level"]
    assert slider.get_attribute("aria-valuetext") == live["level"]


def test_where_there_is_no_aim_to_state_a_sentence_takes_the_place_of_the_option(
    browser: webdriver.Chrome,  # noqa: F811
    case: dict[str, Any],
) -> None:
    _show(browser, case["path"])
    for key, words in ((Keys.HOME, "All are found here"), (Keys.END, "So few are found here")):
        browser.find_element("id", "threshold").send_keys(key)
        hits, missed, _, _ = _shown(browser)
        assert missed == 0 or key == Keys.END
        none = hits == 0 or missed == 0
        assert browser.find_element("id", "no-aim").text.startswith(words if none else "")
        assert browser.find_element("id", "aim").is_displayed() != none
        for name in ("command", "toml"):
            code = browser.find_element("css selector", f"[data-live={name}]")
            assert bool(code.get_attribute("textContent")) != none


def test_everything_that_can_be_operated_has_a_name_a_size_and_a_visible_focus(
    browser: webdriver.Chrome,  # noqa: F811
    case: dict[str, Any],
) -> None:
    for width, scheme in ((1280, "light"), (390, "dark")):
        _show(browser, case["path"], width, scheme)
        browser.find_element("id", "threshold").send_keys(Keys.ARROW_LEFT)  # or else there is no way back to offer
        named = browser.find_elements("css selector", "a[href], select, button, input, summary, [tabindex='0']")
        expected = [each for each in named if each.is_displayed()]
        reached: list[WebElement] = []
        for _ in range(len(expected) + 1):
            browser.switch_to.active_element.send_keys(Keys.TAB)
            if browser.switch_to.active_element.tag_name == "body":  # between the page's end and its beginning
                continue
            reached.append(browser.switch_to.active_element)
            style = browser.execute_script(
                "const style = getComputedStyle(document.activeElement);"
                "return [style.outlineStyle, parseFloat(style.outlineWidth)]"
            )
            assert style[0] == "solid", reached[-1].get_attribute("outerHTML")
            assert style[1] >= 2
        assert {each.id for each in reached} == {each.id for each in expected}
        for each in expected:
            assert each.accessible_name, each.get_attribute("outerHTML")
            assert each.size["height"] >= 24
            assert each.size["width"] >= 24


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_drawn_to_be_operated_stands_out(browser: webdriver.Chrome, case: dict[str, Any], scheme: str) -> None:  # noqa: F811
    _show(browser, case["path"], scheme=scheme)
    for name in ("--edge", "--ink", "--series-1"):
        assert browser.execute_script(_CONTRAST, name) >= 3


_CONTRAST = """
const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
const luminance = name => {
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
  pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
};
const [low, high] = [luminance(arguments[0]), luminance('--surface')].sort((a, b) => a - b);
return (high + 0.05) / (low + 0.05);
"""


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots_show_a_page(
    browser: webdriver.Chrome,  # noqa: F811
    case: dict[str, Any],
    tmp_path: Path,
    width: int,
    height: int,
    scheme: str,
) -> None:
    browser.get_log("browser")
    _show(browser, case["path"], width, scheme)
    browser.find_element("id", "threshold").send_keys(Keys.END)
    needed, there = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert needed <= there
    assert browser.get_log("browser") == []
    for name in ("h1", "#operating-point"):
        browser.execute_script("document.querySelector(arguments[0]).scrollIntoView()", name)
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        content = base64.b64decode(shot["data"])
        (tmp_path / f"{name.strip('#')}-{width}-{scheme}.png").write_bytes(content)
        image = Image.open(io.BytesIO(content)).convert("L")
        assert image.width == width
        pixels = np.asarray(image)
        paper = np.bincount(pixels.ravel(), minlength=256).argmax()
        inked = (np.abs(pixels.astype(int) - paper) > 60).mean()
        assert 0.005 < inked < 0.6
        assert (paper > 200) == (scheme == "light")


def test_without_scripts_the_page_is_whole_but_for_the_slider(browser: webdriver.Chrome, case: dict[str, Any]) -> None:  # noqa: F811
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        _show(browser, case["path"])
        assert not browser.find_element("id", "threshold").is_displayed()
        assert not browser.find_element("link text", "Curves").get_attribute("hidden")
        assert browser.find_elements("link text", "Threshold") == []
        headings = [each.text for each in browser.find_elements("css selector", "h2") if each.is_displayed()]
        assert {"Curves", "Is it a fair test?", "Model card"} <= set(headings)
        assert "What another threshold would give" not in headings
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_no_other_script_runs_and_nothing_can_be_fetched(browser: webdriver.Chrome, case: dict[str, Any]) -> None:  # noqa: F811
    _show(browser, case["path"])
    browser.execute_script(
        "const other = document.createElement('script'); other.textContent = 'document.title = \"owned\"';"
        "document.body.append(other)"
    )
    assert browser.title.startswith("fake.onnx")
    told = browser.execute_async_script(
        "const done = arguments[0]; fetch('data:text/plain,x').then(() => done('fetched'), () => done('refused'))"
    )
    assert told == "refused"
    browser.get_log("browser")  # where the browser told of both


def test_hostile_labels_are_chosen_and_shown_as_they_are(browser: webdriver.Chrome, tmp_path: Path) -> None:  # noqa: F811
    evaluate(*_case(HOSTILE, 48), report=tmp_path / "report.html")
    _show(browser, tmp_path / "report.html", 390)
    offered = browser.execute_script("return [...document.querySelectorAll('#about option')].map(each => each.text)")
    assert [" ".join(text.split()) for text in offered] == [" ".join(text.split()) for text in HOSTILE]
    for place, label in enumerate(HOSTILE):
        browser.execute_script(
            "const picker = document.getElementById('about'); picker.selectedIndex = arguments[0];"
            "picker.dispatchEvent(new Event('change'))",
            place,
        )
        shown = browser.find_element("css selector", "tbody th [data-live=class]").get_attribute("textContent")
        assert shown == label
        for name in ("command", "toml"):
            code = browser.find_element("css selector", f"[data-live={name}]").get_attribute("textContent") or ""
            assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in code
            assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in label or not code or "\\u202e" in code
        needed, there = browser.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert needed <= there
    assert browser.execute_script("return document.querySelectorAll('[onerror], img[src=x]').length") == 0


def _probabilities(seed: int, samples: int, classes: int, coarse: bool) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).dirichlet(np.ones(classes) * 0.4, samples)
    if coarse:  # with ties and with nothing
        values = np.floor(values * 4) + np.array([1.0, *[0.0] * (classes - 1)])
        values /= values.sum(axis=1, keepdims=True)
    return values.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 5), st.booleans(), st.floats(-3, 3), st.floats(-1, 1)
)  # fmt: skip
def test_the_counts_of_every_stop_are_those_of_the_moved_weight(
    seed: int, samples: int, classes: int, coarse: bool, first: float, last: float
) -> None:
    probabilities, labels = _probabilities(seed, samples, classes, coarse), tuple("abcde"[:classes])
    targets = np.random.default_rng(seed).integers(0, classes, samples)
    weights = np.ones(classes)
    weights[0], weights[-1] = np.exp(first), np.exp(last)
    point = OperatingPoint(weights=dict(zip(labels, weights.tolist(), strict=True)))
    said = point.decide(probabilities, None, labels).said
    for number in range(classes):
        found = sweep(probabilities, targets, said, weights.tolist(), labels, number)
        assert found.lowest <= 0 <= found.highest
        stops = [0] if coarse else [0, *range(found.lowest, found.highest + 1, 23)]
        for stop in stops:
            moved = {**point.weights, labels[number]: float(weights[number] * np.exp(-stop * STEP))}
            called = OperatingPoint(weights=moved).decide(probabilities, None, labels).said == number
            positive = targets == number
            assert found.counts(stop) == (int((called & positive).sum()), int((called & ~positive).sum()))


def test_what_the_page_carries_does_not_grow_with_the_pictures() -> None:
    probabilities = _probabilities(0, 200_000, 3, coarse=False)
    targets = np.random.default_rng(0).integers(0, 3, 200_000)
    found = sweep(probabilities, targets, probabilities.argmax(axis=1), [1, 1, 1], ("a", "b", "c"), 1)
    assert int(found.positives.sum() + found.negatives.sum()) == 200_000
    assert len(json.dumps(found.to_json())) < 5000


def test_pictures_of_noise_do_not_make_the_page_heavy(tmp_path: Path) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 2)
    del dataset.samples[:]
    random = np.random.default_rng(0)
    for number in range(22):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (330, 330, 3), np.uint8)).save(buffer, "JPEG", quality=60)
        model.told[buffer.getvalue()] = np.array([0.4, 0.6], np.float32)
        dataset.samples.append(Sample(f"{number}.jpg", dataset.labels[number % 2], buffer.getvalue()))
    evaluate(model, FakeDataset(dataset.labels, dataset.samples), report=tmp_path / "report.html")
    assert 10**6 < (tmp_path / "report.html").stat().st_size < 3 * 10**6
