"""Evaluations and their report: the page is opened in a real browser, with labels that try to break it."""

import io
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from selenium import webdriver

from milliner.classifier.metadata import BackboneIdentity, Metadata
from milliner.classifier.operating_point import OperatingPoint
from milliner.core.errors import DatasetError, UnreadableImageError
from milliner.core.sample import Sample
from milliner.evaluation.asking import class_numbers
from milliner.evaluation.evaluate import evaluate
from milliner.evaluation.figures import NAMES
from milliner.images.decode import decode
from milliner.images.resize import ResizePolicy

HOSTILE = (
    "<script>document.title='owned'</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "W" * 300,
    "\N{RIGHT-TO-LEFT OVERRIDE}מסכה\N{COMBINING ACUTE ACCENT}😀",
    "</style></svg></title>--><b>",
    "many words that could be a sentence if somebody were to name a folder like that",
    "plain",
)


@dataclass
class FakeDataset:
    """Samples in memory."""

    labels: tuple[str, ...]
    samples: list[Sample]
    name: str = "pictures/test"

    @property
    def targets(self) -> Sequence[int]:
        return [self.labels.index(sample.label) for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def key(self, index: int) -> str:
        return self.samples[index].key

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


@dataclass
class FakeModel:
    """Answers what it was told to, for pictures that can be decoded."""

    metadata: Metadata
    told: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)
    name: str = "fake.onnx"
    sha256: str = "ab" * 32

    def look(self, encoded: bytes, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        decode(encoded)
        probabilities = self.told[encoded]
        cells = np.random.default_rng(len(encoded)).normal(size=(len(probabilities), 3, 4)).astype(np.float32)
        average = np.random.default_rng(zlib.crc32(encoded)).normal(size=8).astype(np.float32)
        found = {
            "probabilities": probabilities,
            "distance": np.zeros((), np.float32),
            "heatmap": cells,
            "average": average,
        }
        return {name: found[name] for name in outputs}


def _jpeg(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    tint = Image.fromarray(random.integers(0, 255, (4, 5, 3)).astype(np.uint8))
    buffer = io.BytesIO()
    tint.resize((120 + seed % 90, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


def _case(labels: tuple[str, ...], samples: int, flawless: bool = False) -> tuple[FakeModel, FakeDataset]:
    metadata = Metadata(
        labels,
        ResizePolicy(64),
        BackboneIdentity("efficientnet_lite0", "0" * 64),
        OperatingPoint(0.4),
        dataset={"name": "train", "fingerprint": "f" * 64, "per_class": dict.fromkeys(labels, 5)},
        metrics={"cross_validated": {"accuracy": 0.9, "log_loss": 0.2}},
        lineage={"milliner": "0.1.0", "seed": 0, "strength": 0.1},
    )
    model, dataset = FakeModel(metadata), FakeDataset(labels, [])
    random = np.random.default_rng(1)
    for number in range(samples):
        target = number % len(labels)
        logits = random.normal(size=len(labels)) * 1.5
        logits[target] += 50 if flawless else 2
        encoded = _jpeg(number)
        model.told[encoded] = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
        dataset.samples.append(Sample(f"{labels[target]}/{number}.jpg", labels[target], encoded))
    return model, dataset


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """A headless Chromium that records its console and its requests."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver on PATH: the report's looks are not checked")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module", params=["hostile", "two classes", "flawless", "one class present"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report for each kind of content."""
    model, dataset = {
        "hostile": lambda: _case(HOSTILE, 48),
        "two classes": lambda: _case(("helmet", "nohelmet"), 30),
        "flawless": lambda: _case(("helmet", "nohelmet"), 20, flawless=True),
        "one class present": lambda: _case(("helmet", "nohelmet"), 2),
    }[request.param]()
    if request.param == "hostile":
        dataset.samples.append(Sample(f"broken/{HOSTILE[0]}.jpg", HOSTILE[0], b"not a picture"))
    if request.param == "one class present":
        del dataset.samples[1:]
    path = tmp_path_factory.mktemp("report") / "report.html"
    evaluate(model, dataset, report=path)
    return path


def _show(browser: webdriver.Chrome, page: Path, width: int = 1280, scheme: str = "light") -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get(page.as_uri())


def test_the_page_is_quiet_and_asks_the_network_for_nothing(browser: webdriver.Chrome, page: Path) -> None:
    browser.get("about:blank")
    browser.get_log("performance")  # reading empties it: the pages before this one are not meant
    _show(browser, page)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:image/jpeg;")} == {page.as_uri()}
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    scripts = browser.execute_script("return [...document.scripts].map(script => script.type)")
    assert scripts in (["application/json", ""], [])
    assert browser.title.startswith("fake.onnx: ")


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_overflows_sideways(browser: webdriver.Chrome, page: Path, width: int) -> None:
    _show(browser, page, width)
    needed, there = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert needed <= there
    assert width - 20 <= there <= width  # a desktop's scroll bar takes its part


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_background(browser: webdriver.Chrome, page: Path, scheme: str) -> None:
    _show(browser, page, scheme=scheme)
    faint = browser.execute_script(_FAINT_TEXTS)
    assert faint == []


def test_dark_mode_turns_the_background_dark(browser: webdriver.Chrome, page: Path) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        _show(browser, page, scheme=scheme)
        backgrounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    light, dark = (sum(int(part) for part in text[4:-1].split(",")) for text in backgrounds)
    assert light > 600
    assert dark < 150


def test_the_structure_can_be_heard(browser: webdriver.Chrome, page: Path) -> None:
    _show(browser, page)
    found: dict[str, Any] = browser.execute_script(_STRUCTURE)
    levels = found["levels"]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert found["silentImages"] == 0
    assert found["silentDrawings"] == 0
    assert found["silentTables"] == 0
    assert found["unscopedHeaders"] == 0
    assert found["danglingReferences"] == []
    assert found["repeatedIds"] == []
    assert found["unreachableScrollers"] == 0
    assert found["language"] == "en"


def test_labels_and_file_names_are_shown_and_never_obeyed(browser: webdriver.Chrome, tmp_path: Path) -> None:
    model, dataset = _case(HOSTILE, 48)
    evaluate(model, dataset, report=tmp_path / "report.html")
    _show(browser, tmp_path / "report.html")
    rows = browser.execute_script(
        "return [...document.querySelector('section[aria-labelledby=classes] tbody').rows]"
        ".map(row => row.querySelector('bdi').textContent)"
    )
    assert tuple(rows) == HOSTILE
    assert browser.execute_script("return document.querySelectorAll('[onerror], b > b, img[src=x]').length") == 0
    curves = browser.find_element("css selector", "section[aria-labelledby=curves]").text
    assert "Drawn are the 6 classes with the lowest F1, of 8." in curves


def test_figures_of_parts_stand_flush_right_and_their_intervals_in_one_line(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 60)
    evaluate(model, dataset, report=tmp_path / "report.html", slices=("aspect",))
    _show(browser, tmp_path / "report.html", 390)
    looks = browser.execute_script(
        "return [...document.querySelectorAll('section[aria-labelledby=slices] td')].map(e => [e, e.querySelector"
        "('small')]).map(([e, small]) => [getComputedStyle(e).textAlign, small ? small.getClientRects().length &&"
        "getComputedStyle(small).whiteSpace : 'nowrap'])"
    )
    assert looks
    assert {tuple(look) for look in looks} <= {("right", "nowrap"), ("end", "nowrap")}


def test_the_worst_mistakes_come_first_with_pictures_that_load(browser: webdriver.Chrome, tmp_path: Path) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 60)
    evaluation = evaluate(model, dataset, report=tmp_path / "report.html")
    _show(browser, tmp_path / "report.html")
    wrong = evaluation.answers.said != evaluation.answers.targets
    worst = sorted(zip(-evaluation.answers.best[wrong], np.array(evaluation.answers.keys)[wrong], strict=True))[:12]
    shown = browser.execute_script("return [...document.querySelectorAll('.mistakes code')].map(e => e.textContent)")
    assert len(shown) > 3
    assert shown == [file for _, file in worst]
    loaded = browser.execute_script(
        "return [...document.querySelectorAll('.mistakes .looks img')]"
        ".map(e => e.complete && e.naturalWidth > 0 && e.naturalWidth <= 320)"
    )
    assert loaded == [True] * (2 * len(shown))


def test_a_flawless_evaluation_says_so_with_its_limits(tmp_path: Path) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 20, flawless=True)
    evaluation = evaluate(model, dataset, report=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert evaluation.after.accuracy == 1
    assert "There are none: every test picture is named correctly." in page
    assert "The weakest class" not in page


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.html", "second.html"):
        evaluate(*_case(HOSTILE, 30), report=tmp_path / name)
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "second.html").read_bytes()


def test_the_json_has_the_documented_shape_beside_the_majority_class() -> None:
    model, dataset = _case(("helmet", "nohelmet"), 30)
    document = json.loads(json.dumps(evaluate(model, dataset).to_json()))
    assert {"samples", "accuracy", "roc_auc", "log_loss", "per_class", "confusion", "before"} < set(document)
    assert set(document["before"]) == {"kind", "samples", *NAMES, "per_class", "confusion"}
    assert document["before"]["roc_auc"]["value"] == 0.5
    assert document["before"]["log_loss"]["value"] == pytest.approx(np.log(2))
    assert document["abstained"] == 0
    low, high = document["accuracy"]["interval"]
    assert low < document["accuracy"]["value"] < high


def test_an_unreadable_picture_is_set_aside_and_does_not_shift_the_others() -> None:
    model, dataset = _case(("helmet", "nohelmet"), 20, flawless=True)
    dataset.samples.insert(3, Sample("helmet/broken.jpg", "helmet", b"\xff\xd8\xff"))
    evaluation = evaluate(model, dataset)
    assert [row.file for row in evaluation.set_aside] == ["helmet/broken.jpg"]
    assert evaluation.after.samples == 20
    assert evaluation.after.accuracy == 1


def test_a_file_that_cannot_even_be_opened_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    model, dataset = _case(("helmet", "nohelmet"), 4)
    read = FakeDataset.__getitem__

    def fails_once(self: FakeDataset, index: int) -> Sample:
        if index == 2:
            raise UnreadableImageError("unreadable", "helmet/2.jpg cannot be read")
        return read(self, index)

    monkeypatch.setattr(FakeDataset, "__getitem__", fails_once)
    assert evaluate(model, dataset).to_json()["set_aside"] == [{"file": "helmet/2.jpg", "reason": "unreadable"}]


def test_a_dataset_without_a_readable_picture_is_an_error() -> None:
    model, _ = _case(("helmet", "nohelmet"), 2)
    with pytest.raises(DatasetError, match="Not one picture"):
        evaluate(model, FakeDataset(("helmet",), [Sample("a.jpg", "helmet", b"")]))


def test_abstaining_is_counted_by_the_models_own_operating_point() -> None:
    model, dataset = _case(("a", "b", "c"), 30)
    below = sum(float(told.max()) < 0.4 for told in model.told.values())
    assert evaluate(model, dataset).abstained == below > 0


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("b", "c", "a"), [1, 2, 0]),
        (("c",), [2, 2, 2]),
        (("0", "1", "2"), [0, 1, 2]),
        (("1", "2"), [1, 2, 1]),
    ],
)
def test_classes_are_matched_by_name_or_by_number_where_there_are_no_names(
    labels: tuple[str, ...], expected: list[int]
) -> None:
    samples = [Sample(str(number), labels[number % len(labels)], b"") for number in range(3)]
    assert class_numbers(FakeDataset(labels, samples), ("a", "b", "c")).tolist() == expected


