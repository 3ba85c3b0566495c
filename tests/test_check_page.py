"""The page of a check in a real browser: quiet, self-contained, readable in both colours, bounded, never obeying."""

import re
from pathlib import Path

import numpy as np
import pytest
from photos import COPIES, drawn, jpeg
from selenium import webdriver
from test_report import _FAINT_TEXTS, _STRUCTURE, HOSTILE, _show, browser  # noqa: F401 - the fixture is used by name

from milliner.curation import page as pages
from milliner.curation.check import check


def _fill(folder: Path, names: tuple[str, str] = ("even", "odd")) -> Path:
    for number in range(20):
        label = folder / names[number % 2]
        label.mkdir(parents=True, exist_ok=True)
        (label / f"{number:02}.jpg").write_bytes(jpeg(drawn(number)))
    random = np.random.default_rng(1)
    (folder / names[0] / "mirrored.jpg").write_bytes(COPIES["mirrored"](drawn(2), random))
    (folder / names[1] / "copy.jpg").write_bytes(COPIES["recompressed"](drawn(4), random))
    (folder / names[1] / "long.jpg").write_bytes(jpeg(drawn(50, 700, 100)))
    (folder / names[0] / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.fixture(scope="module", params=["findings", "hostile", "nothing", "splits"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page for each kind of content."""
    root = tmp_path_factory.mktemp("page")
    if request.param == "findings":
        check(_fill(root / "pictures"), quick=True, report=root / "page.html")
    elif request.param == "hostile":
        folder = _fill(root / "pictures", ("<img src=x onerror=alert(1)>", "W" * 200))
        first = next(path for path in folder.iterdir() if path.name.startswith("<"))
        (first / "\"'><b>bold{{ 7 * 7 }}.jpg").write_bytes(b"GIF8")
        (first / f"{HOSTILE[4]}.jpg").write_bytes(b"")
        check(folder, quick=True, report=root / "page.html")
    elif request.param == "splits":
        parts = {name: _fill(root / name) for name in ("train", "test")}
        check(splits=parts, quick=True, report=root / "page.html")
    else:
        for number in range(6):
            (root / "pictures" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
            (root / "pictures" / "ab"[number % 2] / f"{number}.jpg").write_bytes(jpeg(drawn(number)))
        check(root / "pictures", quick=True, report=root / "page.html")
    return root / "page.html"


def test_the_page_needs_nothing_and_says_nothing_on_the_console(browser: webdriver.Chrome, page: Path) -> None:  # noqa: F811
    browser.get("about:blank")
    browser.get_log("performance")
    _show(browser, page)
    assert browser.get_log("browser") == []
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:image/jpeg;|#)", text)
    assert browser.execute_script("return document.scripts.length") == 0
    assert browser.title.startswith("Check of ")


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_overflows_sideways(browser: webdriver.Chrome, page: Path, width: int) -> None:  # noqa: F811
    _show(browser, page, width)
    needed, there = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert needed <= there


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(browser: webdriver.Chrome, page: Path, scheme: str) -> None:  # noqa: F811
    _show(browser, page, scheme=scheme)
    assert browser.execute_script(_FAINT_TEXTS) == []


def test_the_structure_can_be_heard(browser: webdriver.Chrome, page: Path) -> None:  # noqa: F811
    _show(browser, page)
    found = browser.execute_script(_STRUCTURE)
    assert found["levels"].count(1) == 1
    assert found["levels"][0] == 1
    kept = ("silentImages", "silentTables", "unscopedHeaders", "unreachableScrollers")
    assert {name: found[name] for name in kept} == dict.fromkeys(kept, 0)
    assert found["danglingReferences"] == found["repeatedIds"] == []
    links = browser.execute_script("return [...document.links].map(a => a.hash.slice(1))")
    assert all(browser.execute_script("return !!document.getElementById(arguments[0])", link) for link in links)


def test_every_picture_loads_and_is_small(browser: webdriver.Chrome, page: Path) -> None:  # noqa: F811
    _show(browser, page)
    browser.execute_script("document.querySelectorAll('img').forEach(e => e.loading = 'eager')")
    loaded = browser.execute_script(
        "return Promise.all([...document.images].map(e => e.decode().then(() => e.naturalWidth <= 240)))"
    )
    assert all(loaded)
    if "mirrored" in page.read_text(encoding="utf-8"):
        assert len(loaded) >= 5


def test_pairs_stand_side_by_side_with_their_words(browser: webdriver.Chrome, tmp_path: Path) -> None:  # noqa: F811
    check(_fill(tmp_path / "pictures"), quick=True, report=tmp_path / "page.html")
    _show(browser, tmp_path / "page.html")
    script = """
    return [...document.querySelectorAll('section[aria-labelledby=near-duplicate] li')].map(li => [
      [...li.querySelectorAll('code')].map(e => e.textContent),
      [...li.querySelectorAll('img')].map(e => Math.round(e.getBoundingClientRect().top)),
      li.querySelector('.says').textContent])
    """
    ((files, tops, says),) = browser.execute_script(script)
    assert set(files) == {"even/mirrored.jpg", "even/02.jpg"}
    assert tops[0] == tops[1]
    assert "nearly the same as" in says
    unreadable = browser.find_element("css selector", "section[aria-labelledby=unreadable]")
    assert "no picture" in unreadable.text
    assert "even/bad.jpg" in unreadable.text


def test_many_findings_are_counted_and_the_first_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST", 3)
    folder = _fill(tmp_path / "pictures")
    for number in range(10):
        (folder / "odd" / f"long{number}.jpg").write_bytes(jpeg(drawn(200 + number, 700, 100)))
    check(folder, quick=True, report=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    section = text.partition('<section aria-labelledby="long">')[2].partition("</section>")[0]
    assert section.count("<li>") == 3
    assert "Shown are the first 3." in section
    assert '<span class="number">11</span>' in section


def test_the_same_findings_give_the_same_bytes(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "pictures")
    pages_written = []
    for name in ("one.html", "two.html"):
        check(folder, quick=True, report=tmp_path / name)
        pages_written.append((tmp_path / name).read_bytes())
    assert pages_written[0] == pages_written[1]
