"""Checking a labelled folder: what is set aside and why, what is looked at twice, and that nothing else changes."""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from milliner.core.errors import DatasetError, UnreadableImageError
from milliner.core.progress import Advance
from milliner.core.sample import Dataset
from milliner.curation.check import CheckResult, check
from milliner.images.check import FileCheck, check_entries
from milliner.images.folder import FolderDataset, list_entries, picture_files, read_bounded
from milliner.images.inspect import inspect
from milliner.shards.dataset import open_dataset

Folders = Callable[..., Path]


def png(width: int, height: int, seed: int | None = None) -> bytes:
    """Noise, or one flat grey where there is no seed."""
    shape = (height, width, 3)
    values = np.full(shape, 120) if seed is None else np.random.default_rng(seed).integers(0, 255, shape)
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def keys(dataset: Dataset) -> list[str]:
    return [dataset[index].key for index in range(len(dataset))]


def reasons(result: CheckResult | FileCheck) -> dict[str, str | None]:
    return {row.file: row.reason for row in result.set_aside}


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_good_pictures_are_kept_with_their_facts(class_folders: Folders) -> None:
    result = check(class_folders(red=3, green=2), quick=True)
    assert [row.file for row in result.rows] == [
        "green/000.jpg",
        "green/001.jpg",
        "red/000.jpg",
        "red/001.jpg",
        "red/002.jpg",
    ]
    assert result.set_aside == ()
    first = result.rows[0]
    assert (first.label, first.width, first.height, first.format) == ("green", 64, 64, "JPEG")
    assert json.loads(json.dumps(result.to_json())) == {
        "pictures": 5,
        "looked_at": 5,
        "kept": {"green": 2, "red": 3},
        "set_aside": [],
        "counts": {},
        "findings": [],
        "largest_group": 1,
        "leaks": [],
        "moved": [],
        "put_back": [],
        "stuck": [],
    }


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("tiny.png", png(15, 40, seed=1), "tiny"),
        ("tiny.png", png(40, 15, seed=1), "tiny"),
        ("blank.png", png(64, 64), "blank"),
        ("empty.jpg", b"", "empty"),
        ("page.jpg", b"<!doctype html><p>Not found", "not a picture"),
        ("notes.txt", b"to do: find helmets", "not a picture"),
        ("half.png", png(64, 64, seed=1)[:6000], "truncated"),
    ],
)
def test_what_would_spoil_training_is_set_aside(class_folders: Folders, name: str, content: bytes, reason: str) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / name).write_bytes(content)
    result = check(folder)
    assert reasons(result) == {f"red/{name}": reason}
    assert len(result.kept) == 4
    assert result.to_json()["set_aside"] == [{"file": f"red/{name}", "reason": reason}]


def test_a_picture_just_large_enough_and_hardly_varied_is_kept() -> None:
    assert inspect(png(16, 16, seed=1)).reason is None
    nearly_blank = Image.fromarray(np.tile(np.array([118, 124], np.uint8), (32, 16)))
    buffer = io.BytesIO()
    nearly_blank.save(buffer, "PNG")
    assert inspect(buffer.getvalue()).reason is None


def test_a_picture_that_does_not_decode_keeps_the_facts_of_its_header() -> None:
    seen = inspect(png(64, 48, seed=1)[:4000])
    assert (seen.width, seen.height, seen.format, seen.reason) == (64, 48, "PNG", "truncated")


