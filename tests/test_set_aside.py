"""Setting aside and putting back: what moves and what stays, through kills and collisions; nothing is ever lost."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from photos import COPIES, drawn, jpeg

from milliner.core.errors import DatasetError
from milliner.curation.check import check
from milliner.images.aside import FOLDER, asides, put_back, set_aside
from milliner.images.folder import FolderDataset, list_entries
from milliner.sources.fetch import fetch

Folders = Callable[..., Path]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but the ledger's and the list of what is set aside."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("ledger.sqlite"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.name != "reasons.json"}


def contents(folder: Path) -> Counter[bytes]:
    return Counter(tree(folder).values())


@pytest.fixture
def spoilt(class_folders: Folders) -> Path:
    """A folder with something wrong of several kinds."""
    folder = class_folders(red=6, green=6)
    (folder / "red" / "cut.jpg").write_bytes((folder / "red" / "000.jpg").read_bytes()[:700])
    (folder / "red" / "copy.jpg").write_bytes((folder / "red" / "001.jpg").read_bytes())
    (folder / "green" / "both.jpg").write_bytes((folder / "red" / "002.jpg").read_bytes())
    (folder / "green" / "large.jpg").write_bytes(jpeg(drawn(1, 480, 360)))
    (folder / "green" / "small.jpg").write_bytes(COPIES["half the size"](drawn(1, 480, 360), None))  # type: ignore[arg-type]
    (folder / "red" / "tab\t.jpg").write_bytes((folder / "red" / "003.jpg").read_bytes())
    return folder


def test_what_training_leaves_out_moves_and_comes_back(spoilt: Path) -> None:
    before = tree(spoilt)
    facts = {path: path.stat().st_mtime_ns for path in spoilt.glob("*/*.jpg")}
    result = check(spoilt, quick=True, fix=True)
    moved = {each.file: each.now for each in result.moved}
    assert moved == {
        "red/cut.jpg": f"{FOLDER}/unreadable/red/cut.jpg",
        "red/copy.jpg": f"{FOLDER}/duplicate/red/copy.jpg",
        "green/both.jpg": f"{FOLDER}/two-labels/green/both.jpg",
        "red/002.jpg": f"{FOLDER}/two-labels/red/002.jpg",
        "red/tab\t.jpg": f"{FOLDER}/name/red/tab\t.jpg",
    }
    assert tree(spoilt) == {moved.get(file, file): content for file, content in before.items()}
    listed = json.loads((spoilt / FOLDER / "reasons.json").read_text())
    assert {each["file"]: each["now"] for each in listed["files"]} == moved
    reason = {each["file"]: each["reason"] for each in listed["files"]}
    assert (reason["red/cut.jpg"], reason["red/copy.jpg"]) == ("truncated", "same bytes as red/001.jpg")
    after = check(spoilt, quick=True)
    assert (after.set_aside, after.looked_at) == ((), 0)
    assert check(spoilt, quick=True, fix=True).moved == ()
    undone = check(spoilt, quick=True, undo=True)
    assert {each.file for each in undone.put_back} == set(moved)
    assert (tree(spoilt), undone.stuck) == (before, ())
    assert {path: path.stat().st_mtime_ns for path in spoilt.glob("*/*.jpg")} == facts
    assert not (spoilt / FOLDER).exists()
    assert len(undone.set_aside) == 5


def test_what_is_set_aside_is_no_class_and_a_class_of_that_name_is(spoilt: Path, tmp_path: Path) -> None:
    check(spoilt, quick=True, fix=True)
    assert {entry.label for entry in list_entries(spoilt)} == {"red", "green"}
    assert FolderDataset(spoilt).labels == ("green", "red")
    own = tmp_path / "own"
    for label in (FOLDER, "worn"):
        shutil.copytree(spoilt / "red", own / label)
    assert FolderDataset(own).labels == (FOLDER, "worn")


def test_of_near_duplicates_the_one_with_most_pixels_stays(spoilt: Path) -> None:
    (spoilt / "green" / "half again.jpg").write_bytes(COPIES["mirrored"](drawn(1, 360, 270), None))  # type: ignore[arg-type]
    result = check(spoilt, quick=True, fix=["near-duplicate"])
    assert {each.file for each in result.moved} == {"green/small.jpg", "green/half again.jpg"}
    assert (spoilt / "green" / "large.jpg").exists()
    assert (spoilt / "red" / "cut.jpg").exists()


def test_a_file_that_has_taken_the_place_stays_and_the_one_aside_too(spoilt: Path) -> None:
    check(spoilt, quick=True, fix=True)
    (spoilt / "red" / "cut.jpg").write_bytes(b"another")
    result = check(spoilt, quick=True, undo=True)
    assert [each.file for each in result.stuck] == ["red/cut.jpg"]
    assert (spoilt / "red" / "cut.jpg").read_bytes() == b"another"
    assert (spoilt / FOLDER / "unreadable" / "red" / "cut.jpg").exists()
    (spoilt / "red" / "cut.jpg").unlink()
    assert [each.file for each in put_back(spoilt)[0]] == ["red/cut.jpg"]
    assert not (spoilt / FOLDER).exists()


def test_the_second_file_of_a_name_is_set_aside_beside_the_first(spoilt: Path) -> None:
    check(spoilt, quick=True, fix=True)
    (spoilt / "red" / "cut.jpg").write_bytes(b"another")
    (moved,) = check(spoilt, quick=True, fix=True).moved
    assert moved.now == f"{FOLDER}/unreadable/red/cut-2.jpg"
    assert (spoilt / moved.now).read_bytes() == b"another"
    back, stuck = put_back(spoilt)
    assert len(back) + len(stuck) == 6
    assert [each.now for each in stuck] == [moved.now]


MOVER = """
    import os, sys
    from pathlib import Path
    from milliner.images import aside

    root, calls = Path(sys.argv[1]), int(sys.argv[3])

    def counted(function):
        def call(*arguments, **options):
            global calls
            calls -= 1
            if calls < 0:
                os._exit(9)
            return function(*arguments, **options)
        return call

    os.link, os.mkdir, os.replace, os.unlink = map(counted, (os.link, os.mkdir, os.replace, os.unlink))
    if sys.argv[2] == "aside":
        aside.set_aside(root, [(f"red/{number:03}.jpg", "blurred", "") for number in range(3)])
    else:
        aside.put_back(root)
