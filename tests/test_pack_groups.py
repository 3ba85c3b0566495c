"""What packing keeps together, what it remembers of a split, and what it tells of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import fill_class_folders

from milliner.core.errors import DatasetError, SettingsError
from milliner.curation import drawn
from milliner.curation.check import CheckResult, Pair, check
from milliner.curation.pack import PackResult, pack
from milliner.images.ledger import LEDGER_NAME, FetchRow, Ledger
from milliner.shards.dataset import open_dataset

Folders = Callable[..., Path]


def sides(target: Path) -> dict[str, str]:
    """The split of every packed picture."""
    datasets = {path.stem: open_dataset(path) for path in target.glob("*.rec")}
    return {dataset.key(place): name for name, dataset in datasets.items() for place in range(len(dataset))}


def fetched(folder: Path, *rows: FetchRow) -> None:
    with Ledger.open(folder / LEDGER_NAME) as book:
        book.add_all(rows)


def a_row(file: str, address: str, creator: str | None = None) -> FetchRow:
    return FetchRow(address, file.partition("/")[0], "urls", "stored", file=file, creator=creator)


def left_out(result: PackResult) -> list[tuple[str, str]]:
    return [(row.file, row.reason) for row in result.set_aside]


def test_frames_of_one_video_stay_on_one_side(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=20, green=20)
    files = [f"red/{number:03}.jpg" for number in range(12)]
    fetched(folder, *(a_row(file, f"video:abc#t={number}") for number, file in enumerate(files)))
    for seed in range(4):
        pack(folder, into=tmp_path / "p", seed=seed)
        side = sides(tmp_path / "p")
        assert len({side[file] for file in files}) == 1
        assert len(side) == 40


def test_a_column_of_the_ledger_groups(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=20, green=20)
    people = {f"{label}/{number:03}.jpg": f"person {number % 5}" for label in ("red", "green") for number in range(20)}
    fetched(folder, *(a_row(file, f"https://a.b/{file}", name) for file, name in people.items()))
    pack(folder, into=tmp_path / "p", group="creator")
    side = sides(tmp_path / "p")
    for person in set(people.values()):
        assert len({side[file] for file, name in people.items() if name == person}) == 1
    assert set(side.values()) == {"train", "test"}


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_pattern_of_the_paths_groups(class_folders: Folders, tmp_path: Path, looked_at: bool) -> None:
    folder = class_folders(red=24, green=24)
    for path in folder.glob("*/*.jpg"):
        path.rename(path.with_name(f"photo{int(path.stem) // 4}.rf.{path.name}"))
    pack(folder, into=tmp_path / "p", group=r"([^/]+)\.rf\.", check=looked_at)
    side = sides(tmp_path / "p")
    for number in range(6):
        assert len({name for key, name in side.items() if f"/photo{number}." in key}) == 1
    assert len(side) == 48


@pytest.fixture
def alike(monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """What checking finds to be alike, to be filled by a test."""
    pairs: list[Pair] = []

    def look(*args: object, **options: object) -> CheckResult:
        found = check(*args, **options)  # type: ignore[arg-type]
        return CheckResult(found.rows, found.looked_at, tuple(pairs))

    monkeypatch.setattr(drawn, "check", look)
    return pairs


def test_lookalikes_stay_on_one_side(class_folders: Folders, tmp_path: Path, alike: list[Pair]) -> None:
    folder = class_folders(red=20, green=20)
    alike += [Pair(f"red/{n:03}.jpg", f"green/{n:03}.jpg", "sibling", 0.9) for n in range(10)]
    for seed in range(4):
        pack(folder, into=tmp_path / "p", seed=seed)
        side = sides(tmp_path / "p")
        assert all(side[pair.first] == side[pair.second] for pair in alike)


def test_pictures_that_come_later_move_none(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=12, green=12)
    pack(folder, into=tmp_path / "p")
    known = sides(tmp_path / "p")
    for path in fill_class_folders(tmp_path / "more", 500, red=9, green=9).glob("*/*"):
        shutil.copy(path, folder / path.parent.name / f"a{path.name}")
    (folder / "red" / "000.jpg").rename(folder / "red" / "renamed.jpg")
    known["red/renamed.jpg"] = known.pop("red/000.jpg")
    shutil.rmtree(tmp_path / "p")  # the folder remembers, wherever it is packed to
    pack(folder, into=tmp_path / "elsewhere")
    side = sides(tmp_path / "elsewhere")
    assert known.items() <= side.items()
    assert len(side) == 42


def test_who_would_link_train_and_test_is_left_out(class_folders: Folders, tmp_path: Path, alike: list[Pair]) -> None:
    folder = class_folders(red=12, green=12)
    pack(folder, into=tmp_path / "p")
    known = sides(tmp_path / "p")
    here = next(key for key in known if known[key] == "train")
    there = next(key for key in known if known[key] == "test")
    fill_class_folders(tmp_path / "more", 500, red=1)
    shutil.copy(tmp_path / "more" / "red" / "000.jpg", folder / "red" / "new.jpg")
    alike += [Pair("red/new.jpg", other, "near duplicate", 0.99) for other in (here, there)]
    result = pack(folder, into=tmp_path / "p")
    assert left_out(result) == [("red/new.jpg", "links train and test")]
    assert sides(tmp_path / "p") == known


def test_a_split_that_misses_a_class_is_told(class_folders: Folders, tmp_path: Path, alike: list[Pair]) -> None:
    folder = class_folders(red=12, green=12)
    alike += [Pair("red/000.jpg", f"red/{n:03}.jpg", "sibling", 0.9) for n in range(1, 12)]
    result = pack(folder, into=tmp_path / "p")
    (note,) = result.notes
    assert "has no picture of red, since they belong together" in note
    assert result.to_json()["notes"] == [note]


def test_another_scheme_is_another_split(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=30, green=30)
    splits = []
    for number, options in enumerate([{"seed": 1}, {"seed": 2}, {"seed": 1, "split": {"train": 0.5, "test": 0.5}}]):
        pack(folder, into=tmp_path / str(number), **options)  # type: ignore[arg-type]
        splits.append(sides(tmp_path / str(number)))
    assert splits[0] != splits[1] != splits[2]
    pack(folder, into=tmp_path / "again", seed=1)
    assert sides(tmp_path / "again") == splits[0]


def test_groups_that_cannot_be_are_refused(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=3, green=3)
    with pytest.raises(SettingsError, match="neither a column of the ledger"):
        pack(folder, into=tmp_path / "p", group="(")
    for checked in (True, False):
        with pytest.raises(DatasetError, match="'creator' has no value for any picture"):
            pack(folder, into=tmp_path / "p", group="creator", check=checked)
    lst = tmp_path / "a.lst"
    lst.write_text("0\t0\tred/000.jpg\n")
    with pytest.raises(SettingsError, match="nothing to group"):
        pack(folder, into=tmp_path / "p", group="creator", lists={"a": lst})
    assert not (tmp_path / "p").exists()
