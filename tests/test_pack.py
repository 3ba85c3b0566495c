"""Packing: the same bytes as MXNet's own tool, the same bytes for the same seed, and all files or none."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from milliner.core.errors import DatasetError, MillinerError, SettingsError
from milliner.core.progress import Advance, Progress, silent
from milliner.curation.check import check
from milliner.curation.pack import pack
from milliner.shards.dataset import open_dataset
from milliner.shards.recordio import FORMAT

Folders = Callable[..., Path]


def packed(folder: Path) -> dict[str, bytes]:
    """All files but the ledger, whose rows hold times."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("ledger.sqlite")}


def keys(path: Path) -> list[str]:
    dataset = open_dataset(path)
    return [dataset[index].key for index in range(len(dataset))]


def write_list(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{number}\t{line}\n" for number, line in enumerate(lines)))
    return path


def test_packing_the_originals_lists_gives_the_bytes_that_mxnet_gave(test_data: Path, tmp_path: Path) -> None:
    helmets = test_data / "helmets"
    result = pack(helmets, into=tmp_path, lists={"train": helmets / "train.lst", "test": helmets / "test.lst"})
    lines = (test_data / "recordio" / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    for split in ("train", "test"):
        for suffix in (".rec", ".idx"):
            content = (tmp_path / f"{split}{suffix}").read_bytes()
            assert hashlib.sha256(content).hexdigest() == sums[f"images_{split}{suffix}"]
        assert (tmp_path / f"{split}.lst").read_bytes() == (helmets / f"{split}.lst").read_bytes()
        assert (tmp_path / f"{split}.labels").read_text() == "helmet\nnohelmet\n"
    assert result.set_aside == ()
    assert [(shard.split, shard.records) for shard in result.shards] == [("train", 805), ("test", 345)]
    assert not (helmets / "ledger.sqlite").exists()


def test_a_folder_is_packed_into_files_named_after_the_splits(class_folders: Folders, tmp_path: Path) -> None:
    folder, target = class_folders(red=10, green=20), tmp_path / "packed"
    result = pack(folder, into=target)
    assert sorted(packed(target)) == [
        f"{split}{suffix}" for split in ("test", "train") for suffix in (".idx", ".labels", ".lst", ".rec", ".sums")
    ]
    assert result.to_json() == {
        "shards": [
            {"split": "train", "path": str(target / "train.rec"), "records": 21, "per_class": {"green": 14, "red": 7}},
            {"split": "test", "path": str(target / "test.rec"), "records": 9, "per_class": {"green": 6, "red": 3}},
        ],
        "set_aside": [],
        "notes": [],
    }
    json.dumps(result.to_json())
    together = [key for split in ("train", "test") for key in keys(target / f"{split}.rec")]
    assert sorted(together) == sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.jpg"))


def test_the_pictures_pass_through_untouched_with_their_labels(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=4, green=4)
    for shard in pack(folder, into=tmp_path / "packed", split={"a": 0.5, "b": 0.25, "c": 0.25}).shards:
        dataset = open_dataset(shard.path)
        assert dataset.labels == ("green", "red")
        for index in range(len(dataset)):
            sample = dataset[index]
            assert sample.encoded == (folder / sample.key).read_bytes()
            assert sample.label == sample.key.partition("/")[0]
        assert Counter(dataset.labels[target] for target in dataset.targets) == Counter(shard.per_class)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=10, green=20)
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        pack(folder, into=tmp_path / name, seed=seed)
    assert packed(tmp_path / "same") == packed(tmp_path / "one")
    assert set(keys(tmp_path / "other" / "train.rec")) != set(keys(tmp_path / "one" / "train.rec"))


def test_the_order_on_the_disk_does_not_matter(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=10, green=20)
    for path in sorted(folder.glob("*/*.jpg"), reverse=True):
        (tmp_path / "again" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "again" / path.parent.name)
    pack(folder, into=tmp_path / "one")
    pack(tmp_path / "again", into=tmp_path / "two")
    assert packed(tmp_path / "one") == packed(tmp_path / "two")


def test_what_is_set_aside_is_reported_and_not_packed(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=5, green=5)
    (folder / "red" / "notes.txt").write_bytes(b"notes")
    shutil.copy(folder / "red" / "000.jpg", folder / "red" / "copy.jpg")
    result = pack(folder, into=tmp_path / "packed")
    assert result.to_json()["set_aside"] == [
        {"file": "red/copy.jpg", "reason": "equals red/000.jpg"},
        {"file": "red/notes.txt", "reason": "not a picture"},
    ]
    assert sum(shard.records for shard in result.shards) == 10


def test_a_drawn_split_is_noted_in_the_folders_own_ledger(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=5, green=5)
    pack(folder, into=tmp_path / "one")
    assert (folder / "ledger.sqlite").exists()
    assert not (tmp_path / "one" / "ledger.sqlite").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_drawn_split_of_a_folder_that_cannot_be_written_is_noted_beside_it(
    class_folders: Folders, tmp_path: Path
) -> None:
    folder = class_folders(red=5, green=5)
    folder.chmod(0o500)
    pack(folder, into=tmp_path / "one")
    assert (tmp_path / "one" / "ledger.sqlite").exists()


def test_findings_on_a_given_split_go_beside_it_unless_the_folder_has_a_ledger(
    class_folders: Folders, tmp_path: Path
) -> None:
    folder = class_folders(red=5, green=5)
    lists = {"all": write_list(tmp_path / "all.lst", "0\tred/000.jpg", "1\tgreen/000.jpg")}
    pack(folder, into=tmp_path / "one", lists=lists)
    assert (tmp_path / "one" / "ledger.sqlite").exists()
    assert not (folder / "ledger.sqlite").exists()
    shutil.move(tmp_path / "one" / "ledger.sqlite", folder)
    pack(folder, into=tmp_path / "two", lists=lists)
    assert not (tmp_path / "two" / "ledger.sqlite").exists()


def test_lists_decide_which_pictures_go_where_with_which_ids(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=3, green=3)
    lists = {
        "mine": write_list(tmp_path / "mine.lst", "1\tgreen/002.jpg", "0\tred/001.jpg"),
        "yours": write_list(tmp_path / "yours.lst", "0\tred/000.jpg"),
    }
    result = pack(folder, into=tmp_path / "packed", lists=lists)
    assert [(shard.split, shard.per_class) for shard in result.shards] == [
        ("mine", {"green": 1, "red": 1}),
        ("yours", {"red": 1}),
    ]
    dataset = open_dataset(tmp_path / "packed" / "mine.rec")
    assert dataset.labels == ("red", "green")  # the lists' numbers, not the alphabet, give the order
    assert keys(tmp_path / "packed" / "mine.rec") == ["green/002.jpg", "red/001.jpg"]
    assert (tmp_path / "packed" / "mine.lst").read_text() == "0\t1.000000\tgreen/002.jpg\n1\t0.000000\tred/001.jpg\n"


@pytest.mark.parametrize(
    "lines",
    [
        ("0\tred/000.jpg", "0\tgreen/000.jpg"),
        ("0\tred/000.jpg", "1\tred/001.jpg"),
        ("1\tred/000.jpg", "2\tgreen/000.jpg"),
    ],
    ids=["one number for two folders", "two numbers for one folder", "numbers that begin at 1"],
)
def test_folders_that_do_not_agree_with_the_numbers_give_no_names(
    class_folders: Folders, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    folder = class_folders(red=3, green=3)
    pack(folder, into=tmp_path / "packed", lists={"all": write_list(tmp_path / "all.lst", *lines)})
    numbers = {line[0] for line in lines}
    assert set(open_dataset(tmp_path / "packed" / "all.rec").labels) == numbers


def test_a_listed_picture_that_is_set_aside_is_left_out(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=3, green=3)
    (folder / "red" / "000.jpg").write_bytes(b"damaged")
    lists = {"all": write_list(tmp_path / "all.lst", "0\tred/000.jpg", "0\tred/001.jpg", "1\tgreen/000.jpg")}
    result = pack(folder, into=tmp_path / "packed", lists=lists)
    assert [row.file for row in result.set_aside] == ["red/000.jpg"]
    assert keys(tmp_path / "packed" / "all.rec") == ["red/001.jpg", "green/000.jpg"]


TWICE = r"test\.lst, line 1: red/000\.jpg is listed twice"


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        (["0\tred/000.jpg"], ["0\tred/000.jpg"], rf"{TWICE}, the first time in \S+/train\.lst, line 1; list every"),
        (["0\tred/000.jpg"], ["0\t./red//000.jpg"], TWICE),
        (["0\tred/000.jpg"], ["0\tred/001.jpg", "0\tred/x.jpg"], r"test\.lst, line 2: there is no file red/x\.jpg in"),
        (["0\tred/000.jpg"], ["0\tred"], r"test\.lst, line 1: there is no file red in"),
        (["0\tred/000.jpg"], ["0\tred/damaged.jpg"], "No picture of the list for test is usable"),
    ],
)
def test_lists_that_do_not_fit_the_folder_are_refused(
    class_folders: Folders, tmp_path: Path, train: list[str], test: list[str], sentence: str
) -> None:
    folder = class_folders(red=3, green=3)
    (folder / "red" / "damaged.jpg").write_bytes(b"damaged")
    lists = {name: write_list(tmp_path / f"{name}.lst", *lines) for name, lines in (("train", train), ("test", test))}
    with pytest.raises(DatasetError, match=sentence):
        pack(folder, into=tmp_path / "packed", lists=lists)
    assert not list(tmp_path.rglob("*.rec"))


