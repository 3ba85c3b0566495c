"""Archives, buckets, videos, cameras and lists as sources: what they bring, and what hostile ones cannot do."""

import csv
import gzip
import hashlib
import json
import os
import re
import socket
import tarfile
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow
import pytest
from camera import Camera, cameras_missing
from child import fetch_and_kill, fetch_apart
from conftest import fill_class_folders, noise_jpeg
from hostile import END, joined, member, note, sealed, tar_of, zip_of
from hypothesis import given, settings
from hypothesis import strategies as st
from object_store import LOGIN, ObjectStore
from picture_server import PictureServer, endless, in_pieces, picture, status
from PIL import Image
from pyarrow import parquet

from milliner.cli.main import call
from milliner.core.errors import FetchError, MillinerError
from milliner.core.progress import Advance
from milliner.images.folder import list_entries
from milliner.images.ledger import FetchRow, Ledger
from milliner.images.likeness import NEAR, likeness
from milliner.sources.drawing.avi import write_avi
from milliner.sources.fetch import fetch as fetch_politely
from milliner.sources.web import stream as stream_module
from milliner.sources.web.manners import Manners

LOCAL = Manners(allow_private=True, pause=0.01)
PICTURES = {f"{label}/{i}.jpg": noise_jpeg(i) for i, label in enumerate(["hat", "cap"] * 4)}
"""Four of each of two classes."""

fetch: Any = partial(fetch_politely, manners=LOCAL)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.fixture(scope="module")
def filled_store() -> Iterator[ObjectStore]:
    with ObjectStore.running() as store:
        store.fill("site", {f"pictures/{name}": content for name, content in PICTURES.items()})
        store.fill("flat", {name.replace("/", "-"): content for name, content in PICTURES.items()})
        packed = {"a.tar": tar_of(PICTURES), "a.tar.gz": tar_of(PICTURES, "w:gz"), "a.zip": zip_of(PICTURES)}
        store.fill("packed", packed)
        store.fill("empty", {"pictures/notes.txt": b"none yet"})
        yield store