"""


@pytest.mark.parametrize("direction", ["aside", "back"])
def test_a_kill_at_any_moment_loses_nothing_and_can_be_gone_on_with(class_folders: Folders, direction: str) -> None:
    folder = class_folders(red=4, green=1)
    before = tree(folder)
    wanted = [(f"red/{number:03}.jpg", "blurred", "") for number in range(3)]
    for calls in range(60):
        if direction == "back":
            set_aside(folder, wanted)
        command = [sys.executable, "-c", textwrap.dedent(MOVER), str(folder), direction, str(calls)]
        code = subprocess.run(command, check=False).returncode
        files = Counter({content: count for content, count in contents(folder).items() if content in before.values()})
        assert set(files) == set(before.values())  # a file may be in both places, never in none
        if direction == "aside":
            set_aside(folder, wanted)
            aside = {file for file in tree(folder) if file.startswith(FOLDER)}
            assert aside == {f"{FOLDER}/blurred/red/{number:03}.jpg" for number in range(3)}
        put_back(folder)
        assert tree(folder) == before
        assert not (folder / FOLDER).exists()
        if code == 0:
            break
    assert (code, calls > 5) == (0, True)


names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 100
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # files are made, on whatever disk there is
@given(files=st.lists(st.tuples(st.sampled_from(["red", "green"]), names), min_size=1, max_size=6, unique=True))
def test_any_names_come_back_to_where_they_were(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, str]]
) -> None:
    root = tmp_path_factory.mktemp("any")
    for number, (label, name) in enumerate(files):
        (root / label).mkdir(exist_ok=True)
        (root / label / name).write_bytes(bytes([number]))
    before = tree(root)
    moved = set_aside(root, [(f"{label}/{name}", "tiny", "why") for label, name in files])
    assert [each.file for each in moved] == [f"{label}/{name}" for label, name in files]
    assert asides(root) == moved
    assert {root / each.now for each in moved} == {
        path for path in (root / FOLDER / "tiny").rglob("*") if path.is_file()
    }
    assert put_back(root) == (moved, [])
    assert tree(root) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"files": [{"file": "a"}]}',
        b'{"files": [{"file": "../../a", "now": "b", "kind": "", "reason": ""}]}',
        b'{"files": [{"file": "a", "now": "/etc/passwd", "kind": "", "reason": ""}]}',
        b'{"files": [{"file": 3, "now": "b", "kind": "", "reason": ""}]}',
    ],
)
def test_a_list_that_is_none_or_leads_outside_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "reasons.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"reasons\.json is not a list of set-aside files .*; mend it"):
        put_back(tmp_path)


def test_undoing_where_nothing_was_done_is_no_error(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    assert put_back(folder) == ([], [])
    assert not (folder / FOLDER).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(spoilt: Path) -> None:
    spoilt.chmod(0o500)
    with pytest.raises(DatasetError, match="cannot be written"):
        check(spoilt, quick=True, fix=True)
    spoilt.chmod(0o700)


def test_what_was_set_aside_is_not_fetched_again(class_folders: Folders, tmp_path: Path) -> None:
    source, folder = class_folders(red=3, green=3), tmp_path / "fetched"
    fetch(f"folder:{source}", into=folder)
    file = sorted((folder / "red").iterdir())[0].relative_to(folder).as_posix()
    set_aside(folder, [(file, "mislabel", "it is green")])
    again = fetch(f"folder:{source}", into=folder)
    assert again.totals()["stored"] == 0
    assert not (folder / file).exists()