def test_a_folder_with_one_usable_class_is_refused(class_folders: Folders, tmp_path: Path) -> None:
    folder = class_folders(red=5)
    (folder / "green").mkdir()
    (folder / "green" / "notes.txt").write_bytes(b"notes")
    with pytest.raises(DatasetError, match=r"All usable pictures are of one class \(red\); add a folder"):
        pack(folder, into=tmp_path / "packed")


def test_a_class_too_small_for_the_splits_is_refused(class_folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Class 'red' has 1 usable picture"):
        pack(class_folders(red=1, green=9), into=tmp_path / "packed")
    assert not list(tmp_path.rglob("*.rec"))


def test_a_seed_below_zero_is_refused(class_folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="seed must be 0 or more, not -1"):
        pack(class_folders(red=3, green=3), into=tmp_path / "packed", seed=-1)


@pytest.mark.parametrize("there", [False, True])
def test_a_failed_pack_leaves_nothing_new(class_folders: Folders, tmp_path: Path, there: bool) -> None:
    folder, target = class_folders(red=5), tmp_path / "deep" / "packed"
    if there:
        target.mkdir(parents=True)
    with pytest.raises(DatasetError, match="one class"):
        pack(folder, into=target)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["deep"] if there else []) + ["pictures"]
    assert not there or list(target.iterdir()) == []


