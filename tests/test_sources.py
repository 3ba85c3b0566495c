"""What holds for every source plug-in, and what each one has of its own."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import noise_jpeg
from hypothesis import example, given
from hypothesis import strategies as st
from picture_server import PictureServer, picture

from milliner.core.errors import FetchError
from milliner.core.plugins import find_plugins
from milliner.images.folder import list_entries
from milliner.images.ledger import FetchRow, Ledger
from milliner.sources.fetch import fetch as fetch_politely
from milliner.sources.label import checked_label
from milliner.sources.web.manners import Manners

PLUGINS = find_plugins("milliner.sources", "SOURCE")
fetch: Any = partial(fetch_politely, manners=Manners(allow_private=True, pause=0.01))


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.fixture
def sources(server: PictureServer, class_folders: Callable[..., Path], tmp_path: Path) -> dict[str, str]:
    """A small source of every kind, of two classes each."""
    addresses = [server.serve(f"/{i}.jpg", picture(noise_jpeg(i))) for i in range(4)]
    text = "".join(f"{address},{label}\n" for address, label in zip(addresses, "aabb", strict=True))
    (tmp_path / "list.csv").write_text("url,label\n" + text)
    return {
        "folder": f"folder:{class_folders(red=3, blue=2)}",
        "scenes": "scenes:2",
        "urls": f"urls:{tmp_path / 'list.csv'}",
    }


def rows(folder: Path) -> list[FetchRow]:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return list(ledger.fetched())


def test_the_folder_scan_finds_the_plugins() -> None:
    assert list(PLUGINS) == [
        *("commons", "files", "folder", "imagenet", "openimages", "openverse", "scenes", "urls", "video")
    ]


def test_many_sources_fill_one_folder(sources: dict[str, str], tmp_path: Path) -> None:
    result = fetch(list(sources.values()), into=tmp_path / "out")
    assert [(count.source, count.label, count.stored) for count in result.classes] == [
        (sources["folder"], "blue", 2),
        (sources["folder"], "red", 3),
        ("scenes:2", "helmet", 2),
        ("scenes:2", "nohelmet", 2),
        (sources["urls"], "a", 2),
        (sources["urls"], "b", 2),
    ]


@pytest.mark.parametrize("spec", ["photos.csv", "folder:", ":x", "", "ftp:x"])
def test_an_unknown_source_is_told_the_kinds_there_are(tmp_path: Path, spec: str) -> None:
    with pytest.raises(
        FetchError, match=r"is no source; give one of: commons:Category:NAME .*, folder:PATH .*, scenes:N .*, urls:FILE"
    ):
        fetch(spec, into=tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sources": []}, "There is no source"),
        ({"limit": 0}, "limit must be 1 or more"),
        ({"label": "../up"}, "--label has the label '../up'"),
        ({"sources": "scenes:0"}, "must name 1 to"),
        ({"sources": "scenes:many"}, "must name 1 to"),
        ({"sources": "scenes:1" + "0" * 5000}, "must name 1 to"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(FetchError, match=sentence):
        fetch(**{"sources": "scenes:1", "into": tmp_path / "out", **options})
    assert not (tmp_path / "out").exists()


@given(st.text(max_size=30) | st.text(alphabet="./\\:a \x00\n\u202e\ud800", max_size=6))
@example("..")
@example("a/b")
@example("x" * 201)
@example("con\u0301e")
def test_a_label_that_passes_is_a_plain_visible_folder_name(text: str) -> None:
    try:
        label = checked_label(text, "The list")
    except FetchError:
        assert not text.isalnum() or len(text.encode()) > 200
        return
    place = Path("/pictures", label)
    assert (place.parent, place.name) == (Path("/pictures"), label)
    assert os.path.normpath(place) == str(place)
    assert not label.startswith(".")
    assert label.isprintable()
    assert 0 < len(label.encode()) <= 200


def test_a_flat_folder_needs_a_label(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    flat = class_folders(red=3) / "red"
    with pytest.raises(FetchError, match="no class folders; pass --label"):
        fetch(f"folder:{flat}", into=tmp_path / "out")
    result = fetch(f"folder:{flat}", into=tmp_path / "out", label="hat")
    assert [(count.label, count.stored) for count in result.classes] == [("hat", 3)]


def test_bad_files_are_rows_and_loops_end(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    folder = class_folders(red=2)
    (folder / "red" / "notes.txt").write_text("not a picture")
    (folder / "red" / "cut.jpg").write_bytes(noise_jpeg(50)[:900])
    (folder / "red" / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "red" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "red" / "pipe.jpg")
    count = fetch(f"folder:{folder}", into=tmp_path / "out").classes[0]
    assert (count.label, count.stored) == ("red", 2)
    assert count.rejected == {"not a picture": 1, "truncated": 1}
    assert count.failed == {"unreadable": 1}


def test_a_file_that_was_mended_is_looked_at_again(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    folder = class_folders(red=1)
    broken = folder / "red" / "broken.jpg"
    broken.write_bytes(noise_jpeg(50)[:900])
    assert fetch(f"folder:{folder}", into=tmp_path / "out").classes[0].stored == 1
    broken.write_bytes(noise_jpeg(50))
    assert fetch(f"folder:{folder}", into=tmp_path / "out").classes[0].stored == 1


def test_a_folder_is_not_filled_from_itself(class_folders: Callable[..., Path]) -> None:
    folder = class_folders(red=1)
    for into in (folder, folder / "more"):
        with pytest.raises(FetchError, match="give another --into"):
            fetch(f"folder:{folder}", into=into)
    assert [entry.key for entry in list_entries(folder)] == ["red/000.jpg"]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("")])
def test_a_folder_without_pictures_is_an_error(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "empty")
    with pytest.raises(FetchError, match=r"empty .*folder"):
        fetch(f"folder:{tmp_path / 'empty'}", into=tmp_path / "out")


def test_names_that_are_not_utf8_are_fetched(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/s\xe9rie"))
    (folder / "red").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/red/\xff.jpg")).write_bytes(noise_jpeg(1))
    assert fetch(f"folder:{folder}", into=tmp_path / "out").classes[0].stored == 1
    (row,) = rows(tmp_path / "out")
    assert row.address.endswith("/s%E9rie/red/%FF.jpg")


def test_scenes_have_their_boxes_beside_them(tmp_path: Path) -> None:
    fetch("scenes:2", into=tmp_path / "out")
    pictures = {Path(entry.key).stem: entry for entry in list_entries(tmp_path / "out")}
    boxes = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out" / ".boxes").iterdir()}
    assert set(boxes) == set(pictures)
    for name, entry in pictures.items():
        assert boxes[name]["label"] == entry.label
        assert len(boxes[name]["boxes"]) >= 1
        for box in boxes[name]["boxes"]:
            assert box["label"] == ("helmet" if entry.label == "helmet" else "head")
            assert 0 <= box["left"] < box["right"] <= 320


def test_more_scenes_add_to_those_there_are_and_a_seed_draws_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch("scenes:1", into=tmp_path / "a")
    first = {entry.key for entry in list_entries(tmp_path / "a")}
    more = fetch("scenes:2", into=tmp_path / "a")
    assert [(count.stored, count.already) for count in more.classes] == [(1, 1), (1, 1)]
    fetch("scenes:1", into=tmp_path / "b", seed=1)
    assert not first & {entry.key for entry in list_entries(tmp_path / "b")}
    assert {row.address for row in rows(tmp_path / "b")} == {
        "scenes:helmet/0?seed=1",
        "scenes:nohelmet/0?seed=1",
    }

    def draw_nothing(*_: object) -> None:
        raise AssertionError("drawn again")

    monkeypatch.setattr("milliner.sources.scenes.draw_scene", draw_nothing)
    fetch("scenes:2", into=tmp_path / "a")