@pytest.fixture
def store(filled_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    return filled_store


def rows(folder: Path) -> dict[str, FetchRow]:
    """The ledger, by address."""
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return {row.address: row for row in ledger.fetched()}


def contents(folder: Path) -> list[bytes]:
    """What was stored, after a look whether names, rows and files agree."""
    files = {entry.key: entry.path.read_bytes() for entry in list_entries(folder)}
    assert {row.file for row in rows(folder).values() if row.file} == set(files)
    for name, content in files.items():
        assert name.split("/")[1] == f"{hashlib.sha256(content).hexdigest()[:16]}.jpg"
    unexpected = {path.name for path in folder.iterdir()} - {name.split("/")[0] for name in files}
    assert all(name.startswith(("ledger.sqlite", ".")) for name in unexpected)
    return sorted(files.values())


def reasons(folder: Path) -> dict[str, str]:
    """Why pictures were not stored, by what stands after the # in their address."""
    return {address.partition("#")[2]: row.reason for address, row in rows(folder).items() if row.reason}


# Folders and archives, wherever they lie

IN_BUCKETS = ["s3://site/pictures", "s3://packed/a.tar", "s3://packed/a.tar.gz", "s3://packed/a.zip"]
ON_THE_WEB = ["a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.zip"]


def packed(name: str) -> bytes:
    packings = {".tgz": "gz", ".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".tar": ""}
    suffix = Path(name).suffix
    return zip_of(PICTURES) if suffix == ".zip" else tar_of(PICTURES, f"w:{packings[suffix]}")


@pytest.fixture(params=[*IN_BUCKETS, "s3://flat", "folder", "file.tar", "file.zip", *ON_THE_WEB])
def place(request: pytest.FixtureRequest, server: PictureServer, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """A source that has `PICTURES`, and what it needs to be told."""
    name = str(request.param)
    if name.startswith("s3://"):
        store: ObjectStore = request.getfixturevalue("store")
        return name, {"endpoint": store.url} | ({"label": "hat"} if "flat" in name else {})
    if name == "folder":
        for path, content in PICTURES.items():
            (tmp_path / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "pictures" / path).write_bytes(content)
        return f"file://{tmp_path}/pictures", {}
    if name.startswith("file"):
        (tmp_path / name).write_bytes(packed(name))
        return f"file://{tmp_path / name}", {}
    return server.serve(f"/{name}?version=3", picture(packed(name))), {}


def test_every_place_gives_each_picture_once(place: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    source, options = place
    out = tmp_path / "out"
    fetch(source, into=out, limit=2, **options)
    classes = {entry.label for entry in list_entries(out)}
    assert len(contents(out)) == 2 * len(classes)
    fetch(source, into=out, **options)
    assert contents(out) == sorted(PICTURES.values())
    assert len(rows(out)) == len(PICTURES)
    assert {row.source for row in rows(out).values()} == {source}
    times = {entry.path: entry.path.stat().st_mtime_ns for entry in list_entries(out)}
    again = fetch(source, into=out, **options)
    assert sum(count.already for count in again.classes) == len(PICTURES)
    assert {count.stored for count in again.classes} == {0}
    assert {entry.path: entry.path.stat().st_mtime_ns for entry in list_entries(out)} == times


@pytest.mark.parametrize("source", ["s3://site/pictures", "s3://packed/a.tar", "a.tar", "a.zip"])
def test_what_was_killed_goes_on(source: str, store: ObjectStore, server: PictureServer, tmp_path: Path) -> None:
    options = {"endpoint": store.url} if source.startswith("s3") else {}
    source = source if options else server.serve(f"/{source}", picture(packed(source)))
    fetch_and_kill(source, tmp_path / "out", rows=3, **options)
    before = {entry.path: entry.path.stat().st_mtime_ns for entry in list_entries(tmp_path / "out")}
    known = rows(tmp_path / "out")
    assert [row.status for row in known.values()] == ["stored"] * 3
    result = fetch(source, into=tmp_path / "out", **options)
    assert contents(tmp_path / "out") == sorted(PICTURES.values())
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert known.items() <= rows(tmp_path / "out").items()
    assert sum(count.stored for count in result.classes) == len(PICTURES) - len(before)


def test_what_comes_into_a_bucket_later_is_seen_by_the_same_process(store: ObjectStore, tmp_path: Path) -> None:
    store.fill("grows", {"hat/1.jpg": noise_jpeg(1), "hat/2.jpg": noise_jpeg(2)})
    count = fetch("s3://grows", into=tmp_path / "out", endpoint=store.url).classes[0]
    assert count.stored == 2
    store.fill("grows", {"hat/2.jpg": noise_jpeg(20, side=80), "hat/3.jpg": noise_jpeg(3)})
    count = fetch("s3://grows", into=tmp_path / "out", endpoint=store.url).classes[0]
    assert (count.stored, count.already) == (2, 1)  # another size is another picture


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("s3://nowhere/pictures", "s3://nowhere/pictures (cannot be read|has no pictures).*; check the address"),
        ("s3://empty/pictures", "s3://empty/pictures has no pictures; check the address"),
        ("s3://site/hats", "s3://site/hats has no pictures; check the address"),
        ("s3://packed/b.tar", r"s3://packed/b\.tar cannot be read \(.*\); check the address and your rights"),
        ("s3://flat", "s3://flat has pictures outside of class folders; pass --label"),
        ("file:///nowhere/at/all.zip", r"file:///nowhere/at/all\.zip cannot be read \(.*No such file"),
        ("file:///nowhere/at/all", "file:///nowhere/at/all has no pictures; check the address"),
        ("moon://base/a.tar", r"moon://base/a\.tar cannot be read \(.*moon\); check"),
        ("https://pictures.example/hats", r"is no archive \(\.tar, .*\); .* write a list, urls:FILE"),
    ],
)
def test_a_place_without_pictures_is_one_sentence(
    source: str, sentence: str, store: ObjectStore, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match=sentence) as caught:
        fetch(source, into=tmp_path / "out", endpoint=store.url)
    assert "\n" not in str(caught.value)


def test_what_leaves_a_bucket_meanwhile_is_a_row_and_asked_for_again(store: ObjectStore, tmp_path: Path) -> None:
    files = {f"hat/{i:02}.jpg": noise_jpeg(i) for i in range(60)}
    store.fill("shrinks", files)

    @contextmanager
    def progress(_task: str, _total: int | None) -> Iterator[Advance]:
        yield lambda count=1, note="": store.remove("shrinks", "hat/59.jpg")

    count = fetch("s3://shrinks", into=tmp_path / "out", endpoint=store.url, progress=progress).classes[0]
    assert (count.stored, count.failed) == (59, {"unreadable": 1})
    store.fill("shrinks", files)
    count = fetch("s3://shrinks", into=tmp_path / "out", endpoint=store.url).classes[0]
    assert (count.stored, count.already) == (1, 59)


def test_pipes_among_files_are_passed_by(tmp_path: Path) -> None:
    fill_class_folders(tmp_path / "pictures", hat=2)
    os.mkfifo(tmp_path / "pictures" / "hat" / "pipe.jpg")
    assert fetch(f"file://{tmp_path}/pictures", into=tmp_path / "out").classes[0].stored == 2


@pytest.mark.parametrize(
    ("source", "package", "extra"),
    [
        ("s3://site/a", "s3fs", "s3"),
        ("gs://site/a", "gcsfs", "gs"),
        ("video:a.avi", "cv2", "video"),
        ("urls:a.parquet", "pyarrow", "parquet"),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(source: str, package: str, extra: str, tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(b"RIFF")
    told = fetch_apart(source, tmp_path / "out", (package,), label="hat", base=str(tmp_path))
    assert f"; pip install 'milliner[{extra}]'." in told.sentence
    assert not (tmp_path / "out" / "hat").exists()


def test_a_login_in_an_address_is_used_and_never_written_down(
    server: PictureServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    address = server.serve("/a.tar", picture(tar_of(PICTURES)))
    secret = address.replace("://", "://inspector:s3cret@")
    into = ["--into", str(tmp_path / "out"), "--allow-private"]
    assert call(["fetch", secret, *into]) == call(["fetch", "--report", "--json", *into]) == 0
    assert server.logins["/a.tar"] == "Basic " + b64encode(b"inspector:s3cret").decode()
    assert set(rows(tmp_path / "out")) == {f"{address}#{name}" for name in PICTURES}
    assert b"s3cret" not in (tmp_path / "out" / "ledger.sqlite").read_bytes()
    for spec in (f"{secret}x", f"{secret}.zip", "moon://inspector:s3cret@x/a.zip", "vidoe:rtsp://inspector:s3cret@x/"):
        for odd in (spec, spec.replace("s3cret", "s3cret@s3cret"), spec.replace("s3cret", "1s3cret/s3cret")):
            assert call(["fetch", odd, *into]) == 1
    told = "".join(capfd.readouterr())
    assert "s3cret" not in told
    assert "inspector" not in told


# Archives that strangers made

BIG = 64 * 2**20
"""More bytes than any picture may have."""


def serve_tar(server: PictureServer, *pieces: bytes) -> str:
    return server.serve("/a.tar", picture(joined(pieces)))


def test_no_name_leads_out_of_the_folder(server: PictureServer, tmp_path: Path) -> None:
    names = ["../hat.jpg", "/etc/hat.jpg", "hat/../../hat.jpg", "..", "../../../../tmp/hat/hat.jpg"]
    fetch(
        serve_tar(
            server, *(member(name, noise_jpeg(i)) for i, name in enumerate(names)), member("a.jpg", noise_jpeg(9))
        ),
        into=tmp_path / "deep" / "out",
        label="hat",
    )
    assert contents(tmp_path / "deep" / "out") == [noise_jpeg(9)]
    assert reasons(tmp_path / "deep" / "out") == {name: "unsafe name" for name in names if name != ".."}
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}


def test_what_is_no_plain_file_is_passed_by(server: PictureServer, tmp_path: Path) -> None:
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    odd = [member(f"{i}.jpg", kind=kind) for i, kind in enumerate(kinds)]
    fetch(serve_tar(server, *odd, member("a.jpg", noise_jpeg(1))), into=tmp_path / "out", label="hat")
    assert contents(tmp_path / "out") == [noise_jpeg(1)]
    assert len(rows(tmp_path / "out")) == 1


def test_odd_names_are_fetched(server: PictureServer, tmp_path: Path) -> None:
    names: list[str | bytes] = [b"s\xe9rie.jpg", "two\nlines.jpg", "\u202egpj.exe.jpg", "  .jpg", "con.jpg", "a\\b.jpg"]
    fetch(
        serve_tar(server, *(member(name, noise_jpeg(i)) for i, name in enumerate(names))),
        into=tmp_path / "out",
        label="hat",
    )
    assert contents(tmp_path / "out") == sorted(noise_jpeg(i) for i in range(len(names)))
    assert all(address.isascii() and address.isprintable() for address in rows(tmp_path / "out"))


def test_of_two_members_of_one_name_the_first_is_taken(server: PictureServer, tmp_path: Path) -> None:
    source = serve_tar(server, member("a.jpg", noise_jpeg(1)), member("a.jpg", noise_jpeg(2)))
    for _ in range(2):
        fetch(source, into=tmp_path / "out", label="hat")
        assert contents(tmp_path / "out") == [noise_jpeg(1)]


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("", "outside of class folders; pass --label"),
        ("../", "outside of class folders; pass --label"),
        (".hidden/", "label '.hidden', which cannot name a folder"),
        (b"\xe9/", "cannot name a folder"),
    ],
)
def test_folders_in_archives_that_are_no_classes_are_told(
    folder: str | bytes, sentence: str, server: PictureServer, tmp_path: Path
) -> None:
    raw = folder.encode() if isinstance(folder, str) else folder
    source = serve_tar(server, member("hat/a.jpg", noise_jpeg(1)), member(raw + b"b.jpg", noise_jpeg(2)))
    result = fetch(source, into=tmp_path / "out")
    assert sentence in result.faults[0]
    assert contents(tmp_path / "out") == [noise_jpeg(1)]


MAP = note(GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_name="s.jpg", GNU_sparse_realsize="9000")
QUADRATIC = b"2 " * 15_000 + b"="
"""Every second byte begins a record that goes on to the end."""


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ([member("b.jpg", noise_jpeg(2))[:700]], "breaks off or is damaged .*unexpected end of data"),
        ([member("b.jpg", noise_jpeg(2))[:300]], "breaks off or is damaged .*truncated header"),
        ([noise_jpeg(3, side=99)], "breaks off or is damaged .*(bad checksum|invalid header)"),
        ([member("b.jpg", size=2**62)], "breaks off or is damaged .*unexpected end of data"),
        ([member("b.jpg", size=-600)], "breaks off or is damaged"),
        ([member("n", kind=tarfile.XHDTYPE, size=2**40)], "note of absurd length"),
        ([member("n", kind=tarfile.XHDTYPE, size=-1)], "note of absurd length"),
        ([member("n", kind=tarfile.GNUTYPE_LONGNAME, size=2**40)], "note of absurd length"),
        ([member("n", kind=tarfile.GNUTYPE_LONGNAME)] * 3000, "notes of absurd length"),
        ([member("n", note(path="x/" * 400 + "b.jpg"), tarfile.XHDTYPE)] * 3000, "notes of absurd length"),
        ([member("n", b"1" * 9000 + b" a=b\n", tarfile.XHDTYPE)], "breaks off or is damaged"),
        ([member("n", MAP, tarfile.XHDTYPE), member("s.jpg", b"9" * 99 + b"\n1\n" * 999)], "sparse file with a list"),
        ([member("n", kind=tarfile.XHDTYPE, content=QUADRATIC), b"x" * 512], "breaks off or is damaged"),
    ],
)
def test_damage_and_malice_are_one_sentence_and_what_came_before_is_kept(
    pieces: list[bytes], sentence: str, server: PictureServer, tmp_path: Path
) -> None:
    source = server.serve("/a.tar", picture(b"".join([member("a.jpg", noise_jpeg(1)), *pieces])))
    result = fetch(source, into=tmp_path / "out", label="hat")
    assert contents(tmp_path / "out") == [noise_jpeg(1)]
    assert len(result.faults) == 1
    assert re.search(sentence, result.faults[0])
    assert "\n" not in result.faults[0]


def test_members_of_absurd_size_and_sparse_ones_are_rows(server: PictureServer, tmp_path: Path) -> None:
    holes = bytearray(member("holes.jpg", size=0, kind=tarfile.GNUTYPE_SPARSE)[:512])
    holes[386:410] = b"00000001000\x0000000000000\0"
    holes[483:495] = b"00000100000\0"
    fields = note(GNU_sparse_map="0,0,9000,0", GNU_sparse_size="9000", GNU_sparse_name="map.jpg")
    pieces = [sealed(holes), member("n", fields, tarfile.XHDTYPE), member("map.jpg"), member("b.jpg", bytes(BIG + 1))]
    fetch(serve_tar(server, *pieces, member("a.jpg", noise_jpeg(1))), into=tmp_path / "out", label="hat")
    assert reasons(tmp_path / "out") == {
        "holes.jpg": "undecodable",
        "map.jpg": "undecodable",
        "b.jpg": "too many bytes",
    }
    assert contents(tmp_path / "out") == [noise_jpeg(1)]


def test_zip_files_have_bad_members_too(server: PictureServer, tmp_path: Path) -> None:
    names = ["../up.jpg", "/root.jpg", "win\\dows.jpg", "fine.jpg", "secret.jpg", "cut.jpg"]
    content = bytearray(zip_of({name: noise_jpeg(i) for i, name in enumerate(names)}, zipfile.ZIP_STORED))
    content[content.rindex(b"PK\x01\x02", 0, content.rindex(b"secret.jpg")) + 8] |= 1  # the flag of a password
    content[content.index(noise_jpeg(5)) + 700] ^= 255
    fetch(server.serve("/a.zip", picture(bytes(content))), into=tmp_path / "out", label="hat")
    assert contents(tmp_path / "out") == sorted([noise_jpeg(2), noise_jpeg(3)])
    assert reasons(tmp_path / "out") == {
        "../up.jpg": "unsafe name",
        "/root.jpg": "unsafe name",
        "secret.jpg": "undecodable",
        "cut.jpg": "undecodable",
    }


@pytest.mark.parametrize(("name", "content"), [("a.zip", b"PK" + bytes(4000)), ("a.zip", b""), ("a.tar", b"")])
def test_rubbish_is_one_sentence(name: str, content: bytes, server: PictureServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"/a\.(tar|zip) (is not a zip file|breaks off or is damaged)"):
        fetch(server.serve(f"/{name}", picture(content)), into=tmp_path / "out", label="hat")


def test_a_web_page_in_place_of_an_archive_is_told(server: PictureServer, tmp_path: Path) -> None:
    page = b"<!doctype html><title>Log in</title>" + b" " * 600
    for name in ("a.tar", "a.tgz", "a.zip"):
        with pytest.raises(FetchError, match=f"{name} is a web page, not an archive"):
            fetch(server.serve(f"/{name}", picture(page, Content_Type="text/html; charset=utf-8")), into=tmp_path)
        with pytest.raises(FetchError, match=f"{name} (breaks off or is damaged|is not a zip file)"):
            fetch(server.serve(f"/{name}", picture(page)), into=tmp_path)


def test_an_endless_body_that_is_no_zip_file_is_not_copied(server: PictureServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"a\.zip is not a zip file"):
        fetch(server.serve("/a.zip", endless(b"zip")), into=tmp_path / "out", label="hat")


@pytest.mark.parametrize(("code", "sentence"), [(404, "check its name"), (403, "ask its owner for access")])
def test_an_archive_that_does_not_come_is_told(code: int, sentence: str, server: PictureServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=rf"/a\.tar cannot be asked \(status {code}\); {sentence}"):
        fetch(server.serve("/a.tar", status(code)), into=tmp_path / "out")


def test_a_name_that_begins_like_a_packing_is_a_name(server: PictureServer, tmp_path: Path) -> None:
    assert fetch(serve_tar(server, member("BZh9/a.jpg", noise_jpeg(1))), into=tmp_path / "out").classes[0].stored == 1


# Bombs, and archives that never end

ZEROS = gzip.compress(bytes(64 * 2**20), 9)
"""64 MiB of nothing; gzip files may stand one after the other."""


def test_a_gzip_bomb_is_left_early(server: PictureServer, tmp_path: Path) -> None:
    start = gzip.compress(member("a.jpg", noise_jpeg(1)) + member("notes.bin", size=2**40))
    told = fetch_apart(server.serve("/a.tgz", picture(start + ZEROS * 300)), tmp_path / "out", label="hat")
    assert told.stored == 1
    assert "a.tgz is a decompression bomb: over 100 bytes come out of each; leave it alone" in told.sentence
    assert told.grown < 60


def test_a_zip_bomb_is_a_row(server: PictureServer, tmp_path: Path) -> None:
    size = 200 * 2**20
    content = zip_of({"bomb.jpg": bytes(size), "a.jpg": noise_jpeg(1)})
    lying = content.replace(size.to_bytes(4, "little"), (2**20).to_bytes(4, "little"))
    for name, bomb in ("honest", content), ("lying", lying):
        told = fetch_apart(server.serve(f"/{name}.zip", picture(bomb)), tmp_path / name, label="hat")
        assert contents(tmp_path / name) == [noise_jpeg(1)]
        assert set(reasons(tmp_path / name)) == {"bomb.jpg"}
        assert told.grown < 60


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_whose_bombs_cannot_be_stopped_are_not_opened(
    packing: int, server: PictureServer, tmp_path: Path
) -> None:
    content = zip_of({"bomb.jpg": bytes(BIG - 1)}, packing)
    with pytest.raises(FetchError, match="1 undecodable"):
        fetch(server.serve("/a.zip", picture(content)), into=tmp_path / "out", label="hat")


def test_a_tar_that_never_ends_is_left_at_the_limit(server: PictureServer, tmp_path: Path) -> None:
    gone = Event()

    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        number = 0
        try:
            handler.wfile.write(member("../../hat/evil.jpg", noise_jpeg(99)) + member("notes.bin", size=300 * 2**20))
            for _ in range(300):
                handler.wfile.write(bytes(2**20))
            while True:
                number += 1
                handler.wfile.write(member("g", note(comment="x" * 9000), tarfile.XGLTYPE))
                handler.wfile.write(member(f"{number}.jpg", noise_jpeg(number, side=32)))
        except OSError:
            gone.set()

    def late(handler: BaseHTTPRequestHandler) -> None:
        picture(noise_jpeg(1) if gone.wait(10) else b"")(handler)

    address = server.serve("/endless.tar", pour)
    (tmp_path / "out.csv").write_text(f"url,label\n{server.serve('/late.jpg', late)},cap\n")
    result = fetch([address, f"urls:{tmp_path}/out.csv"], into=tmp_path / "out-first", label="hat", limit=2)
    assert [count.stored for count in result.classes] == [2, 1]  # the first was hung up on before the second was asked
    told = fetch_apart(address, tmp_path / "out", label="hat", limit=5)
    assert (told.stored, told.sentence) == (5, "")
    assert told.grown < 60
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("out")] == []