def test_a_failed_pack_leaves_no_new_folder_where_the_ledger_lies_with_the_pictures(
    class_folders: Folders, tmp_path: Path
) -> None:
    folder, target = class_folders(red=5, green=5), tmp_path / "deep" / "packed"
    check(folder)
    with pytest.raises(MillinerError, match="cannot be read"):
        pack(folder, into=target, progress=removing(folder / "red" / "000.jpg"))
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
    assert (folder / "ledger.sqlite").exists()


def test_a_failed_pack_keeps_the_ledger_that_was_there(class_folders: Folders, tmp_path: Path) -> None:
    folder, target = class_folders(red=5, green=5), tmp_path / "packed"
    pack(folder, into=target)
    shutil.rmtree(folder / "green")
    with pytest.raises(DatasetError, match="one class"):
        pack(folder, into=target)
    assert (folder / "ledger.sqlite").exists()


def test_an_interrupted_pack_keeps_what_it_found(class_folders: Folders, tmp_path: Path) -> None:
    folder, target = class_folders(red=5, green=5), tmp_path / "packed"

    @contextmanager
    def interrupted(task: str, total: int | None) -> Iterator[Advance]:
        if task == "pack":
            raise KeyboardInterrupt
        with silent(task, total) as advance:
            yield advance

    with pytest.raises(KeyboardInterrupt):
        pack(folder, into=target, progress=interrupted)
    assert (folder / "ledger.sqlite").exists()


