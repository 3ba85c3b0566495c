"""Whose pictures are, from what sources say to the credits; and what is no picture of anybody's."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from conftest import noise_jpeg
from hypothesis import example, given
from hypothesis import strategies as st
from picture_server import PictureServer, picture, redirect
from PIL import Image

from milliner.cli.main import call
from milliner.core.credit import LICENCES, Credit, parse_licence
from milliner.core.errors import FetchError
from milliner.images import placeholders
from milliner.images.ledger import FetchRow, Ledger
from milliner.sources.fetch import fetch as fetch_politely
from milliner.sources.report import credit_of, fetch_report, write_attribution
from milliner.sources.web.manners import Manners

fetch: Any = partial(fetch_politely, manners=Manners(allow_private=True, pause=0.01, attempts=2))


@pytest.mark.parametrize(
    ("text", "code", "version"),
    [
        ("by", "by", None),
        ("BY-SA", "by-sa", None),
        ("cc0", "cc0", None),
        ("pdm", "pdm", None),
        ("CC BY 2.5", "by", "2.5"),
        ("CC BY-SA 4.0", "by-sa", "4.0"),
        ("CC BY-SA 3.0 de", "by-sa", "3.0"),
        ("CC-BY-SA-3.0-migrated", "by-sa", "3.0"),
        ("CC BY-SA 4.0-3.0-2.5-2.0-1.0", "by-sa", "4.0"),
        ("cc_by_nc_nd_2.0", "by-nc-nd", "2.0"),
        ("CC BY-ND-NC 1.0", "by-nc-nd", "1.0"),
        ("CC0 1.0 Universal", "cc0", "1.0"),
        ("Creative Commons Zero, Public Domain Dedication", "cc0", None),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "by-sa", "4.0"),
        ("Creative Commons Attribution-Share Alike 3.0 Unported", "by-sa", "3.0"),
        ("Creative Commons Attribution-NonCommercial-NoDerivs 2.0 Generic", "by-nc-nd", "2.0"),
        ("Public domain", "pdm", None),
        ("Public Domain Mark 1.0", "pdm", "1.0"),
        ("PD-old-100", "pdm", None),
        ("CC-PD", "pdm", None),
        ("https://creativecommons.org/licenses/by/2.0/", "by", "2.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/3.0/us/", "by-nc-sa", "3.0"),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", "by-nc-nd", "1.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0", "1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/deed.en", "pdm", "1.0"),
        ("GFDL", "GFDL", None),
        ("Attribution", "Attribution", None),
        ("CC SA 1.0", "CC SA 1.0", None),
        ("sampling+", "sampling+", None),
        ("Not public domain", "Not public domain", None),
        ("Photo by Ann, all rights reserved", "Photo by Ann, all rights reserved", None),
        ("CC BY-ND-SA 4.0", "CC BY-ND-SA 4.0", None),
        ("https://www.flickr.com/commons/usage/", "https://www.flickr.com/commons/usage/", None),
        ("", None, None),
        (" \n", None, None),
    ],
)
def test_licences_are_known_by_their_names_and_addresses(text: str, code: str | None, version: str | None) -> None:
    assert parse_licence(text) == (code, version)


@given(st.text() | st.from_regex(r"(cc[ -_])?(by|nc|sa|nd|0|pd|[1-4]\.[0-9]|[-_ /]){0,8}", fullmatch=True))
@example("by-" * 1000)
def test_a_licence_is_one_of_the_codes_or_the_words_themselves(text: str) -> None:
    code, version = parse_licence(text)
    assert code in LICENCES or (code, version) == (text.strip() or None, None)
    assert code is None or parse_licence(code)[0] == code


@given(st.sampled_from([code for code in LICENCES if code.startswith("by")]), st.sampled_from(["1.0", "2.5", "4.0"]))
def test_every_spelling_of_a_licence_is_the_same(code: str, version: str) -> None:
    spellings = [f"CC {code.upper()} {version}", f"cc-{code}-{version}", f"{code} {version}", f"CC {code} {version} fr"]
    spellings += [f"{scheme}://creativecommons.org/licenses/{code}/{version}/" for scheme in ("http", "https")]
    assert {parse_licence(text) for text in spellings} == {(code, version)}


@given(st.sets(st.sampled_from(["nc", "sa", "nd"])), st.randoms())
def test_no_condition_of_a_licence_is_lost(conditions: set[str], random: Any) -> None:
    shuffled = sorted(conditions)
    random.shuffle(shuffled)
    code, _ = parse_licence("CC " + "-".join(["BY", *shuffled]))
    assert code not in LICENCES or set(code.split("-")) == {"by", *conditions}


@pytest.mark.parametrize(("licence", "needed"), [("cc0", False), ("pdm", False), ("by", True), ("GFDL", True)])
def test_credit_is_due_unless_the_licence_waives_it(licence: str, needed: bool) -> None:
    assert Credit(licence).needed is needed


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


Write = Callable[..., str]


@pytest.fixture
def write_list(tmp_path: Path) -> Write:
    """Writes a .jsonl list of the given objects, all of the class hat unless they say otherwise."""

    def write(*entries: dict[str, str], name: str = "list") -> str:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"label": "hat"} | entry) + "\n" for entry in entries))
        return f"urls:{path}"

    return write


def rows(folder: Path) -> dict[str, FetchRow]:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return {row.address.rpartition("/")[2]: row for row in ledger.fetched()}


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("[!.]*/*.jpg")}


HOSTILE: Final = (
    "[click](javascript:alert(1)) ![x](http://evil/x.png)",
    "</a><script>alert(1)</script>\n# Heading\n- item",
    "`code` *bold* _it_ ~~x~~ | a | b | &lt;img src=x&gt; \\",
    "1. first\u202egnp.exe\x1b[31m\x00 \ud800",
    '=HYPERLINK("http://evil","x")',
    "+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\uff1d1",
    'a","=1',
)


@pytest.fixture
def credited(server: PictureServer, write_list: Write, tmp_path: Path) -> Path:
    """A folder with a picture for every hostile title, by a hostile creator."""
    entries = [
        {
            "url": server.serve(f"/{number}.jpg", picture(noise_jpeg(number))),
            "license": "CC BY 4.0",
            "license_url": "https://creativecommons.org/licenses/by/4.0/",
            "title": title,
            "creator": title,
            "attribution": title,
            "page": ["http://h/a>b", "javascript:alert(1)", "http://h/\n# x", "http://h/ok"][number % 4],
            "label": ["a`b", "hat"][number % 2],
        }
        for number, title in enumerate(HOSTILE)
    ]
    fetch(write_list(*entries), into=tmp_path / "out")
    return tmp_path / "out"


def test_hostile_titles_do_not_break_the_page(credited: Path, tmp_path: Path) -> None:
    assert write_attribution(credited, tmp_path / "credits.md") == len(HOSTILE)
    text = (tmp_path / "credits.md").read_text()
    head, *lines = text.strip().splitlines()
    assert (head, lines[0], len(lines)) == ("# Credits", "", len(HOSTILE) + 1)
    for line in lines[1:]:
        assert re.match(r"- (\[([^\[\]\\]|\\.)*\]\(<http://h/ok>\)|([^\[\]\\]|\\.)*?) by ", line)
        plain = re.sub(r"\\.", "", line)  # what is left has power
        plain = re.sub(r"\]\(<https?://[^\s<>]*>\)", "]()", plain)
        assert not re.search(r"[`*_~<>|&!#\\]", plain)
        assert plain.count("]()") == plain.count("[") <= 2
        assert line.isprintable()


def test_the_sentence_that_a_source_asks_for_is_printed(
    server: PictureServer, write_list: Write, tmp_path: Path
) -> None:
    entry = {"url": server.serve("/a.jpg", picture(noise_jpeg(1))), "license": "by", "attribution": "Photo by Ann"}
    fetch(write_list(entry), into=tmp_path / "out")
    write_attribution(tmp_path / "out", tmp_path / "a.md")
    assert (tmp_path / "a.md").read_text().strip().endswith("Photo by Ann")


def test_hostile_titles_are_no_formulas(credited: Path, tmp_path: Path) -> None:
    assert write_attribution(credited, tmp_path / "credits.csv") == len(HOSTILE)
    content = (tmp_path / "credits.csv").read_bytes().decode()
    table = list(csv.reader(io.StringIO(content)))
    assert table[0] == ["file", "title", "creator", "licence", "licence_url", "page", "attribution", "address"]
    assert {len(cells) for cells in table} == {8}
    assert len(table) == len(content.splitlines()) == len(HOSTILE) + 1
    assert not [cell for cells in table for cell in cells if re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]", cell)]
    assert all(cell.isprintable() for cells in table for cell in cells)
    assert {cells[3] for cells in table[1:]} == {"by 4.0"}


def test_only_licences_that_ask_for_it_are_credited(server: PictureServer, write_list: Write, tmp_path: Path) -> None:
    licences = ["by", "cc0", "pdm", "by-nc-nd", "GFDL", ""]
    entries = [
        {"url": server.serve(f"/{number}.jpg", picture(noise_jpeg(number))), "license": licence, "title": f"T{number}"}
        for number, licence in enumerate(licences)
    ]
    out = tmp_path / "out"
    fetch(write_list(*entries, {"url": f"{server.url}/gone.jpg", "license": "by"}), into=out)
    assert write_attribution(out, tmp_path / "a.md") == 3
    text = (tmp_path / "a.md").read_text()
    assert re.findall(r"T\d", text) == ["T0", "T3", "T4"]
    assert "The licence of 1 more pictures is not known" in text
    assert credit_of(rows(out)["3.jpg"]) == Credit("by-nc-nd", title="T3")
    (out / str(rows(out)["0.jpg"].file)).unlink()
    assert write_attribution(out, tmp_path / "a.CSV") == 2


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("credits.txt", "must end in .md or .csv"),
        ("no/such/a.md", "cannot be written"),
        ("out.md", "cannot be written"),
    ],
)
def test_credits_that_cannot_be_written_are_told(credited: Path, tmp_path: Path, target: str, sentence: str) -> None:
    (tmp_path / "out.md").mkdir()
    (tmp_path / "no").write_text("")
    with pytest.raises(FetchError, match=sentence):
        write_attribution(credited, tmp_path / target)
    with pytest.raises(FetchError, match="Nothing was fetched into"):
        write_attribution(tmp_path / "elsewhere", tmp_path / "a.md")


def test_licences_are_chosen_before_anything_is_downloaded(
    server: PictureServer, write_list: Write, tmp_path: Path
) -> None:
    licences = ["CC BY 4.0", "by-sa", "CC BY-ND-NC 1.0", "https://creativecommons.org/publicdomain/zero/1.0/", ""]
    entries = [
        {"url": server.serve(f"/{number}.jpg", picture(noise_jpeg(number))), "license": licence}
        for number, licence in enumerate(licences)
    ]
    source = write_list(*entries)
    count = fetch(source, into=tmp_path / "out", licenses=["by", "cc0"]).classes[0]
    assert (count.stored, count.rejected) == (2, {"licence": 3})
    assert dict(server.requests) == {"/0.jpg": 1, "/3.jpg": 1}
    count = fetch(source, into=tmp_path / "out", licenses=["by-sa", "by-nc-nd"]).classes[0]
    assert (count.stored, count.already, count.rejected) == (2, 2, {"licence": 1})
    with pytest.raises(FetchError, match="There is no licence 'cc-by'; the codes are cc0, pdm, by"):
        fetch(source, into=tmp_path / "out", licenses=["cc-by"])


def test_the_report_is_the_sum_of_all_fetches(
    server: PictureServer, write_list: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [{"url": server.serve(f"/{n}.jpg", picture(noise_jpeg(n)))} for n in range(3)]
    entries += [{"url": f"{server.url}/gone.jpg"}, {"url": server.serve("/page", picture(b"<html>")), "label": "cap"}]
    out = tmp_path / "out"
    source = write_list(*entries)
    fetch(source, into=out, limit=1)
    fetch(source, into=out)
    report = fetch_report(out)
    assert [(each.label, each.stored, dict(each.rejected), dict(each.failed)) for each in report.classes] == [
        ("cap", 0, {"web page": 1}, {}),
        ("hat", 3, {}, {"status 404": 1}),
    ]
    asked = server.requests.total()
    assert call(["fetch", "--into", str(out), "--report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(report.to_json()))
    target = tmp_path / "credits.md"
    assert call(["fetch", "--into", str(out), "--report", "--attribution", str(target)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Credits for 0 pictures" in shown
    assert "1 status 404" in shown
    assert server.requests.total() == asked


def test_known_placeholders_are_rejected(
    server: PictureServer, write_list: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, away = noise_jpeg(1), noise_jpeg(2)
    monkeypatch.setattr(placeholders, "_SHA256", {hashlib.sha256(gone).hexdigest()})
    monkeypatch.setattr(placeholders, "_MD5", {len(away): hashlib.md5(away).hexdigest()})
    server.serve("/photo_unavailable.png", picture(noise_jpeg(9)))
    entries = [
        {"url": server.serve("/gone.jpg", picture(gone))},
        {"url": server.serve("/away.jpg", picture(away))},
        {"url": server.serve("/moved.jpg", redirect("/photo_unavailable.png"))},
        {"url": server.serve("/fine.jpg", picture(noise_jpeg(3)))},
    ]
    count = fetch(write_list(*entries), into=tmp_path / "out").classes[0]
    assert (count.stored, count.rejected) == (1, {"placeholder": 3})
    assert server.requests["/photo_unavailable.png"] == 0


def same(server: PictureServer, count: int, **fields: str) -> list[dict[str, str]]:
    """Entries for so many addresses that all bring the same bytes."""
    return [{"url": server.serve(f"/same{n}.jpg", picture(noise_jpeg(99)))} | fields for n in range(count)]


def test_what_three_addresses_bring_is_taken_back_out(server: PictureServer, write_list: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    entries = same(server, 7)
    for number, entry in enumerate(entries):
        entry["label"] = ["hat", "cap"][number % 2]
    entries.insert(4, {"url": server.serve("/fine.jpg", picture(noise_jpeg(1)))})
    result = fetch(write_list(*entries), into=out)
    assert [(each.label, each.stored, each.already, each.rejected, each.bytes) for each in result.classes] == [
        ("cap", 0, 0, {"placeholder": 3}, 0),
        ("hat", 1, 0, {"placeholder": 4}, len(noise_jpeg(1))),
    ]
    assert files(out) == {rows(out)["fine.jpg"].file}
    masked = [row for name, row in rows(out).items() if name != "fine.jpg"]
    assert {(row.status, row.reason, row.file, row.near) for row in masked} == {("rejected", "placeholder", None, None)}
    again = fetch(write_list(*entries), into=out)
    assert [(each.stored, each.already) for each in again.classes] == [(0, 0), (0, 1)]
    assert set(server.requests.values()) == {1}


def test_a_placeholder_is_found_out_over_several_fetches(
    server: PictureServer, write_list: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for number, entry in enumerate(same(server, 3)[:2]):
        assert fetch(write_list(entry), into=out).classes[0].stored == (number == 0)
    assert len(files(out)) == 1
    fine = {"url": server.serve("/fine.jpg", picture(noise_jpeg(1)))}
    count = fetch(write_list(same(server, 3)[2], fine), into=out).classes[0]
    assert (count.stored, count.rejected) == (1, {"placeholder": 1})
    assert files(out) == {rows(out)["fine.jpg"].file}


def test_placeholders_leave_room_within_the_limit(server: PictureServer, write_list: Write, tmp_path: Path) -> None:
    entries = same(server, 6)
    entries += [{"url": server.serve(f"/{n}.jpg", picture(noise_jpeg(n)))} for n in range(9)]
    count = fetch(write_list(*entries), into=tmp_path / "out", limit=4).classes[0]
    assert (count.stored, count.rejected) == (4, {"placeholder": 6})
    assert len(files(tmp_path / "out")) == 4


@pytest.mark.parametrize("promised", [0, 1, 2])
def test_promised_bytes_are_no_placeholder(
    server: PictureServer, write_list: Write, tmp_path: Path, promised: int
) -> None:
    entries = same(server, 5)
    entries[promised]["sha256"] = hashlib.sha256(noise_jpeg(99)).hexdigest()
    ahead, behind = entries[: promised + 1], entries[promised + 1 :]
    for source in (write_list(*ahead, name="a"), write_list(*ahead, *behind, name="b")):
        result = fetch(source, into=tmp_path / "out").classes[0]
        assert result.rejected == {}
        assert len(files(tmp_path / "out")) == 1


def test_one_address_with_many_fragments_is_one(server: PictureServer, write_list: Write, tmp_path: Path) -> None:
    entry = same(server, 1)[0]["url"]
    count = fetch(write_list(*[{"url": f"{entry}#{n}"} for n in range(5)]), into=tmp_path / "out").classes[0]
    assert (count.stored, count.already, count.rejected) == (1, 4, {})


def test_nearly_equal_pictures_are_marked(server: PictureServer, write_list: Write, tmp_path: Path) -> None:
    scene = Image.fromarray(
        np.add.outer(np.arange(128), np.sin(np.arange(128) / 9) * 60 + 60).clip(0, 255).astype("u1")
    )

    def jpeg(quality: int) -> bytes:
        buffer = io.BytesIO()
        scene.convert("RGB").save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    contents = {"a.jpg": jpeg(95), "b.jpg": jpeg(70), "c.jpg": noise_jpeg(1)}
    out = tmp_path / "out"
    for name, content in contents.items():
        fetch(write_list({"url": server.serve(f"/{name}", picture(content))}), into=out)
    found = rows(out)
    assert {name: found[name].near for name in contents} == {"a.jpg": None, "b.jpg": found["a.jpg"].file, "c.jpg": None}
    assert len(files(out)) == 3


@pytest.mark.parametrize("field", ["url", "title", "creator", "page", "license"])
def test_half_characters_of_a_list_are_borne(
    server: PictureServer, write_list: Write, tmp_path: Path, field: str
) -> None:
    fine = {"url": server.serve("/fine.jpg", picture(noise_jpeg(1)))}
    odd = {"url": server.serve("/odd.jpg", picture(noise_jpeg(2)))} | {field: "http://127.0.0.1:9/\ud800"}
    assert fetch(write_list(fine, odd), into=tmp_path / "out").classes[0].stored == (1 if field == "url" else 2)
