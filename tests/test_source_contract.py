"""What holds for every source plug-in, and for every one that asks an interface on the web."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import imitations
import pytest
from conftest import fill_class_folders, noise_jpeg
from picture_server import PictureServer, picture

from milliner.core.plugins import find_plugins
from milliner.images.folder import list_entries
from milliner.images.inspect import inspect
from milliner.images.ledger import FetchRow, Ledger
from milliner.sources.fetch import fetch as fetch_politely
from milliner.sources.web.manners import Manners

LOCAL: Final = Manners(pause=0.01, attempts=2)
fetch: Any = partial(fetch_politely, manners=LOCAL)


@dataclass(frozen=True)
class Case:
    """A small source of one kind."""

    spec: str
    counts: dict[str, int]
    """How many pictures of each class it has."""
    options: dict[str, Any] = field(default_factory=dict)
    """What `fetch` must be told besides."""
    pictures: frozenset[str] = frozenset()
    """The paths at which the server is asked for them one by one; none where they come otherwise."""
    origin: Mapping[str, str | None] = field(default_factory=dict)
    """What the ledger must say of the one whose address sorts first."""

    def fetch(self, into: Path, **options: Any) -> Any:
        return fetch(self.spec, into=into, **self.options, **options)


Make = Callable[[PictureServer, Path], Case]


def serve(server: PictureServer, *paths: str) -> frozenset[str]:
    for number, path in enumerate(paths):
        server.serve(path, picture(noise_jpeg(number)))
    return frozenset(paths)


def folder_case(server: PictureServer, place: Path) -> Case:
    return Case(f"folder:{fill_class_folders(place / 'pictures', red=4, blue=3)}", {"blue": 3, "red": 4})


def scenes_case(server: PictureServer, place: Path) -> Case:
    return Case("scenes:3", {"helmet": 3, "nohelmet": 3})


def urls_case(server: PictureServer, place: Path) -> Case:
    paths = [f"/{number}.jpg" for number in range(7)]
    origin = {"licence": "by-sa", "licence_version": "4.0", "creator": "Ann", "title": "A hat", "page": "http://x/"}
    lines = [f"http://h/{n}.jpg,{'ab'[n > 3]},CC BY-SA 4.0,Ann,A hat,http://x/" for n in range(7)]
    (place / "list.csv").write_text("\n".join(["url,label,license,creator,title,page", *lines]))
    options = {"endpoint": server.url}
    return Case(f"urls:{place / 'list.csv'}", {"a": 4, "b": 3}, options, serve(server, *paths), origin)


def openverse_case(server: PictureServer, place: Path) -> Case:
    api = imitations.Openverse(server, 23)
    origin = {
        "licence": "by",
        "licence_version": "2.0",
        "licence_url": "https://creativecommons.org/licenses/by/2.0/",
        "creator": "Ann <hats> O'Neil",
        "attribution": '"Hard hat & boots 0" by Ann is licensed under CC BY 2.0.',
        "title": "Hard hat & boots 0",
        "page": "https://www.flickr.com/photos/1/0",
        "provider": "flickr",
    }
    paths = serve(server, *(api.path(number) for number in range(23)))
    return Case("openverse:hard hat", {"hat": 23}, {"label": "hat", "endpoint": server.url}, paths, origin)


def commons_case(server: PictureServer, place: Path) -> Case:
    api = imitations.Commons(server, 5)
    origin = {
        "licence": "by-sa",
        "licence_version": "4.0",
        "licence_url": "https://creativecommons.org/licenses/by-sa/4.0",
        "creator": "Ann & Bob of the union",
        "attribution": "Ann & Bob of the union, CC BY-SA 4.0",
        "title": "Hard hat 0",
        "page": "https://commons.wikimedia.org/wiki/File:Hard_hat_0.jpg",
        "provider": "Wikimedia Commons",
    }
    paths = serve(server, *(api.path(number) for number in range(5)))
    return Case("commons:Category:Hard hats", {"hat": 5}, {"label": "hat", "endpoint": server.url}, paths, origin)


def openimages_case(server: PictureServer, place: Path) -> Case:
    imitations.OpenImages(server, validation=2, test=1, train=2)
    paths = [imitations.OpenImages.path("validation", number) for number in (0, 1)]
    paths += [imitations.OpenImages.path(split, number) for split, number in (("test", 0), ("train", 0), ("train", 1))]
    origin = {
        "licence": "by",
        "licence_version": "2.0",
        "licence_url": "https://creativecommons.org/licenses/by/2.0/",
        "creator": "Ann, Jr.",
        "title": 'The "0001000000000000" hat',
        "page": "https://www.flickr.com/photos/ann/0001000000000000",
        "provider": "Open Images",
    }
    return Case("openimages:helmet", {"Helmet": 5}, {"endpoint": server.url}, serve(server, *paths), origin)


def imagenet_case(server: PictureServer, place: Path) -> Case:
    synsets = {
        "n03492922": [noise_jpeg(number) for number in range(4)],
        "n03127747": [noise_jpeg(number) for number in range(4, 7)],
    }
    imitations.ImageNet(server, synsets)
    origin = {"licence": None, "page": "https://image-net.org/synset?wnid=n03127747", "provider": "ImageNet"}
    counts = {"crash helmet": 3, "hard hat": 4}
    return Case("imagenet:n03127747,n03492922", counts, {"endpoint": server.url}, origin=origin)


CASES: Final[dict[str, Make]] = {
    "commons": commons_case,
    "folder": folder_case,
    "imagenet": imagenet_case,
    "openimages": openimages_case,
    "openverse": openverse_case,
    "scenes": scenes_case,
    "urls": urls_case,
}
"""A case for every kind of source."""

ELSEWHERE: Final = {"files", "video"}
"""Kinds whose tests have a file of their own."""


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, server: PictureServer, tmp_path: Path) -> Case:
    make: Make = CASES[request.param]
    return make(server, tmp_path)


def rows(folder: Path) -> list[FetchRow]:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return list(ledger.fetched())


def asked_for(server: PictureServer, case: Case) -> dict[str, int]:
    return {path: count for path, count in server.requests.items() if path in case.pictures}


def test_every_plugin_has_a_case() -> None:
    assert set(CASES) | ELSEWHERE == set(find_plugins("milliner.sources", "SOURCE"))


def test_rows_match_files_and_names_match_contents(case: Case, server: PictureServer, tmp_path: Path) -> None:
    result = case.fetch(tmp_path / "out")
    stored = rows(tmp_path / "out")
    assert {count.label: count.stored for count in result.classes} == case.counts
    assert result.faults == ()
    assert {row.source for row in stored} == {case.spec}
    assert {row.file for row in stored} == {entry.key for entry in list_entries(tmp_path / "out")}
    assert len(stored) == sum(case.counts.values())
    for row in stored:
        content = (tmp_path / "out" / str(row.file)).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert (row.status, row.sha256, row.bytes) == ("stored", digest, len(content))
        assert row.file == f"{row.label}/{digest[:16]}.jpg"
        assert inspect(content).reason is None
    assert sum(count.bytes for count in result.classes) == sum(row.bytes or 0 for row in stored)
    assert asked_for(server, case) == dict.fromkeys(case.pictures, 1)


def test_a_second_run_stores_nothing_changes_nothing_and_asks_for_no_picture(
    case: Case, server: PictureServer, tmp_path: Path
) -> None:
    case.fetch(tmp_path / "out")
    files = {entry.path: entry.path.stat().st_mtime_ns for entry in list_entries(tmp_path / "out")}
    stored = rows(tmp_path / "out")
    again = case.fetch(tmp_path / "out")
    assert {count.label: (count.stored, count.already) for count in again.classes} == {
        label: (0, count) for label, count in case.counts.items()
    }
    assert {entry.path: entry.path.stat().st_mtime_ns for entry in list_entries(tmp_path / "out")} == files
    assert rows(tmp_path / "out") == stored
    assert asked_for(server, case) == dict.fromkeys(case.pictures, 1)


def test_a_limit_holds_and_ends_the_asking(case: Case, server: PictureServer, tmp_path: Path) -> None:
    result = case.fetch(tmp_path / "out", limit=2)
    assert {count.label: (count.wanted, count.stored) for count in result.classes} == dict.fromkeys(case.counts, (2, 2))
    assert sum(asked_for(server, case).values()) == (2 * len(case.counts) if case.pictures else 0)
    more = case.fetch(tmp_path / "out", limit=3)
    assert {count.label: (count.stored, count.already) for count in more.classes} == dict.fromkeys(case.counts, (1, 2))
    assert set(asked_for(server, case).values()) <= {1}


def test_the_ledger_says_whose_a_picture_is(case: Case, tmp_path: Path) -> None:
    case.fetch(tmp_path / "out")
    first = rows(tmp_path / "out")[0]
    assert {name: getattr(first, name) for name in case.origin} == case.origin


_FETCH_AND_DIE: Final = """
import os, signal, sys
from milliner.images.ledger import Ledger
from milliner.sources.fetch import fetch
from milliner.sources.web.manners import Manners