@pytest.mark.parametrize("name", ["../train", "a/b", "train.rec", ""])
def test_a_split_cannot_be_named_out_of_its_folder(class_folders: Folders, tmp_path: Path, name: str) -> None:
    folder, lst = class_folders(red=3, green=3), write_list(tmp_path / "a.lst", "0\tred/000.jpg")
    with pytest.raises(SettingsError, match="plain word"):
        pack(folder, into=tmp_path / "packed", lists={name: lst})
    with pytest.raises(SettingsError, match="plain word"):
        pack(folder, into=tmp_path / "packed", split={name: 0.5, "test": 0.5})
    assert not list(tmp_path.rglob("*.rec"))


def test_a_target_that_is_a_file_is_left_as_it_is(class_folders: Folders, tmp_path: Path) -> None:
    target = tmp_path / "packed"
    target.write_bytes(b"mine")
    with pytest.raises((MillinerError, OSError)) as caught:
        pack(class_folders(red=3, green=3), into=target)
    assert str(target) in str(caught.value)
    assert target.read_bytes() == b"mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_target_without_rights_is_named(class_folders: Folders, tmp_path: Path) -> None:
    target = tmp_path / "packed"
    target.mkdir(mode=0o500)
    with pytest.raises((MillinerError, OSError), match="packed"):
        pack(class_folders(red=3, green=3), into=target)
    assert list(target.iterdir()) == []


def test_two_packs_into_one_folder_do_not_mix(class_folders: Folders, tmp_path: Path) -> None:
    target = tmp_path / "packed"
    with FORMAT.writer(target, "test", ()), pytest.raises(MillinerError, match=r"test\.rec is being written"):
        pack(class_folders(red=5, green=5), into=target)
    assert not (target / "train.rec").exists()
    assert not list(target.glob(".*.part"))


def removing(path: Path) -> Progress:
    """The progress of somebody who removes a picture as soon as packing begins."""

    @contextmanager
    def progress(task: str, total: int | None) -> Iterator[Advance]:
        if task == "pack":
            path.unlink()
        with silent(task, total) as advance:
            yield advance

    return progress


def test_a_failure_in_the_last_split_leaves_the_old_files_of_all(class_folders: Folders, tmp_path: Path) -> None:
    folder, target = class_folders(red=10, green=10), tmp_path / "packed"
    pack(folder, into=target, seed=1)
    before = packed(target)
    pack(folder, into=tmp_path / "trial", seed=2)
    last = folder / keys(tmp_path / "trial" / "test.rec")[-1]
    with pytest.raises(MillinerError, match="cannot be read"):
        pack(folder, into=target, seed=2, progress=removing(last))
    assert packed(target) == before


@pytest.mark.parametrize("renames", range(1, 16))
def test_a_kill_between_the_renames_leaves_no_old_split_beside_a_new_one(
    class_folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    folder, target = class_folders(red=10, green=10), tmp_path / "packed"
    pack(folder, into=target, seed=1)
    done = 0
    replace = Path.replace

    def replace_and_stop(self: Path, to: Path) -> Path:
        nonlocal done
        moved = replace(self, to)
        done += 1
        if done == renames:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "replace", replace_and_stop)
    with pytest.raises(KeyboardInterrupt):
        pack(folder, into=target, split={"train": 0.5, "test": 0.3, "more": 0.2}, seed=2)
    together = [key for path in target.glob("*.rec") for key in keys(path)]
    assert len(together) == len(set(together))