def test_of_equal_pictures_in_one_class_the_first_stays(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    for name in ("zz.jpg", "000 copy.jpg"):
        shutil.copy(folder / "red" / "001.jpg", folder / "red" / name)
    assert reasons(check(folder)) == {"red/001.jpg": "equals red/000 copy.jpg", "red/zz.jpg": "equals red/000 copy.jpg"}


def test_of_equal_pictures_in_two_classes_none_stays(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    shutil.copy(folder / "red" / "001.jpg", folder / "green" / "copy.jpg")
    shutil.copy(folder / "red" / "001.jpg", folder / "red" / "copy.jpg")
    assert reasons(check(folder)) == {
        "green/copy.jpg": "equals red/001.jpg of another class",
        "red/001.jpg": "equals green/copy.jpg of another class",
        "red/copy.jpg": "equals green/copy.jpg of another class",
    }


@pytest.mark.parametrize("label", ["red", "green"])
def test_a_removed_twin_frees_the_other(class_folders: Folders, label: str) -> None:
    folder = class_folders(red=2, green=2)
    copy = folder / label / "copy.jpg"
    shutil.copy(folder / "red" / "001.jpg", copy)
    assert check(folder).set_aside
    copy.unlink()
    again = check(folder)
    assert again.set_aside == ()
    assert again.looked_at == 0
    assert len(FolderDataset(folder)) == 4


def test_a_set_aside_copy_does_not_take_the_good_file_with_it(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    shutil.copy(folder / "red" / "001.jpg", folder / "green" / "line\nbreak.jpg")
    assert reasons(check(folder)) == {"green/line\nbreak.jpg": "name holds a tab or line break"}


@pytest.mark.parametrize("name", ["with space.jpg", "Ünïcødé 猫.jpg", "o'clock; DROP TABLE pictures.jpg", "a%20b.jpg"])
def test_a_name_may_hold_anything_that_a_list_can(class_folders: Folders, name: str) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / "000.jpg").rename(folder / "red" / name)
    assert f"red/{name}" in {row.file for row in check(folder).kept}
    assert check(folder).looked_at == 0
    assert f"red/{name}" in keys(FolderDataset(folder))


@pytest.mark.parametrize("name", ["new\nline.jpg", "tab\t.jpg", "return\r.jpg"])
def test_a_name_that_a_list_cannot_hold_is_set_aside(class_folders: Folders, name: str) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / "000.jpg").rename(folder / "red" / name)
    assert reasons(check(folder)) == {f"red/{name}": "name holds a tab or line break"}
    assert check(folder).looked_at == 0
    assert len(FolderDataset(folder)) == 3


def test_a_name_that_is_no_text_is_set_aside_though_the_ledger_cannot_hold_it(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    strange = os.fsdecode(b"caf\xe9.jpg")
    try:
        (folder / "red" / "000.jpg").rename(folder / "red" / strange)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for _ in range(2):
        assert reasons(check(folder)) == {f"red/{strange}": "name is not UTF-8"}
    assert len(FolderDataset(folder)) == 3


def test_hidden_files_and_loose_files_are_no_pictures(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    for place in (".thumbs", "red/.cache"):
        (folder / place).mkdir()
        shutil.copy(folder / "red" / "000.jpg", folder / place / "x.jpg")
    for place in ("red/.hidden.jpg", "loose.jpg"):
        shutil.copy(folder / "red" / "000.jpg", folder / place)
    result = check(folder)
    assert len(result.rows) == len(result.kept) == 4


def test_deeper_folders_belong_to_their_class(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / "site A" / "june").mkdir(parents=True)
    (folder / "red" / "000.jpg").rename(folder / "red" / "site A" / "june" / "000.jpg")
    rows = {row.file: row.label for row in check(folder).kept}
    assert rows["red/site A/june/000.jpg"] == "red"


@pytest.mark.parametrize("target", ["nowhere.jpg", "link.jpg"])
def test_a_link_that_leads_nowhere_is_reported_as_unreadable(class_folders: Folders, target: str) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / "link.jpg").symlink_to(target)
    for _ in range(2):
        assert reasons(check(folder)) == {"red/link.jpg": "unreadable"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_unreadable_until_it_gets_them(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    path = folder / "red" / "000.jpg"
    path.chmod(0)
    assert reasons(check(folder)) == {"red/000.jpg": "unreadable"}
    path.chmod(0o600)
    assert reasons(check(folder)) == {}


def test_a_file_that_vanishes_while_the_check_runs_is_unreadable(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    entries = list_entries(folder)
    (folder / "red" / "000.jpg").unlink()
    result = check_entries(folder, entries, ledger=folder / "ledger.sqlite")
    assert reasons(result) == {"red/000.jpg": "unreadable"}


def test_a_loop_of_links_ends(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "red" / "round").symlink_to(folder / "red", target_is_directory=True)
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "self").symlink_to(folder / "self")
    assert [entry.key for entry in list_entries(folder)] == [
        "green/000.jpg",
        "green/001.jpg",
        "red/000.jpg",
        "red/001.jpg",
    ]


def test_a_class_folder_may_be_a_link_to_elsewhere(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red").rename(tmp_path / "elsewhere")
    (folder / "red").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert {row.file for row in check(folder).kept} >= {"red/000.jpg", "red/001.jpg"}


def test_pipes_and_sockets_are_left_alone(class_folders: Folders) -> None:
    folder = class_folders(red=1, green=1)
    os.mkfifo(folder / "red" / "pipe.jpg")  # to open it would wait for a writer for ever
    assert [entry.key for entry in list_entries(folder)] == ["green/000.jpg", "red/000.jpg"]


def test_the_picture_files_below_a_folder_are_the_visible_regular_ones(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=2, green=1)
    check(folder)
    for name in ("loose.jpg", "Zoë.jpg", ".hidden.jpg", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.txt"):
        (folder / name).touch()
    (folder / ".thumbs").mkdir()
    (folder / ".thumbs" / "x.jpg").touch()
    (folder / "red" / "deep").mkdir()
    (folder / "red" / "deep" / "a.jpg").symlink_to(folder / "loose.jpg")
    (folder / "up").symlink_to(folder, target_is_directory=True)
    (folder / "nowhere.jpg").symlink_to("missing.jpg")
    os.mkfifo(folder / "pipe.jpg")
    assert [path.relative_to(folder).as_posix() for path in picture_files(folder)] == [
        "Zoë.jpg",
        "green/000.jpg",
        "ledger.txt",
        "loose.jpg",
        "red/000.jpg",
        "red/001.jpg",
        "red/deep/a.jpg",
    ]
    with pytest.raises(FileNotFoundError):
        list(picture_files(tmp_path / "missing"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_not_passed_over(class_folders: Folders) -> None:
    folder = class_folders(red=1, green=1)
    (folder / "red").chmod(0)
    with pytest.raises(PermissionError):
        list(picture_files(folder))
    (folder / "red").chmod(0o700)


def test_a_file_too_large_to_be_a_picture_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(UnreadableImageError, match=r"large\.jpg is over 64 MiB; shrink it first") as caught:
        read_bounded(tmp_path / "large.jpg")
    assert caught.value.reason == "too many bytes"


def missing(folder: Path) -> Path:
    return folder / "missing"


def a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"")
    return folder / "file"


def empty(folder: Path) -> Path:
    return folder


def empty_classes(folder: Path) -> Path:
    (folder / "red").mkdir()
    (folder / "green").mkdir()
    return folder


def loose_pictures(folder: Path) -> Path:
    (folder / "a.png").write_bytes(png(64, 64, seed=1))
    return folder


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (missing, "is not a folder"),
        (a_file, "is not a folder"),
        (empty, "one folder for each class"),
        (empty_classes, "one folder for each class"),
        (loose_pictures, "one folder for each class"),
    ],
)
def test_a_folder_that_holds_no_classes_is_refused(tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        check(make(tmp_path))
    assert not list(tmp_path.rglob("ledger.sqlite"))


def test_a_folder_without_one_picture_says_what_it_found(tmp_path: Path) -> None:
    for name in ("red/a.txt", "red/b.txt", "green/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"text" if name.endswith("txt") else b"")
    with pytest.raises(DatasetError, match=r"no usable picture \(2 not a picture, 1 empty\)"):
        check(tmp_path)


def test_the_second_check_opens_nothing(class_folders: Folders) -> None:
    folder = class_folders(red=3, green=3)
    first = check(folder)
    path = folder / "red" / "000.jpg"
    facts = path.stat()
    path.write_bytes(bytes(facts.st_size))  # only who opens the file can tell
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    second = check(folder)
    assert second.looked_at == 0
    assert second.rows == first.rows


def test_only_what_changed_is_looked_at_again(class_folders: Folders) -> None:
    folder = class_folders(red=3, green=3)
    check(folder)
    (folder / "red" / "000.jpg").write_bytes(b"damaged")
    (folder / "red" / "new.png").write_bytes(png(64, 64, seed=1))
    (folder / "red" / "001.jpg").rename(folder / "green" / "moved.jpg")
    (folder / "red" / "002.jpg").unlink()
    again = check(folder)
    assert again.looked_at == 3
    assert reasons(again) == {"red/000.jpg": "not a picture"}
    assert [row.file for row in again.kept if row.label == "red"] == ["red/new.png"]
    assert len(FolderDataset(folder)) == 5


def test_nothing_is_written_but_the_ledger(class_folders: Folders) -> None:
    folder = class_folders(red=3, green=3)
    shutil.copy(folder / "red" / "001.jpg", folder / "green" / "copy.jpg")
    (folder / "red" / "blank.png").write_bytes(png(64, 64))
    before = tree(folder)
    check(folder)
    after = tree(folder)
    del after["ledger.sqlite"]
    assert after == before


def test_with_a_ledger_elsewhere_the_folder_stays_as_it_is(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=3, green=3)
    before = tree(folder)
    check(folder, ledger=tmp_path / "notes" / "mine.sqlite")
    assert tree(folder) == before
    assert check(folder, ledger=tmp_path / "notes" / "mine.sqlite").looked_at == 0


def test_checking_some_files_keeps_what_is_known_of_the_others(class_folders: Folders) -> None:
    folder = class_folders(red=3, green=3)
    check(folder)
    some = list_entries(folder)[:2]
    assert len(check_entries(folder, some, ledger=folder / "ledger.sqlite").rows) == 2
    assert check(folder).looked_at == 0


def test_checking_some_files_judges_them_by_their_twins_among_the_others(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    shutil.copy(folder / "red" / "001.jpg", folder / "green" / "copy.jpg")
    entries = {entry.key: entry for entry in list_entries(folder)}
    check(folder)
    some = check_entries(folder, [entries["green/copy.jpg"], entries["green/000.jpg"]], ledger=folder / "ledger.sqlite")
    assert reasons(some) == {"green/copy.jpg": "equals red/001.jpg of another class"}
    assert sorted(keys(FolderDataset(folder))) == ["green/000.jpg", "green/001.jpg", "red/000.jpg"]


def test_of_equal_pictures_in_one_class_the_one_that_is_asked_for_stays(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    shutil.copy(folder / "red" / "001.jpg", folder / "red" / "copy.jpg")
    (copy,) = [entry for entry in list_entries(folder) if entry.key == "red/copy.jpg"]
    assert reasons(check(folder)) == {"red/copy.jpg": "equals red/001.jpg"}
    assert check_entries(folder, [copy], ledger=folder / "ledger.sqlite").set_aside == ()
    assert sorted(keys(FolderDataset(folder))) == ["green/000.jpg", "green/001.jpg", "red/000.jpg", "red/copy.jpg"]


@pytest.mark.parametrize("change", ["other bytes", "gone"])
def test_what_was_known_of_a_twin_that_has_changed_does_not_count(class_folders: Folders, change: str) -> None:
    folder = class_folders(red=2, green=2)
    shutil.copy(folder / "red" / "001.jpg", folder / "green" / "copy.jpg")
    (copy,) = [entry for entry in list_entries(folder) if entry.key == "green/copy.jpg"]
    check(folder)
    twin = folder / "red" / "001.jpg"
    twin.unlink() if change == "gone" else twin.write_bytes(png(64, 64, seed=1))
    assert check_entries(folder, [copy], ledger=folder / "ledger.sqlite").set_aside == ()


def test_other_rules_look_at_every_file_again(class_folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = class_folders(red=2, green=2)
    check(folder)
    for module in ("check", "verdicts"):
        monkeypatch.setattr(f"milliner.images.{module}.RULES", "rules 2")
    assert check(folder).looked_at == 4
    assert check(folder).looked_at == 0


def test_a_picture_that_took_the_place_of_one_set_aside_is_in_the_dataset(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    good = (folder / "red" / "000.jpg").read_bytes()
    (folder / "red" / "000.jpg").write_bytes(b"broken")
    check(folder)
    assert "red/000.jpg" not in keys(FolderDataset(folder))
    (folder / "red" / "000.jpg").write_bytes(good)
    assert "red/000.jpg" in keys(FolderDataset(folder))


def test_a_verdict_by_other_rules_does_not_count(class_folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "red" / "tiny.png").write_bytes(png(4, 4, seed=1))
    check(folder)
    assert len(FolderDataset(folder)) == 4
    monkeypatch.setattr("milliner.images.verdicts.RULES", "rules 2")
    assert len(FolderDataset(folder)) == 5


@pytest.mark.parametrize("change", ["other bytes", "gone"])
def test_a_copy_stays_in_the_dataset_where_its_twin_has_changed(class_folders: Folders, change: str) -> None:
    folder = class_folders(red=2, green=2)
    twin = folder / "red" / "001.jpg"
    shutil.copy(twin, folder / "red" / "copy.jpg")
    check(folder)
    assert "red/copy.jpg" not in keys(FolderDataset(folder))
    twin.unlink() if change == "gone" else twin.write_bytes(png(64, 64, seed=1))
    assert "red/copy.jpg" in keys(FolderDataset(folder))


def test_rows_of_another_folder_in_the_ledger_do_not_count(class_folders: Folders, tmp_path: Path) -> None:
    one, two = class_folders(red=2, green=2), tmp_path / "two"
    shutil.copytree(one, two)
    path, facts = two / "red" / "000.jpg", (one / "red" / "000.jpg").stat()
    path.write_bytes(bytes(facts.st_size))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    check(two, ledger=one / "ledger.sqlite")
    assert len(FolderDataset(one)) == 4


def test_a_ledger_elsewhere_tells_nothing_of_another_folder(class_folders: Folders, tmp_path: Path) -> None:
    one, two, notes = class_folders(red=2, green=2), tmp_path / "two", tmp_path / "notes.sqlite"
    shutil.copytree(one, two)
    path, facts = two / "red" / "000.jpg", (one / "red" / "000.jpg").stat()
    path.write_bytes(bytes(facts.st_size))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert reasons(check(one, ledger=notes)) == {}
    assert reasons(check(two, ledger=notes)) == {"red/000.jpg": "not a picture"}
    assert reasons(check(one, ledger=notes)) == {}


def test_a_folder_may_be_moved_with_its_ledger(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=2, green=2)
    check(folder)
    folder.rename(tmp_path / "moved")
    assert check(tmp_path / "moved").looked_at == 0


@contextmanager
def stopping(task: str, total: int | None) -> Iterator[Advance]:
    """The progress of somebody who presses Ctrl-C after a hundred pictures."""
    done = 0

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal done
        done += count
        if done == 100:
            raise KeyboardInterrupt

    yield advance


def test_an_interrupted_check_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for label in ("red", "green"):
        (tmp_path / label).mkdir()
        for number in range(75):
            (tmp_path / label / f"{number}.png").write_bytes(png(16, 16, seed=number + 1000 * len(label)))
    with pytest.raises(KeyboardInterrupt):
        check(tmp_path, progress=stopping)
    again = check(tmp_path)
    assert len(again.kept) == 150
    assert again.looked_at < 100


def test_a_folder_is_a_dataset_of_what_was_kept(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=3)
    (folder / "red" / "blank.png").write_bytes(png(64, 64))
    assert len(FolderDataset(folder)) == 6
    check(folder)
    dataset = open_dataset(folder)
    assert dataset.name == str(folder)
    assert dataset.labels == ("green", "red")
    assert list(dataset.targets) == [0, 0, 0, 1, 1]
    sample = dataset[3]
    assert (sample.key, sample.label) == ("red/000.jpg", "red")
    assert sample.encoded == (folder / "red" / "000.jpg").read_bytes()
    with ThreadPoolExecutor(8) as pool:
        found = [sample.key for sample in pool.map(dataset.__getitem__, list(range(5)) * 20)]
    assert found == keys(dataset) * 20


def test_a_class_without_a_kept_picture_is_no_class(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    (folder / "nothing").mkdir()
    (folder / "nothing" / "blank.png").write_bytes(png(64, 64))
    check(folder)
    assert open_dataset(folder).labels == ("green", "red")


def test_a_sample_whose_file_is_gone_costs_that_sample_only(class_folders: Folders) -> None:
    folder = class_folders(red=2, green=2)
    dataset = FolderDataset(folder)
    (folder / "green" / "000.jpg").unlink()
    with pytest.raises(UnreadableImageError, match=r"000\.jpg cannot be read: it is not there; check the path"):
        dataset[0]
    assert dataset[1].label == "green"


def test_what_is_no_dataset_is_refused_in_one_sentence(tmp_path: Path, class_folders: Folders) -> None:
    with pytest.raises(DatasetError, match=r"There is no .*missing"):
        open_dataset(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(
        DatasetError, match=r"notes.txt is not a dataset; give a folder of class folders or a \.parquet, \.rec or \.tar"
    ):
        open_dataset(tmp_path / "notes.txt")
    folder = class_folders(red=1)
    check(folder)
    (folder / "red" / "000.jpg").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="no usable picture"):
        check(folder)
    with pytest.raises(DatasetError, match="no usable picture"):
        open_dataset(folder)
