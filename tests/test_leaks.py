"""Leaks between the parts of a given split: in folders, packed files and lists, and that nothing is written."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from photos import COPIES, drawn, jpeg

import milliner
from milliner.core.errors import DatasetError, SettingsError
from milliner.curation.check import check
from milliner.curation.compare import Pair
from milliner.curation.leaks import leaks
from milliner.shards.lists import format_line


def fill(folder: Path, first: int, count: int = 8) -> Path:
    for number in range(first, first + count):
        label = folder / ("even" if number % 2 == 0 else "odd")
        label.mkdir(parents=True, exist_ok=True)
        (label / f"{number:03}.jpg").write_bytes(jpeg(drawn(number)))
    return folder


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    """A training and a smaller test part, in which one picture is the same and one nearly the same."""
    train, test = fill(tmp_path / "train", 0, 12), fill(tmp_path / "test", 100, 8)
    shutil.copy(train / "odd" / "001.jpg", test / "odd" / "seen.jpg")
    (test / "even" / "mirrored.jpg").write_bytes(COPIES["mirrored"](drawn(2), np.random.default_rng(1)))
    return {"train": train, "test": test}


@pytest.mark.parametrize("quick", [True, False])
def test_what_crosses_is_counted_once_by_its_closest_likeness(parts: dict[str, Path], quick: bool) -> None:
    before = sorted(path for part in parts.values() for path in part.rglob("*"))
    result = check(splits=parts, quick=quick)
    (found,) = result.leaks
    assert (found.split, found.other, found.pictures) == ("test", "train", 10)
    assert found.counts["exact"] == found.counts["near duplicate"] == 1
    assert found.share("exact") == 0.1
    worst = [(leak.file, leak.other_file, leak.level) for leak in found.found[:2]]
    assert worst == [
        ("test/odd/seen.jpg", "train/odd/001.jpg", "exact"),
        ("test/even/mirrored.jpg", "train/even/002.jpg", "near duplicate"),
    ]
    assert [each.files for each in result.findings if each.kind == "leak"][:2] == [each[:2] for each in worst]
    assert result.to_json()["leaks"][0]["counts"]["exact"] == 1
    assert sorted(path for part in parts.values() for path in part.rglob("*")) == before


def test_packed_splits_and_folders_may_be_mixed(parts: dict[str, Path], tmp_path: Path) -> None:
    milliner.pack(parts["train"], into=tmp_path / "packed", split={"train": 1.0})
    (found,) = check(splits={"train": tmp_path / "packed" / "train.rec", "test": parts["test"]}, quick=True).leaks
    assert (found.counts["exact"], found.counts["near duplicate"]) == (1, 1)


def test_lists_name_pictures_of_the_folder(tmp_path: Path) -> None:
    folder = fill(tmp_path / "all", 0, 10)
    shutil.copy(folder / "odd" / "001.jpg", folder / "odd" / "again.jpg")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.jpg"))
    held_out = ["odd/again.jpg", "even/000.jpg"]
    lists = {"train": [file for file in files if file not in held_out], "test": held_out}
    for name, listed in lists.items():
        lines = [format_line(number, [0.0], file) for number, file in enumerate(listed)]
        (tmp_path / f"{name}.lst").write_text("".join(lines))
    splits = {name: tmp_path / f"{name}.lst" for name in lists}
    result = check(folder, splits=splits, quick=True)
    assert [(leak.file, leak.level) for leak in result.leaks[0].found] == [("test/odd/again.jpg", "exact")]
    assert {row.label for row in result.rows} == {"even", "odd"}
    assert not (folder / "ledger.sqlite").exists()
    with pytest.raises(SettingsError, match=r"train\.lst is a list: give the folder"):
        check(splits=splits)
    (folder / "odd" / "001.jpg").unlink()
    with pytest.raises(DatasetError, match=r"list for train names odd/001\.jpg, which is not in"):
        check(folder, splits=splits)


def test_an_unreadable_picture_costs_a_row(parts: dict[str, Path]) -> None:
    (parts["test"] / "odd" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    result = check(splits=parts, quick=True)
    assert [row.file for row in result.set_aside] == ["test/odd/bad.jpg"]
    assert result.leaks[0].pictures == 10
    assert [each.files for each in result.findings if each.kind == "unreadable"] == [("test/odd/bad.jpg",)]


def test_options_that_do_not_go_together_are_refused(parts: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="two splits or more"):
        check(splits={"train": parts["train"]})
    with pytest.raises(SettingsError, match="Only a folder of class folders can be fixed"):
        check(splits=parts, fix=True)
    with pytest.raises(SettingsError, match="Give a folder to check, or splits"):
        check()


def test_of_three_splits_every_two_are_compared() -> None:
    splits = {"train": ["a", "b", "c"], "test": ["d", "e"], "val": ["f", "g"]}
    pairs = [Pair("a", "d", "sibling", 0.9), Pair("b", "d", "near duplicate", 0.8), Pair("e", "f", "sibling", 0.85)]
    first, second, third = leaks(splits, [("c", "g")], pairs)
    assert (first.split, first.other, dict(first.counts)) == (
        "test", "train", {"exact": 0, "near duplicate": 1, "sibling": 0},
    )  # fmt: skip
    assert (second.split, second.other, second.counts["exact"]) == ("val", "train", 1)
    assert (third.split, third.other, third.counts["sibling"]) == ("val", "test", 1)


@pytest.mark.parametrize("pair", [("a", "c"), ("c", "a")])
def test_a_likeness_of_one_copy_is_one_of_all_copies(pair: tuple[str, str]) -> None:
    splits = {"train": ["c", "d", "e"], "test": ["a", "b"]}
    (found,) = leaks(splits, [("a", "b")], [Pair(*pair, "near duplicate", 0.9)])
    assert [(leak.file, leak.other_file) for leak in found.found] == [("a", "c"), ("b", "c")]


def test_of_splits_of_one_size_the_later_is_counted() -> None:
    (found,) = leaks({"train": ["a", "d"], "test": ["b", "c"]}, [("a", "b")], [])
    assert (found.split, found.counts["exact"], found.found[0].file) == ("test", 1, "b")


def test_a_burst_leaks_with_all_of_its_frames() -> None:
    splits = {"train": ["a"], "test": [f"b{number}" for number in range(5)]}
    chain = ["a", *splits["test"]]
    pairs = [Pair(*two, "near duplicate", 0.9, 0.95) for two in pairwise(chain)]
    (found,) = leaks(splits, [], pairs)
    assert (found.split, found.counts["near duplicate"]) == ("test", 5)
    assert {leak.other_file for leak in found.found} == {"a"}


def test_the_training_part_is_never_the_one_that_is_counted() -> None:
    for names in (("train", "test"), ("test", "train")):
        (found,) = leaks({name: [f"{name}/1", f"{name}/2"][: 1 + (name == "test")] for name in names}, [], [])
        assert (found.split, found.other, found.pictures) == ("test", "train", 2)