def test_splits_of_other_names_go_when_the_folder_is_packed_again(class_folders: Folders, tmp_path: Path) -> None:
    folder, target = class_folders(red=10, green=10), tmp_path / "packed"
    pack(folder, into=target, split={"train": 0.5, "val": 0.25, "test": 0.25})
    others = ("im2rec.rec", "im2rec.idx", "im2rec.lst", "bare.rec", "notes.lst", "notes.labels")
    for name in others:
        (target / name).write_bytes(b"mine")
    pack(folder, into=target)
    pack(folder, into=tmp_path / "fresh")
    assert packed(target) == packed(tmp_path / "fresh") | dict.fromkeys(others, b"mine")


def test_lists_that_lie_beside_what_was_packed_before_stay(class_folders: Folders, tmp_path: Path) -> None:
    folder, target = class_folders(red=10, green=10), tmp_path / "packed"
    pack(folder, into=target)
    before = packed(target)
    pack(folder, into=target, lists={"all": target / "test.lst"})
    after = packed(target)
    assert sorted(after) == ["all.idx", "all.labels", "all.lst", "all.rec", "all.sums", "test.lst"]
    assert after["all.lst"] == after["test.lst"] == before["test.lst"]
    assert after["all.rec"] == before["test.rec"]


def test_a_twin_of_another_class_is_left_out_though_the_list_names_only_one(
    class_folders: Folders, tmp_path: Path
) -> None:
    folder = class_folders(red=3, green=3)
    shutil.copy(folder / "red" / "001.jpg", folder / "green" / "copy.jpg")
    check(folder)
    lists = {"all": write_list(tmp_path / "all.lst", "0\tred/001.jpg", "0\tred/000.jpg", "1\tgreen/000.jpg")}
    pack(folder, into=tmp_path / "packed", lists=lists)
    assert keys(tmp_path / "packed" / "all.rec") == ["red/000.jpg", "green/000.jpg"]
    assert {"red/001.jpg", "green/copy.jpg"}.isdisjoint(keys(folder))


# Stands still once thirty pictures are packed, so that a kill lands midway.
MIDWAY = """
    import sys
    from contextlib import contextmanager
    from pathlib import Path
    from milliner.curation.pack import pack

    @contextmanager
    def progress(task, total):
        done = 0

        def advance(count=1, note=""):
            nonlocal done
            done += count
            if task == "pack" and done == 30:
                Path(sys.argv[3]).touch()
                sys.stdin.read()

        yield advance

    pack(sys.argv[1], into=sys.argv[2], seed=5, progress=progress)
"""


def kill_midway(folder: Path, target: Path, midway: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(MIDWAY), str(folder), str(target), str(midway)]
    pause = threading.Event()
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while not midway.exists() and process.poll() is None:
            pause.wait(0.01)
        process.kill()
    assert midway.exists()


@pytest.mark.parametrize("packed_before", [False, True])
def test_a_killed_pack_run_again_gives_the_bytes_of_one_that_was_not(
    class_folders: Folders, tmp_path: Path, packed_before: bool
) -> None:
    folder, target = class_folders(red=25, green=25), tmp_path / "packed"
    if packed_before:
        pack(folder, into=target, seed=1)
    before = packed(target) if packed_before else {}
    kill_midway(folder, target, tmp_path / "midway")
    after_kill = packed(target)
    assert {name: content for name, content in after_kill.items() if not name.startswith(".")} == before
    assert ".train.rec.part" in after_kill
    pack(folder, into=target, seed=5)
    pack(folder, into=tmp_path / "undisturbed", seed=5)
    assert packed(target) == packed(tmp_path / "undisturbed")


def test_progress_hears_of_every_picture(class_folders: Folders, tmp_path: Path) -> None:
    heard: Counter[str] = Counter()
    totals: Counter[str] = Counter()

    @contextmanager
    def progress(task: str, total: int | None) -> Iterator[Advance]:
        totals[task] += total or 0

        def advance(count: int = 1, note: str = "") -> None:
            heard[task] += count

        yield advance

    pack(class_folders(red=5, green=5), into=tmp_path / "packed", progress=progress)
    assert heard == totals
    assert totals["check"] == totals["pack"] == 10