def test_notes_about_all_members_do_not_pile_up(server: PictureServer, tmp_path: Path) -> None:
    notes = [member("g", note(**{f"k{i}": "x" * 30_000}), tarfile.XGLTYPE) + member("notes.txt") for i in range(4000)]
    told = fetch_apart(serve_tar(server, *notes, member("a.jpg", noise_jpeg(1))), tmp_path / "out", label="hat")
    assert told.stored == 1
    assert told.grown < 60


# A small archive, changed at random

SMALL = {"hat/a.jpg": noise_jpeg(1, side=16), "b.jpg": noise_jpeg(2, side=16)}
SOUND = {"tar": tar_of(SMALL), "tgz": tar_of(SMALL, "w:gz"), "zip": zip_of(SMALL)}
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12), st.integers(0, 600)), min_size=1, max_size=4)


def changed(content: bytes, changes: list[tuple[float, bytes, int]]) -> bytes:
    """The content with some bytes in place of others; a tar's headers get checksums that are right."""
    result = bytearray(content)
    for where, put, taken in changes:
        begin = int(where * len(result))
        result[begin : begin + min(taken, 12)] = put
        if taken > 590:
            del result[begin:]
    return bytes(result)


@given(st.sampled_from(sorted(SOUND)), CHANGES, st.booleans())
@settings(max_examples=100, deadline=None)
def test_whatever_an_archive_says_nothing_worse_than_a_sentence_comes_of_it(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, bytes, int]], seal: bool
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    content = bytearray(changed(SOUND[kind], changes))
    if seal and kind == "tar" and len(content) > 512:
        content[:512] = sealed(content[:512])
    (folder / f"a.{kind}").write_bytes(content)
    with suppress(MillinerError):
        fetch(f"file://{folder}/a.{kind}", into=folder / "out", label="hat")
    assert {path.name for path in folder.iterdir()} <= {f"a.{kind}", "out"}
    found = {path for path in (folder / "out").rglob("*") if not path.name.startswith((".", "ledger.sqlite"))}
    for path in found - {folder / "out" / "hat"}:
        assert path.parent == folder / "out" / "hat"
        assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()[:16]