keep, kept = Ledger.add, []

def keep_two(self, row):
    keep(self, row)
    kept.append(row)
    if len(kept) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

Ledger.add = keep_two
spec, into, endpoint, label = sys.argv[1:]
fetch(spec, into=into, endpoint=endpoint, label=label or None, manners=Manners(connections=3))
"""


def test_a_killed_fetch_is_finished_by_the_same_command(case: Case, server: PictureServer, tmp_path: Path) -> None:
    label, endpoint = case.options.get("label", ""), case.options.get("endpoint", server.url)
    command = [sys.executable, "-c", _FETCH_AND_DIE, case.spec, str(tmp_path / "out"), endpoint, label]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    killed = rows(tmp_path / "out")
    assert [row.status for row in killed] == ["stored"] * 2
    files = {entry.key: entry.path.stat().st_mtime_ns for entry in list_entries(tmp_path / "out")}
    before = asked_for(server, case)
    result = case.fetch(tmp_path / "out")
    assert {count.label: count.stored + count.already for count in result.classes} == case.counts
    after = {entry.key: entry.path.stat().st_mtime_ns for entry in list_entries(tmp_path / "out")}
    assert {key: after[key] for key in files} == files
    assert len(after) == sum(case.counts.values())
    assert [row for row in rows(tmp_path / "out") if row in killed] == killed
    assert set(asked_for(server, case)) == case.pictures
    fetched_twice = {path for path, count in asked_for(server, case).items() if count > 1}
    assert fetched_twice <= set(before)
    assert len(before) - len(fetched_twice) >= (2 if case.pictures else 0)
    assert not list((tmp_path / "out").rglob("*.part"))