def test_an_evaluation_says_where_labels_were_matched_by_number(tmp_path: Path) -> None:
    model, named = _case(("helmet", "no <b>"), 6)
    samples = [Sample(each.key, str(named.labels.index(each.label)), each.encoded) for each in named.samples]
    found = evaluate(model, FakeDataset(("0", "1"), samples), report=tmp_path / "report.html")
    (note,) = found.to_json()["notes"]
    assert (
        note == "The dataset does not name its classes: they were matched by number, from 0 as helmet to 1 as no <b>."
    )
    assert "from 0 as helmet to 1 as no &lt;b&gt;." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert evaluate(model, named).to_json()["notes"] == []


@pytest.mark.parametrize("labels", [("a", "cat"), ("0", "1", "2", "3"), ("0", "a")])
def test_a_class_that_the_model_does_not_know_is_an_error(labels: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match="does not know; rename"):
        class_numbers(FakeDataset(labels, []), ("a", "b", "c"))


# Paints every background from the root down to a text's element, then the text's own colour over it.
_FAINT_TEXTS = """
const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
const pen = canvas.getContext('2d', {willReadFrequently: true});
const paint = colour => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3); };
const luminance = rgb => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const faint = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
  if (!text || !element.getClientRects().length || ['TITLE', 'desc', 'title'].includes(element.tagName)) continue;
  const chain = []; for (let e = element; e; e = e.parentElement) chain.unshift(e);
  let under = paint('white');
  for (const e of chain) under = paint(getComputedStyle(e).backgroundColor);
  const style = getComputedStyle(element);
  const over = paint(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
  const [low, high] = [luminance(under), luminance(over)].sort((a, b) => a - b);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < 4.5) faint.push([text.slice(0, 40), ratio]);
}
return faint;
"""

_STRUCTURE = """
const all = selector => [...document.querySelectorAll(selector)];
const ids = all('[id]').map(e => e.id);
const references = all('[aria-labelledby]').flatMap(e => e.getAttribute('aria-labelledby').split(' '));
return {
  levels: all('h1, h2, h3, h4').map(e => Number(e.tagName[1])),
  silentImages: all('img').filter(e => !e.alt).length,
  silentDrawings: all('svg:not([aria-hidden])')
    .filter(e => e.getAttribute('role') !== 'img' || !e.querySelector('title') || !e.querySelector('desc')).length,
  silentTables: all('table').filter(e => !e.caption).length,
  unscopedHeaders: all('th').filter(e => !e.scope).length,
  danglingReferences: references.filter(id => !ids.includes(id)),
  repeatedIds: ids.filter((id, place) => ids.indexOf(id) !== place),
  unreachableScrollers: all('.scroll').filter(e => e.tabIndex !== 0 || !e.getAttribute('aria-label')).length,
  language: document.documentElement.lang,
};
"""