# Long archives over connections that break

LONG = {f"hat/{i}.jpg": noise_jpeg(i, side=200) for i in range(60)}


def test_a_long_tar_is_gone_on_with_where_its_connection_broke(server: PictureServer, tmp_path: Path) -> None:
    content = tar_of(LONG)
    piece = len(content) // 3 + 1000
    result = fetch(server.serve("/long.tar", in_pieces(content, piece)), into=tmp_path / "out")
    assert result.faults == ()
    assert contents(tmp_path / "out") == sorted(LONG.values())
    assert 3 <= server.requests["/long.tar"] <= 60  # what lay in buffers when a connection broke comes again


def test_a_server_that_cannot_go_on_costs_a_sentence_and_the_next_run_ends_it(
    server: PictureServer, tmp_path: Path
) -> None:
    content = tar_of(LONG)
    broken = in_pieces(content, len(content) // 2, ranges=False)
    address = server.serve("/long.tar", broken)
    result = fetch(address, into=tmp_path / "out")
    assert result.faults == (f"{address} cannot be asked (connection lost); fetch again; it goes on where it stopped.",)
    assert 0 < len(contents(tmp_path / "out")) < len(LONG)
    server.serve("/long.tar", picture(content))
    fetch(address, into=tmp_path / "out")
    assert contents(tmp_path / "out") == sorted(LONG.values())


def test_another_file_or_another_part_is_never_glued_on(server: PictureServer, tmp_path: Path) -> None:
    content = tar_of(LONG)

    def other_part(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(206)
        handler.send_header("Content-Length", str(len(content)))
        handler.send_header("Content-Range", f"bytes 0-{len(content) - 1}/{len(content)}")
        handler.end_headers()
        handler.wfile.write(content)

    address = server.serve("/long.tar", in_pieces(content, len(content) // 2), other_part)
    assert "connection lost" in fetch(address, into=tmp_path / "out").faults[0]
    assert set(contents(tmp_path / "out")) < set(LONG.values())
    address = server.serve("/other.tar", in_pieces(content, len(content) // 2), in_pieces(content + END, len(content)))
    assert "connection lost" in fetch(address, into=tmp_path / "two").faults[0]


# Videos


def write_film(path: Path, shots: list[int], frames: int = 10) -> Path:
    """A film of 10 frames a second, in which each shot shows one picture for so many frames."""
    shown = [noise_jpeg(shot) for shot in shots for _ in range(frames)]
    with path.open("wb") as file:
        write_avi(file, shown, 10, (64, 64))
    return path


def moments(folder: Path) -> list[float]:
    """When the frames of a video were taken, in seconds."""
    return sorted(float(address.partition("#t=")[2]) for address in rows(folder))


@pytest.mark.parametrize(
    ("option", "taken"),
    [("", [0, 1, 2, 3]), ("?every=2", [0, 2]), ("?every=0.5", [0, 1, 2, 3]), ("?scene", [0, 1, 2, 3])],
)
def test_frames_are_taken_by_the_clock_and_none_like_the_one_before(
    option: str, taken: list[float], tmp_path: Path
) -> None:
    film = write_film(tmp_path / "film.avi", [1, 2, 3, 4])
    fetch(f"video:{film}{option}", into=tmp_path / "out", label="hat")
    assert moments(tmp_path / "out") == taken
    for row in rows(tmp_path / "out").values():
        shot = noise_jpeg(1 + int(float(row.address.partition("#t=")[2])))
        assert (int(row.likeness or "", 16) ^ likeness(Image.open(BytesIO(shot)))).bit_count() <= NEAR
        assert row.title == "film.avi"


def test_a_video_is_known_by_its_content_and_gives_the_same_bytes(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi", [1, 2, 3])
    fetch(f"video:{film}", into=tmp_path / "out", label="hat", limit=2)
    assert moments(tmp_path / "out") == [0, 1]
    fetch(f"video:{film}", into=tmp_path / "out", label="hat")
    first = rows(tmp_path / "out")
    renamed = film.rename(tmp_path / "12:30.avi")
    count = fetch(f"video:{renamed}", into=tmp_path / "out", label="hat").classes[0]
    assert (count.stored, count.already) == (0, 3)
    assert rows(tmp_path / "out") == first
    fetch(f"video:{renamed}", into=tmp_path / "two", label="hat")
    assert contents(tmp_path / "two") == contents(tmp_path / "out")
    write_film(renamed, [7, 8])
    assert fetch(f"video:{renamed}", into=tmp_path / "out", label="hat").classes[0].stored == 2


def test_a_video_on_the_web_ends_and_is_known_again(server: PictureServer, tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi", [1, 2, 3])
    source = "video:" + server.serve("/film.avi", in_pieces(film.read_bytes(), 10**9, kind="video/avi"))
    for stored in (3, 0):
        result = fetch(source, into=tmp_path / "out", label="hat", limit=9)
        assert result.faults == ()
        assert result.classes[0].stored == stored
    assert moments(tmp_path / "out") == [0, 1, 2]


def test_a_video_that_was_killed_goes_on(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.avi", list(range(12)))
    fetch_and_kill(f"video:{film}", tmp_path / "out", rows=3, label="hat")
    fetch(f"video:{film}", into=tmp_path / "out", label="hat")
    assert moments(tmp_path / "out") == list(range(12))
    assert len(contents(tmp_path / "out")) == 12


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_film(tmp_path / "http:30.avi", [1, 2])
    monkeypatch.chdir(tmp_path)
    assert fetch("video:http:30.avi", into=tmp_path / "out", label="hat").classes[0].stored == 2


def test_a_real_video_has_no_near_equal_neighbours(test_data: Path, tmp_path: Path) -> None:
    source = f"video:{test_data / 'video' / 'people-one-by-one.mp4'}?every=2"
    count = fetch(source, into=tmp_path / "out", label="street").classes[0]
    assert count.stored >= 5
    taken = sorted(rows(tmp_path / "out").values(), key=lambda row: float(row.address.partition("#t=")[2]))
    values = [int(row.likeness or "", 16) for row in taken]
    assert min((one ^ other).bit_count() for one, other in pairwise(values)) > NEAR
    again = fetch(source, into=tmp_path / "out", label="street").classes[0]
    assert (again.stored, again.already) == (0, count.stored + count.already)


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ("video:notes.mp4", {}, r"notes\.mp4 cannot be opened as a video; check that it is one"),
        ("video:empty.avi", {}, r"empty\.avi cannot be opened as a video"),
        ("video:gone.avi", {}, r"gone\.avi cannot be read \(No such file"),
        ("video:.", {}, r"cannot be read \(Is a directory\)"),
        ("video:film.avi", {"label": None}, "needs --label"),
        ("video:film.avi?every=0", {}, r"\?every must be more than 0"),
        ("video:film.avi?each=2", {}, r"film\.avi\?each=2 cannot be read"),
        ("video:rtsp://127.0.0.1:9/x", {}, "may never end; pass --limit"),
        ("video:rtsp://me:s3cret@127.0.0.1:9/x", {"limit": 1}, "rtsp://127.0.0.1:9/x cannot be opened .* the login"),
    ],
)
def test_what_is_no_video_is_one_sentence(
    source: str, options: dict[str, Any], sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.mp4").write_text("frames: none" * 99)
    (tmp_path / "empty.avi").write_bytes(b"")
    write_film(tmp_path / "film.avi", [1])
    with pytest.raises(FetchError, match=sentence):
        fetch(source, into=tmp_path / "out", **{"label": "hat", "base": tmp_path, **options})
    assert capfd.readouterr() == ("", "")


# Cameras


@pytest.fixture
def camera_here() -> None:
    if reason := cameras_missing():
        pytest.skip(reason)


@pytest.mark.usefixtures("camera_here")
def test_a_camera_gives_frames_up_to_the_limit_and_its_login_stays_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--label", "hat", "--limit", "3", "--into", str(tmp_path / "out"), "--json"]
    with Camera.running(login="inspector:s3cret") as camera:
        source = f"video:rtsp://inspector:s3cret@{camera.place}?every=0.1"
        assert call(["fetch", source, *options]) == 0
        assert len(contents(tmp_path / "out")) == 3
        assert call(["fetch", source, *options]) == 0  # full: it takes no more
        assert call(["fetch", source.replace("s3cret", "s3cret2"), *options]) == 1
        assert call(["fetch", "--report", "--into", str(tmp_path / "out")]) == 0
    assert all(address.startswith(f"video:rtsp://{camera.place}#t=2") for address in rows(tmp_path / "out"))
    said = "".join(capfd.readouterr())
    assert camera.place in said
    assert "s3cret" not in said + (tmp_path / "out" / "ledger.sqlite").read_bytes().decode("latin-1")


@pytest.mark.usefixtures("camera_here")
def test_a_camera_where_nothing_happens_ends_at_the_limit_too(tmp_path: Path) -> None:
    with Camera.running("smpte") as camera:
        count = fetch(f"video:rtsp://{camera.place}?scene", into=tmp_path / "out", label="hat", limit=1).classes[0]
    assert count.stored == 1


@pytest.mark.usefixtures("camera_here")
@pytest.mark.parametrize("trouble", [Camera.stop, Camera.freeze])
def test_a_camera_that_breaks_off_leaves_what_it_gave(
    trouble: Callable[[Camera], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milliner.sources.frames._READ_MS", 1000)
    with Camera.running() as camera:
        taken = 0

        @contextmanager
        def progress(_task: str, _total: int | None) -> Iterator[Advance]:
            def advance(count: int = 1, note: str = "") -> None:
                nonlocal taken
                taken += count
                if taken == 2:
                    trouble(camera)

            yield advance

        source = f"video:rtsp://{camera.place}?every=0.1"
        result = fetch(source, into=tmp_path / "out", label="hat", limit=10_000, progress=progress)
    assert len(contents(tmp_path / "out")) >= 2
    assert len(result.faults) == 1
    assert re.fullmatch(
        rf"rtsp://{camera.place} broke off after \d+ frames; check it, then fetch again\.", result.faults[0]
    )


def test_an_address_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("milliner.sources.frames._OPEN_MS", 1000)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        source = f"video:rtsp://127.0.0.1:{mute.getsockname()[1]}/site"
        with pytest.raises(FetchError, match="cannot be opened as a video; check the address and the login"):
            fetch(source, into=tmp_path / "out", label="hat", limit=1)


# Lists


def write_table(path: Path, table: list[dict[str, Any]]) -> None:
    """A list in the format that its name asks for."""
    if path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(table), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(line) for line in table), encoding="utf-8-sig")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(table[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(table)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_list_has_labels_hashes_and_licences(suffix: str, server: PictureServer, tmp_path: Path) -> None:
    licences = ["CC BY 2.0", "https://creativecommons.org/publicdomain/zero/1.0/", "CC BY-NC 4.0", None, "CC BY 4.0"]
    table = [
        {
            "URL": server.serve(f"/{i}.jpg", picture(noise_jpeg(i))),
            "label": ["hat", "cap"][i % 2],
            "sha256": hashlib.sha256(noise_jpeg(i if i < 4 else 99)).hexdigest().upper() if i else None,
            "License": licence,
            "creator": f'Zoë, "{i}"',
            "number": i,
        }
        for i, licence in enumerate(licences)
    ]
    write_table(tmp_path / f"list.{suffix}", table)
    fetch(f"urls:{tmp_path}/list.{suffix}", into=tmp_path / "out", licenses=["by", "cc0"])
    told = {
        address.rpartition("/")[2]: (row.label, row.reason, row.licence, row.licence_version, row.creator)
        for address, row in rows(tmp_path / "out").items()
    }
    assert told == {
        "0.jpg": ("hat", None, "by", "2.0", 'Zoë, "0"'),
        "1.jpg": ("cap", None, "cc0", "1.0", 'Zoë, "1"'),
        "2.jpg": ("hat", "licence", "by-nc", "4.0", 'Zoë, "2"'),
        "3.jpg": ("cap", "licence", None, None, 'Zoë, "3"'),
        "4.jpg": ("hat", "wrong sha256", "by", "4.0", 'Zoë, "4"'),
    }
    assert set(server.requests) == {"/0.jpg", "/1.jpg", "/4.jpg"}


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"address": ["http://x/"]}, "has no column url; its columns are address"),
        ({"url": ["http://x/", None], "label": ["hat", "hat"]}, r"Row 2 of .* has no url"),
        ({"url": ["http://x/"], "label": [b"h\xe9"]}, "is not a Parquet file that can be read"),
        ({"url": ["http://x/"], "label": ["hat"], "sha256": [17]}, "Row 1 of .* sha256 that is not 64 hex"),
        ({"url": [], "label": []}, "names no address"),
    ],
)
def test_an_unusable_parquet_list_is_told(columns: dict[str, list[Any]], sentence: str, tmp_path: Path) -> None:
    made = {name: pyarrow.array(values) for name, values in columns.items()}
    broken = {name: array.view(pyarrow.string()) for name, array in made.items() if array.type == pyarrow.binary()}
    parquet.write_table(pyarrow.table(made | broken), tmp_path / "list.parquet")
    with pytest.raises(FetchError, match=sentence):
        fetch(f"urls:{tmp_path}/list.parquet", into=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_long_list_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "list.csv").open("w") as file:
        file.write("url,label\n")
        file.writelines(f"https://nowhere.invalid/{'x' * 200}/{i}.jpg,hat\n" for i in range(100_000))
    fill_class_folders(tmp_path / "out", hat=1)
    told = fetch_apart(f"urls:{tmp_path}/list.csv", tmp_path / "out", limit=1)  # full: read, and nothing asked
    assert (told.stored, told.sentence) == (0, "")
    assert told.grown < 8


def long_tar(count: int = 12) -> bytes:
    """A tar of so many pictures, with a note about them between each two."""
    files = {f"hat/{n:02}.jpg": noise_jpeg(n) for n in range(count)}
    notes = {f"hat/{n:02}.txt": b"a hat" * n for n in range(count)}
    return tar_of(dict(sorted((files | notes).items())))


def asked_from(server: PictureServer, path: str) -> list[str | None]:
    """Where each request for a path wanted to begin."""
    return [headers["Range"] for headers in server.headers[path]]


def test_a_tar_is_gone_on_with_where_the_last_fetch_stopped(server: PictureServer, tmp_path: Path) -> None:
    content = long_tar()
    source = server.serve("/long.tar", in_pieces(content, 10**9))
    first = fetch(source, into=tmp_path / "out", label="hat", limit=5).classes[0]
    second = fetch(source, into=tmp_path / "out", label="hat").classes[0]
    assert (first.stored, second.stored, second.already) == (5, 7, 5)
    begin, again = asked_from(server, "/long.tar")
    assert begin is None
    at = int(str(again).removeprefix("bytes=").removesuffix("-"))
    picture_5 = content.index(noise_jpeg(5))
    assert content.index(noise_jpeg(4)) + len(noise_jpeg(4)) <= at < picture_5
    third = fetch(source, into=tmp_path / "out", label="hat").classes[0]
    assert (third.stored, third.already) == (0, 12)
    last = int(str(asked_from(server, "/long.tar")[-1]).removeprefix("bytes=").removesuffix("-"))
    assert last > content.index(noise_jpeg(11))
    assert contents(tmp_path / "out") == sorted(noise_jpeg(n) for n in range(12))


@pytest.mark.parametrize("why", ["no ranges", "a file is gone", "another tar", "another class"])
def test_a_tar_is_begun_anew_where_it_cannot_be_gone_on_with(server: PictureServer, tmp_path: Path, why: str) -> None:
    content, other = long_tar(), tar_of({f"hat/{n}.jpg": noise_jpeg(n, side=80) for n in range(30, 36)})
    source = server.serve("/long.tar", in_pieces(content, 10**9, ranges=why != "no ranges"))
    fetch(source, into=tmp_path / "out", label="hat", limit=5)
    if why == "a file is gone":
        next((tmp_path / "out" / "hat").iterdir()).unlink()
    if why == "another tar":
        server.serve("/long.tar", in_pieces(other[:-1024] + END, 10**9))
    label = "cap" if why == "another class" else "hat"
    result = fetch(source, into=tmp_path / "out", label=label).classes[0]
    if why == "another tar":
        assert result.stored == 6
    else:
        pictures = {path.read_bytes() for path in (tmp_path / "out" / label).iterdir()}
        assert pictures == {noise_jpeg(n) for n in range(12)}
        assert result.stored + result.already == 12


def test_a_packed_tar_is_read_from_its_beginning(server: PictureServer, tmp_path: Path) -> None:
    source = server.serve("/long.tar.gz", in_pieces(gzip.compress(long_tar()), 10**9))
    fetch(source, into=tmp_path / "out", label="hat", limit=5)
    assert fetch(source, into=tmp_path / "out", label="hat").classes[0].stored == 7
    assert asked_from(server, "/long.tar.gz") == [None, None]


def test_a_tar_of_two_classes_is_gone_on_with_for_each(server: PictureServer, tmp_path: Path) -> None:
    source = server.serve("/long.tar", in_pieces(long_tar(), 10**9))
    for label in ("hat", "cap"):
        fetch(source, into=tmp_path / "out", label=label, limit=5)
    assert asked_from(server, "/long.tar") == [None, None]
    for label in ("hat", "cap"):
        count = fetch(source, into=tmp_path / "out", label=label).classes[0]
        assert (count.stored, count.already) == (7, 5)
    assert all(asked_from(server, "/long.tar")[2:])


def test_a_trickle_is_given_up(server: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "_MINUTE", 0.1)
    pause = Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        while not pause.wait(0.02):
            handler.wfile.write(b"\0")
            handler.wfile.flush()

    with pytest.raises(FetchError, match="too slow"):
        fetch(server.serve("/slow.tar", trickle), into=tmp_path / "out", label="hat")
    pause.set()
