"""Fetching over HTTP from a server on this machine, with all that goes wrong in the world."""

import asyncio
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import noise_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_server import Answer, PictureServer, cut_short, endless, hang_up, picture, redirect, status
from PIL import Image

from milliner import __version__
from milliner.core.errors import FetchError, MillinerError
from milliner.core.progress import Advance
from milliner.images.ledger import FetchRow, Ledger
from milliner.sources.fetch import fetch as fetch_politely
from milliner.sources.reachable import reachable
from milliner.sources.web.failure import NoAnswerError
from milliner.sources.web.manners import Manners
from milliner.sources.web.web import Web

LOCAL = Manners(allow_private=True, pause=0.01)
"""For servers on this machine, which need no long pauses."""

fetch: Any = partial(fetch_politely, manners=LOCAL)

NOBODY = "http://127.0.0.1:9"  # the discard port, where nothing listens


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.fixture
def write_list(tmp_path: Path) -> Callable[..., str]:
    """Writes a .csv list of the given lines under url,label,sha256 and returns its source."""

    def write(*lines: str, columns: str = "url,label,sha256") -> str:
        path = tmp_path / "list.csv"
        path.write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
        return f"urls:{path}"

    return write


def sha16(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def rows(folder: Path) -> dict[str, FetchRow]:
    """The ledger, by the last part of the address."""
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return {row.address.rpartition("/")[2]: row for row in ledger.fetched()}


def visible_files(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {file for file in found if "/." not in f"/{file}" and not file.startswith("ledger.sqlite")}


def fill(server: PictureServer, count: int, label: str = "hat") -> list[str]:
    """Serves so many pictures and returns their lines for a list."""
    return [server.serve(f"/{i}.jpg", picture(noise_jpeg(i))) + f",{label}" for i in range(count)]


def test_pictures_are_stored_by_label_and_hash(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    red, blue = noise_jpeg(1), noise_jpeg(2)
    source = write_list(
        server.serve("/red.jpg", picture(red)) + f",red,{hashlib.sha256(red).hexdigest().upper()}",
        server.serve("/blue.jpg?size=big", picture(blue)) + ", blue ,",
    )
    result = fetch(source, into=tmp_path / "out")
    assert visible_files(tmp_path / "out") == {f"red/{sha16(red)}.jpg", f"blue/{sha16(blue)}.jpg"}
    assert (tmp_path / "out" / "red" / f"{sha16(red)}.jpg").read_bytes() == red
    assert result.to_json()["classes"] == [
        {"source": source, "label": label, "wanted": 1, "stored": 1, "already": 0, "rejected": {}, "failed": {}}
        | {"transient": 0, "bytes": size, "seconds": round(count.seconds, 3)}
        for count, label, size in zip(result.classes, ("blue", "red"), (len(blue), len(red)), strict=True)
    ]
    row = rows(tmp_path / "out")["red.jpg"]
    assert row == FetchRow(
        server.url + "/red.jpg",
        "red",
        source,
        "stored",
        sha256=hashlib.sha256(red).hexdigest(),
        bytes=len(red),
        file=f"red/{sha16(red)}.jpg",
        transient=False,
        run=1,
        promised=True,
        width=64,
        height=64,
        likeness=row.likeness,
    )
    assert len(row.likeness or "") == 16
    assert server.user_agents == {f"milliner/{__version__} (+https://github.com/milliner-vision/milliner)"}


@pytest.mark.parametrize(
    ("kind", "extension"),
    [
        ("JPEG", "jpg"),
        ("PNG", "png"),
        ("WEBP", "webp"),
        ("GIF", "gif"),
        ("BMP", "bmp"),
        ("TIFF", "tif"),
        ("PPM", "ppm"),
    ],
)
def test_the_extension_is_that_of_the_real_format(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path, kind: str, extension: str
) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(noise_jpeg(3))).save(buffer, kind)
    fetch(write_list(server.serve("/a.jpeg", picture(buffer.getvalue())) + ",hat"), into=tmp_path / "out")
    assert visible_files(tmp_path / "out") == {f"hat/{sha16(buffer.getvalue())}.{extension}"}


def test_what_is_settled_is_not_asked_for_again_and_what_failed_is(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    lines = fill(server, 3)
    web_page = server.serve("/page.jpg", picture(b"<html>no such picture</html>")) + ",hat"
    late = server.serve("/late.jpg", *[status(500)] * LOCAL.attempts, picture(noise_jpeg(9))) + ",hat"
    source = write_list(*lines, web_page, late)
    first = fetch(source, into=tmp_path / "out").classes[0]
    assert (first.stored, first.already, first.rejected) == (3, 0, {"web page": 1})
    assert first.failed == {"status 500": 1}
    second = fetch(source, into=tmp_path / "out").classes[0]
    assert (second.stored, second.already, second.rejected, second.failed) == (1, 3, {"web page": 1}, {})
    third = fetch(source, into=tmp_path / "out").classes[0]
    assert (third.stored, third.already, third.bytes) == (0, 4, 0)
    assert server.requests == {"/0.jpg": 1, "/1.jpg": 1, "/2.jpg": 1, "/page.jpg": 1, "/late.jpg": LOCAL.attempts + 1}


def test_a_file_that_was_removed_or_cut_is_fetched_again(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    source = write_list(*fill(server, 3))
    fetch(source, into=tmp_path / "out")
    gone, cut = (tmp_path / "out" / (rows(tmp_path / "out")[name].file or "") for name in ("0.jpg", "1.jpg"))
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    again = fetch(source, into=tmp_path / "out").classes[0]
    assert (again.stored, again.already) == (2, 1)
    assert (gone.read_bytes(), cut.read_bytes()) == (noise_jpeg(0), noise_jpeg(1))


def test_equal_pictures_of_one_class_are_stored_once(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    for path in ("/a.jpg", "/b.jpg"):
        server.serve(path, picture(noise_jpeg(1)))
    lines = [f"{server.url}/{name}.jpg,{label}" for name, label in (("a", "x"), ("b", "x"), ("a", "y"), ("a", "x"))]
    result = fetch(write_list(*lines), into=tmp_path / "out")
    assert [(count.label, count.stored, count.already) for count in result.classes] == [("x", 1, 2), ("y", 1, 0)]
    assert server.requests == {"/a.jpg": 2, "/b.jpg": 1}
    files = {label: f"{label}/{sha16(noise_jpeg(1))}.jpg" for label in "xy"}
    assert visible_files(tmp_path / "out") == set(files.values())
    with Ledger.open(tmp_path / "out" / "ledger.sqlite") as ledger:
        assert sorted((row.label, row.status, row.file) for row in ledger.fetched()) == [
            ("x", "already", files["x"]),
            ("x", "stored", files["x"]),
            ("y", "stored", files["y"]),
        ]


def test_other_bytes_than_promised_are_rejected_until_the_list_is_mended(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    address = server.serve("/a.jpg", picture(noise_jpeg(1)))
    for _ in range(2):
        with pytest.raises(FetchError, match=r"Not one picture of 1 could be used \(1 wrong sha256\)"):
            fetch(write_list(f"{address},hat,{'0' * 64}"), into=tmp_path / "out")
    assert visible_files(tmp_path / "out") == set()
    assert server.requests["/a.jpg"] == 1
    right = hashlib.sha256(noise_jpeg(1)).hexdigest()
    assert fetch(write_list(f"{address},hat,{right}"), into=tmp_path / "out").classes[0].stored == 1


def test_small_pictures_are_rejected_and_blank_ones_left_to_check(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(buffer, "PNG")
    blank = server.serve("/blank.png", picture(buffer.getvalue())) + ",hat"
    tiny = server.serve("/tiny.jpg", picture(noise_jpeg(1, side=8))) + ",hat"
    source = write_list(blank, tiny)
    result = fetch(source, into=tmp_path / "out").classes[0]
    assert (result.stored, result.rejected) == (1, {"too small": 1})
    assert fetch(source, into=tmp_path / "out", min_side=8).classes[0].stored == 1


def test_every_fault_is_a_row_and_the_good_ones_come(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    good, other = noise_jpeg(1), noise_jpeg(2)
    faults: dict[str, list[Answer]] = {
        "busy": [status(503), picture(good)],
        "throttled": [status(429, Retry_After="0"), picture(noise_jpeg(5))],
        "gone": [status(404)],
        "private": [status(403)],
        "page": [picture(b"<!doctype html><html></html>")],
        "empty": [picture(b"")],
        "damaged": [picture(good[: len(good) // 2])],
        "cut": [cut_short(good), picture(noise_jpeg(6))],
        "moved": [redirect("/target")],
        "loop": [redirect("/loop")],
        "away": [redirect("ftp://127.0.0.1/x.jpg")],
        "file": [redirect("file:///etc/passwd")],
        "endless": [endless(good[:100])],
        "zeros": [endless(b"")],
        "announced": [cut_short(bytes(2**21))],
        "packed": [picture(b"\x1f\x8b", Content_Encoding="br")],
        "zipped": [picture(gzip.compress(noise_jpeg(8)), Content_Encoding="gzip")],
        "bomb": [picture(gzip.compress(noise_jpeg(9) + bytes(2**22)), Content_Encoding="gzip")],
        "misnamed": [picture(noise_jpeg(10), Content_Encoding="utf-8")],
        "forbidden": [status(429, Retry_After="86400")],
        "later": [status(503, Retry_After=formatdate(4e9, usegmt=True))],
        "fine": [picture(other)],
    }
    server.serve("/target", picture(noise_jpeg(7)))
    lines = [server.serve(f"/{name}", *answers) + ",hat" for name, answers in faults.items()]
    lines += ["ftp://127.0.0.1/f,hat", "file:///etc/passwd,hat", "/no/scheme,hat", "http://,hat", "http://x:port/,hat"]
    manners = replace(LOCAL, max_bytes=2**20)
    result = fetch_politely(write_list(*lines), into=tmp_path / "out", manners=manners).classes[0]
    verdicts = {name: (row.status, row.reason) for name, row in rows(tmp_path / "out").items()}
    assert {name: verdicts[name] for name in faults} == {
        "busy": ("stored", None),
        "throttled": ("stored", None),
        "gone": ("failed", "status 404"),
        "private": ("failed", "status 403"),
        "page": ("rejected", "web page"),
        "empty": ("rejected", "empty"),
        "damaged": ("rejected", "truncated"),
        "cut": ("stored", None),
        "moved": ("stored", None),
        "loop": ("failed", "too many redirects"),
        "away": ("rejected", "redirected away from http"),
        "file": ("rejected", "redirected away from http"),
        "endless": ("rejected", "too many bytes"),
        "zeros": ("rejected", "not a picture"),
        "announced": ("rejected", "too many bytes"),
        "packed": ("failed", "compressed answer"),
        "zipped": ("stored", None),
        "bomb": ("rejected", "too many bytes"),
        "misnamed": ("stored", None),
        "forbidden": ("failed", "status 429"),
        "later": ("failed", "status 503"),
        "fine": ("stored", None),
    }
    assert result.rejected["not an http address"] == 5
    assert (result.stored, result.already) == (7, 0)
    once = {"gone", "private", "page", "forbidden", "later", "endless", "packed"}
    assert {server.requests[f"/{name}"] for name in once} == {1}
    assert server.requests["/busy"] == server.requests["/cut"] == 2


def asked(address: str, manners: Manners) -> tuple[str, str, bool] | bytes:
    """What one address gives, or why it does not."""
    with Web.open(manners) as web, ThreadPoolExecutor(1) as pool:
        try:
            return web.picture(address, bytes, pool).result()
        except NoAnswerError as error:
            return error.status, error.reason, error.answered


def test_slow_and_silent_servers_are_given_up(server: PictureServer) -> None:
    brisk = replace(LOCAL, connect=0.2, read=0.1, attempts=2, robots_txt=False)
    assert asked(server.serve("/slow", server.held(b"")), brisk) == ("failed", "timed out", False)
    assert asked(server.serve("/mute", hang_up), brisk) == ("failed", "connection lost", True)
    assert asked(f"{NOBODY}/nobody", brisk) == ("failed", "no connection", False)
    assert server.requests["/slow"] == 2
    assert server.requests["/mute"] >= 2  # the library tries once more by itself where a kept connection was closed


def test_an_endless_trickle_is_given_up(server: PictureServer) -> None:
    manners = replace(LOCAL, total=0.1, attempts=1, max_bytes=2**40)
    begun = noise_jpeg(1)[:200]
    address = server.serve("/endless", endless(begun))
    assert asked(address, manners) == ("failed", "timed out", False)


def test_what_begins_like_no_picture_is_not_read_on(server: PictureServer) -> None:
    assert asked(server.serve("/zeros", endless(b"")), LOCAL) == ("rejected", "not a picture", True)
    page = server.serve("/page", endless(b"<!doctype html>" + b" " * 100))
    assert asked(page, LOCAL) == ("rejected", "web page", True)


def test_all_attempts_are_used_up_on_a_server_that_stays_busy(server: PictureServer) -> None:
    address = server.serve("/busy", status(500))
    assert asked(address, replace(LOCAL, attempts=3)) == ("failed", "status 500", True)
    assert server.requests["/busy"] == 3


def test_a_host_gets_a_bounded_number_of_connections(server: PictureServer) -> None:
    addresses = [server.serve(f"/{i}", server.held(noise_jpeg(i))) for i in range(60)]
    most = LOCAL.connections_per_host
    with Web.open(LOCAL) as web, ThreadPoolExecutor(2) as pool:
        answers = [web.picture(address, len, pool) for address in addresses]
        server.wait_for_requests(most)
        with pytest.raises(TimeoutError):
            server.wait_for_requests(most + 1, seconds=0.3)
        server.released.set()
        assert all(answer.result() for answer in answers)
    assert server.most_at_once == most


def test_no_more_comes_in_than_is_worked_off(server: PictureServer) -> None:
    manners = replace(LOCAL, connections=4)
    addresses = [server.serve(f"/{i}", picture(noise_jpeg(i))) for i in range(40)]
    free = threading.Event()
    with Web.open(manners) as web, ThreadPoolExecutor(2) as pool:
        answers = [web.picture(address, lambda _: free.wait(20), pool) for address in addresses]
        server.wait_for_requests(manners.connections)
        with pytest.raises(TimeoutError):
            server.wait_for_requests(manners.connections + 1, seconds=0.3)
        free.set()
        assert all(answer.result() for answer in answers)


ODD_ADDRESSES = (
    st.sampled_from(["http://xn--/x", "http://[::1", "http://a..b/", "http://\u2028/", f"http://{'a' * 300}/"])
    | st.text(max_size=40)
    | st.text(max_size=20).map(lambda rest: f"http://127.0.0.1:9/{rest}")
    | st.integers(65536, 10**6).map(lambda port: f"http://127.0.0.1:{port}/a.jpg")
)


@given(ODD_ADDRESSES)
@settings(max_examples=60, deadline=None)
def test_no_address_breaks_the_download(address: str) -> None:
    answer = asked(address, replace(LOCAL, connect=0.2, attempts=1))
    assert isinstance(answer, tuple)
    assert answer[1] in {"not an http address", "no connection"}


@pytest.mark.parametrize("count", [3, 60])
def test_an_offline_machine_is_told_soon(write_list: Callable[..., str], tmp_path: Path, count: int) -> None:
    source = write_list("ftp://x/,hat", *(f"https://nowhere.invalid/{i}.jpg,hat" for i in range(count)))
    with pytest.raises(FetchError, match=f"None of {count} addresses .* answered; check the network"):
        fetch(source, into=tmp_path / "out", endpoint=NOBODY)
    assert sum(row.reason == "no connection" for row in rows(tmp_path / "out").values()) == count


def test_a_machine_where_no_host_answers_is_told_before_all_were_waited_for(
    write_list: Callable[..., str], tmp_path: Path
) -> None:
    source = write_list(*(f"http://127.0.0.{host}:9/{host}.jpg,hat" for host in range(1, 120)))
    with pytest.raises(FetchError, match=r"None of 2\d addresses .* answered; check the network"):
        fetch(source, into=tmp_path / "out")


def test_a_dead_host_at_the_beginning_of_a_list_holds_up_no_other(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    source = write_list(*(f"{NOBODY}/{i}.jpg,hat" for i in range(300)), *fill(server, 5))
    result = fetch(source, into=tmp_path / "out").classes[0]
    assert (result.stored, result.failed) == (5, {"no connection": 300})


def test_redirects_to_another_host_do_not_wait_for_each_other(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    with PictureServer() as other:
        lines = []
        for i in range(12):
            target = other.serve(f"/{i}.jpg", picture(noise_jpeg(i)))
            lines.append(server.serve(f"/to{i}", redirect(target)) + ",hat")
        manners = replace(LOCAL, connections=2, total=5)
        result = fetch_politely(write_list(*lines), into=tmp_path / "out", manners=manners)
    assert result.classes[0].stored == 12
    assert result.seconds < 4
    assert other.robots_requests == 1


def test_robots_txt_holds_for_where_a_redirect_leads(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    server.serve("/robots.txt", picture(b"\xef\xbb\xbfUser-agent: *\nDisallow: /closed/\n"))
    server.serve("/closed/a.jpg", picture(noise_jpeg(1)))
    source = write_list(server.serve("/open.jpg", redirect("/closed/a.jpg")) + ",hat", *fill(server, 1))
    assert fetch(source, into=tmp_path / "out").classes[0].rejected == {"robots.txt": 1}
    assert server.requests["/closed/a.jpg"] == 0


def test_a_fetch_that_fails_takes_nothing_of_another_away(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    source = write_list(server.serve("/page.jpg", picture(b"<html>")) + ",hat")
    with pytest.raises(FetchError, match="1 web page"):
        fetch(source, into=tmp_path / "out")
    assert set(rows(tmp_path / "out")) == {"page.jpg"}


def test_what_lies_in_a_folder_is_no_placeholder(
    server: PictureServer, write_list: Callable[..., str], class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    mine = class_folders(hat=1)
    content = (mine / "hat" / "000.jpg").read_bytes()
    assert fetch(f"folder:{mine}", into=tmp_path / "out").classes[0].stored == 1
    source = write_list(*(server.serve(f"/{name}.jpg", picture(content)) + ",hat" for name in "abc"))
    result = fetch([source, f"folder:{mine}"], into=tmp_path / "out")
    assert [(count.already, count.rejected) for count in result.classes] == [(0, {"placeholder": 3}), (1, {})]
    assert visible_files(tmp_path / "out") == {f"hat/{sha16(content)}.jpg"}


def test_a_login_in_a_list_is_used_and_not_written_down(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    address = server.serve("/a.jpg?page=2", picture(noise_jpeg(1)))
    fetch(write_list(address.replace("://", "://me:s3cret@") + ",hat"), into=tmp_path / "out")
    with Ledger.open(tmp_path / "out" / "ledger.sqlite") as ledger:
        assert [row.address for row in ledger.fetched()] == [address]
    assert server.headers["/a.jpg?page=2"][0]["Authorization"].startswith("Basic ")


def test_a_contact_is_one_line() -> None:
    with pytest.raises(FetchError, match="must be one line"):
        Manners(contact="me\nX-Evil: 1")


def test_dead_addresses_do_not_make_a_machine_offline(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    dead = [f"{NOBODY}/{i}.jpg,hat" for i in range(40)]
    source = write_list(*fill(server, 1), *dead)
    for _ in range(2):
        result = fetch_politely(source, into=tmp_path / "out", manners=replace(LOCAL, pause=0.2)).classes[0]
        assert (result.stored + result.already, result.failed) == (1, {"no connection": 40})
        assert result.transient == 40


def test_what_failed_for_good_is_asked_again_only_when_told(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    gone = server.serve("/gone.jpg", status(404), picture(noise_jpeg(9))) + ",hat"
    source = write_list(gone, *fill(server, 1))
    first, second = (fetch(source, into=tmp_path / "out").classes[0] for _ in range(2))
    assert first.failed == second.failed == {"status 404": 1}
    assert (first.transient, server.requests["/gone.jpg"]) == (0, 1)
    third = fetch(source, into=tmp_path / "out", retry_failed=True).classes[0]
    assert (third.stored, third.already, third.failed) == (1, 1, {})


def test_an_address_in_two_sources_is_asked_for_once(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    source = write_list(*fill(server, 2))
    result = fetch([source, source], into=tmp_path / "out")
    assert [(count.stored, count.already) for count in result.classes] == [(2, 0), (0, 2)]
    assert set(server.requests.values()) == {1}


def test_a_limit_holds_over_sources_and_runs_and_failures_are_made_up_for(
    server: PictureServer, write_list: Callable[..., str], class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    lines = [server.serve(f"/bad{i}.jpg", status(404)) + ",hat" for i in range(2)] + fill(server, 9)
    source = write_list(*lines)
    folder = f"folder:{class_folders(hat=4, cap=4)}"
    first = fetch([source, folder], into=tmp_path / "out", limit=3)
    assert [(count.label, count.stored) for count in first.classes] == [("hat", 3), ("cap", 3), ("hat", 0)]
    assert {name for name in server.requests if "bad" not in name} == {"/0.jpg", "/1.jpg", "/2.jpg"}
    second = fetch([folder, source], into=tmp_path / "out", limit=5)
    assert [(count.label, count.stored, count.already) for count in second.classes] == [
        ("cap", 1, 3),
        ("hat", 2, 0),
        ("hat", 0, 3),
    ]


def test_an_endpoint_stands_in_for_every_host(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    server.serve("/a%20b/c.jpg?x=1&y=%2F", picture(noise_jpeg(1)))
    address = "https://pictures.example:8443/a%20b/c.jpg?x=1&y=%2F"
    fetch(write_list(f"{address},hat"), into=tmp_path / "out", endpoint=server.url)
    with Ledger.open(tmp_path / "out" / "ledger.sqlite") as ledger:
        assert [(row.address, row.status) for row in ledger.fetched()] == [(address, "stored")]


def test_fetch_works_inside_a_running_event_loop(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    async def notebook_cell() -> int:
        stored: int = fetch(write_list(*fill(server, 3)), into=tmp_path / "out").classes[0].stored
        return stored

    assert asyncio.run(notebook_cell()) == 3


def test_progress_is_told_of_every_picture(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    told: list[str] = []

    @contextmanager
    def progress(task: str, total: int | None) -> Iterator[Advance]:
        told.append(f"{task} {total}")
        yield lambda count=1, note="": told.append(note)

    source = write_list(*fill(server, 2), server.serve("/gone.jpg", status(404)) + ",hat")
    fetch(source, into=tmp_path / "out", progress=progress)
    assert told[0] == f"fetch {source[:40]} 3"
    assert len(told) == 4
    assert "1 failed" in told


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"address,label\nhttp://x/,hat\n", "has no column url"),
        ("a.csv", b"", "has no column url"),
        ("a.csv", b"url,label\n", "names no address"),
        ("a.csv", b"url,label\nhttp://x/,hat\n,hat\n", "Line 3 of .* has no url"),
        ("a.csv", b"url,label\nhttp://x/,hat\nhttp://y/,\n", "Line 3 of .* has no label; .* --label"),
        ("a.csv", b"url,label\nhttp://x/,../up\n", "Line 2 of .* has the label '../up'"),
        ("a.csv", b"url,label,sha256\nhttp://x/,hat,abc\n", "Line 2 of .* sha256 that is not 64 hex"),
        ("a.csv", b"url,label\nhttp://x/,hat\nhttp://y/,h\xe9\n", "Line 3 of .* is not UTF-8"),
        ("a.csv", b'url,label\n"' + b"x" * 200_000, "Line 2 of .* is not CSV"),
        ("a.txt", b"x" * 2**21, "Line 1 of .* is over 1 MiB"),
        ("a.tsv", b"address\tlabel\nhttp://x/\thelmet\n", "has no column url"),
        ("a.jsonl", b'{"url": "http://x/", "label": "hat"}\n{', "Line 2 of .* is not JSON"),
        ("a.jsonl", b"[1]", "Line 1 of .* is not an object"),
        ("a.parquet", b"PAR1", "is not a Parquet file that can be read"),
        ("a.txt", b"# only\n\n", "names no address"),
        ("a.txt", b"http://x/\n", "Line 1 of .* has no label"),
        ("a.txt", b"http://x/" + b"x" * 9000, "Line 1 of .* an address of over 8192 characters"),
        ("a.json", b"[]", r"must be a list of addresses that ends in \.csv"),
    ],
)
def test_an_unusable_list_is_refused_before_anything_is_asked(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FetchError, match=sentence):
        fetch(f"urls:{tmp_path / name}", into=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_list_has_comments_and_takes_the_label(server: PictureServer, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    addresses = [line.split(",")[0] for line in fill(server, 2)]
    path.write_bytes(("\ufeff# hats\r\n\r\n" + "\r\n".join(addresses) + "\r\n").encode())
    count = fetch(f"urls:{path}", into=tmp_path / "out", label="hat").classes[0]
    assert (count.stored, count.rejected) == (2, {})
    assert {file.split("/")[0] for file in visible_files(tmp_path / "out")} == {"hat"}


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8000", "ftp://x", "http://", "http://x/prefix", "http://x:port"])
def test_an_endpoint_is_scheme_host_and_port(write_list: Callable[..., str], tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(FetchError, match="must be scheme, host and port"):
        fetch(write_list("http://x/,hat"), into=tmp_path / "out", endpoint=endpoint)


_FETCH_AND_TELL = """
import sys
from contextlib import contextmanager
from dataclasses import replace
from milliner.images.ledger import Ledger
from milliner.sources.fetch import fetch
from milliner.sources.web.manners import Manners

keep = Ledger.add

def tell(self, row):
    keep(self, row)
    if getattr(row, "file", None):
        print(row.file, flush=True)

Ledger.add = tell
manners = Manners(allow_private=True, pause=0.01)
print(fetch(sys.argv[1], into=sys.argv[2], manners=manners).classes[0].stored, "stored", flush=True)
"""


def start_fetch(source: str, into: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _FETCH_AND_TELL, source, str(into)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_fetch_goes_on_where_it_stopped(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    lines = fill(server, 30)
    for i in range(20, 30):
        server.answers[f"/{i}.jpg"] = [server.held(noise_jpeg(i))]
    source = write_list(*lines)
    with start_fetch(source, tmp_path / "out") as process:
        assert process.stdout is not None
        done = {process.stdout.readline().strip() for _ in range(3)}
        os.kill(process.pid, signal.SIGKILL)
    assert done <= visible_files(tmp_path / "out")
    stored = {name: row for name, row in rows(tmp_path / "out").items() if row.status == "stored"}
    before = dict(server.requests)
    server.released.set()
    fetch(source, into=tmp_path / "out")
    assert visible_files(tmp_path / "out") == {f"hat/{sha16(noise_jpeg(i))}.jpg" for i in range(30)}
    assert {row.status for row in rows(tmp_path / "out").values()} <= {"stored", "already"}
    assert len(stored) >= 3
    assert all(server.requests[f"/{name}"] == before[f"/{name}"] for name in stored)


def test_a_run_that_ends_between_file_and_row_finds_the_file(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    source = write_list(*fill(server, 3))
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(source, into=tmp_path / "out")
    placed = len(visible_files(tmp_path / "out"))
    assert placed >= 1
    assert rows(tmp_path / "out") == {}
    again = fetch(source, into=tmp_path / "out").classes[0]
    assert (again.stored, again.already) == (3 - placed, placed)


def test_two_processes_fill_one_folder_without_doing_the_work_twice(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    source = write_list(*fill(server, 12), server.serve("/last.jpg", server.held(noise_jpeg(99))) + ",hat")
    with start_fetch(source, tmp_path / "out") as first, start_fetch(source, tmp_path / "out") as second:
        server.wait_for_requests(13)
        server.released.set()
        told = [process.communicate(timeout=20)[0].splitlines()[-1] for process in (first, second)]
    assert sorted(told) == ["0 stored", "13 stored"]
    assert len(visible_files(tmp_path / "out")) == 13
    assert set(server.requests.values()) == {1}


def test_a_folder_that_cannot_be_written_is_named(
    server: PictureServer, write_list: Callable[..., str], tmp_path: Path
) -> None:
    source = write_list(*fill(server, 1))
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="file cannot be written"):
        fetch(source, into=tmp_path / "file")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "hat").write_text("in the way")
    with pytest.raises(MillinerError, match=r"hat.* cannot be written"):
        fetch(source, into=tmp_path / "out")


def test_reachable_says_whether_pictures_come(server: PictureServer, write_list: Callable[..., str]) -> None:
    held = server.serve("/held.jpg", server.held(noise_jpeg(1)))
    gone, page = f"{server.url}/gone.jpg", server.serve("/page.jpg", picture(b"<html>log in</html>"))
    fine = server.serve("/fine.jpg", picture(noise_jpeg(2)))
    assert reachable(write_list(gone, page, fine, columns="url"), manners=LOCAL)
    assert not reachable(write_list(gone, page, f"{gone}?again", fine, columns="url"), manners=LOCAL)
    assert not reachable(write_list(held, columns="url"), manners=replace(LOCAL, read=0.1, attempts=1))
    assert not reachable(write_list(fine, columns="url"), endpoint=NOBODY)
    with pytest.raises(FetchError, match="has no addresses to ask"):
        reachable("scenes:3")
