"""What check finds across pictures: copies, siblings, two labels, mislabels, and that nothing is computed twice."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from photos import COPIES, drawn, jpeg
from PIL import Image

import milliner
from milliner.core.errors import DatasetError, SettingsError
from milliner.core.progress import Advance
from milliner.curation.check import CheckResult, check
from milliner.images.alike import SAME, Look, sameness
from milliner.images.ledger import Ledger
from milliner.probe.cache import EmbeddingCache


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """Two classes of ten pictures that differ from each other."""
    for number in range(20):
        label = tmp_path / "drawings" / ("even" if number % 2 == 0 else "odd")
        label.mkdir(parents=True, exist_ok=True)
        (label / f"{number:02}.jpg").write_bytes(jpeg(drawn(number)))
    return tmp_path / "drawings"


def found(result: CheckResult, kind: str) -> list[tuple[str, ...]]:
    return [each.files for each in result.findings if each.kind == kind]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_the_same_and_another_picture_is_not(name: str) -> None:
    random = np.random.default_rng(1)
    for seed in range(5):
        picture = drawn(seed)
        look = Look.of(jpeg(picture, 95))
        copy = Look.of(COPIES[name](picture, random))
        other = Look.of(COPIES[name](drawn(100 + seed), random))
        assert sameness(look, copy) >= SAME
        assert sameness(copy, look) >= SAME
        assert sameness(look, other) < 0.5


def test_a_flat_picture_is_like_no_other() -> None:
    flat = Look.of(jpeg(Image.new("RGB", (64, 64), "grey")))
    assert sameness(flat, Look.of(jpeg(drawn(1)))) == sameness(flat, flat) == 0.0


def test_near_duplicates_in_one_class_are_told_with_the_smaller_one_first(drawings: Path) -> None:
    picture = drawn(4, 480, 360)
    (drawings / "even" / "large.jpg").write_bytes(jpeg(picture))
    (drawings / "even" / "mirrored.jpg").write_bytes(COPIES["mirrored"](picture, np.random.default_rng(1)))
    (drawings / "even" / "part.jpg").write_bytes(COPIES["cut to 75 %"](picture, np.random.default_rng(1)))
    (drawings / "even" / "04.jpg").unlink()
    result = check(drawings)
    pairs = {frozenset(files) for files in found(result, "near-duplicate")}
    expected = {"even/large.jpg", "even/mirrored.jpg", "even/part.jpg"}
    assert set().union(*pairs) == expected
    assert ("even/part.jpg", "even/large.jpg") in found(result, "near-duplicate")
    assert {each.action for each in result.findings if each.kind == "near-duplicate"} == {"kept"}
    assert len(result.kept) == 22
    assert all(pair.sameness >= SAME for pair in result.pairs if pair.kind == "near duplicate")
    assert result.largest_group >= 3


def test_without_the_network_copies_are_found_and_crops_are_not(
    drawings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milliner.probe.embed.embed", lambda *_: pytest.fail("the network was asked"))
    random = np.random.default_rng(1)
    for number, name in enumerate(("recompressed", "mirrored", "cut to 60 %")):
        (drawings / "even" / f"{name}.jpg").write_bytes(COPIES[name](drawn(2 * number), random))
    result = check(drawings, quick=True)
    pairs = {frozenset(files) for files in found(result, "near-duplicate")}
    assert pairs == {
        frozenset({"even/recompressed.jpg", "even/00.jpg"}),
        frozenset({"even/mirrored.jpg", "even/02.jpg"}),
    }
    assert {pair.cosine for pair in result.pairs} == {0.0}
    assert not found(result, "sibling")
    assert not found(result, "mislabel")


def test_nearly_the_same_picture_under_two_labels_is_told(drawings: Path) -> None:
    (drawings / "odd" / "copy.jpg").write_bytes(COPIES["recompressed"](drawn(2), np.random.default_rng(1)))
    assert found(check(drawings, quick=True), "two-labels") == [("even/02.jpg", "odd/copy.jpg")]


def test_exact_copies_are_findings_as_well(drawings: Path) -> None:
    shutil.copy(drawings / "even" / "00.jpg", drawings / "even" / "zz.jpg")
    shutil.copy(drawings / "even" / "02.jpg", drawings / "odd" / "zz.jpg")
    result = check(drawings, quick=True)
    assert found(result, "duplicate") == [("even/zz.jpg", "even/00.jpg")]
    assert sorted(found(result, "two-labels")) == [("even/02.jpg", "odd/zz.jpg"), ("odd/zz.jpg", "even/02.jpg")]
    assert {each.action for each in result.findings} == {"set aside"}


def test_unequal_classes_are_told(class_folders: Callable[..., Path]) -> None:
    (finding,) = check(class_folders(red=8, green=2), quick=True).findings
    assert (finding.kind, finding.files, finding.score) == ("imbalance", (), 4.0)
    assert finding.note == "green has 2 pictures, red has 8"


def test_pictures_that_are_all_alike_are_no_siblings(class_folders: Callable[..., Path]) -> None:
    result = check(class_folders(red=12, green=12))
    assert len(found(result, "sibling")) <= 3  # they all have a cosine above 0.9
    assert result.largest_group <= 4


@pytest.mark.parametrize("quick", [True, False])
def test_nothing_new_is_compared_read_or_embedded_again(
    drawings: Path, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    (drawings / "even" / "copy.jpg").write_bytes(COPIES["mirrored"](drawn(2), np.random.default_rng(1)))
    first = check(drawings, quick=quick)
    monkeypatch.setattr("milliner.curation.check.read_bounded", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(EmbeddingCache, "get", lambda *_: pytest.fail("an embedding was looked up"))
    again = check(drawings, quick=quick)
    assert again.looked_at == 0
    assert (again.findings, again.pairs) == (first.findings, first.pairs)
    assert found(again, "near-duplicate")


def test_only_the_new_picture_is_compared(drawings: Path) -> None:
    compared: Counter[str] = Counter()

    @contextmanager
    def counting(task: str, total: int | None) -> Iterator[Advance]:
        def advance(count: int = 1, note: str = "") -> None:
            compared[task] += count

        yield advance

    check(drawings)
    (drawings / "even" / "new.jpg").write_bytes(COPIES["squeezed"](drawn(6), np.random.default_rng(1)))
    result = check(drawings, progress=counting)
    assert (compared["compare"], compared["embed"], result.looked_at) == (1, 1, 1)
    assert found(result, "near-duplicate") == [("even/new.jpg", "even/06.jpg")]


def test_what_is_gone_is_told_no_more_and_a_new_name_is(drawings: Path) -> None:
    (drawings / "even" / "copy.jpg").write_bytes(COPIES["mirrored"](drawn(2), np.random.default_rng(1)))
    check(drawings)
    (drawings / "even" / "copy.jpg").rename(drawings / "even" / "renamed.jpg")
    (pair,) = [pair for pair in check(drawings).pairs if pair.kind == "near duplicate"]
    assert (pair.first, pair.second) == ("even/02.jpg", "even/renamed.jpg")
    (drawings / "even" / "02.jpg").unlink()
    assert not [pair for pair in check(drawings).pairs if pair.kind == "near duplicate"]
    with Ledger.open(drawings / "ledger.sqlite") as ledger:
        kept = {row.sha256 for row in ledger.pictures().values()}
        recipes = [row[0] for row in ledger._connection.execute("SELECT DISTINCT recipe FROM compared")]
        assert all(ledger.comparisons.compared(recipe) <= kept for recipe in recipes)


def test_an_interrupted_comparison_finds_the_same_in_the_end(drawings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mirrored", "squeezed"):
        (drawings / "even" / f"{name}.jpg").write_bytes(COPIES[name](drawn(2), np.random.default_rng(1)))
    whole = check(drawings, ledger=drawings.parent / "whole.sqlite").pairs
    monkeypatch.setattr("milliner.curation.nearest.BLOCK", 4)
    monkeypatch.setattr("milliner.curation.compare.BLOCK", 4)

    @contextmanager
    def stopping(task: str, total: int | None) -> Iterator[Advance]:
        done = 0

        def advance(count: int = 1, note: str = "") -> None:
            nonlocal done
            done += count
            if task == "compare" and done >= 8:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        check(drawings, progress=stopping)
    again = check(drawings).pairs
    near = [pair for pair in again if pair.kind == "near duplicate"]
    assert near == [pair for pair in whole if pair.kind == "near duplicate"] != []


def test_the_cache_is_the_one_that_training_uses(drawings: Path, tmp_path: Path) -> None:
    check(drawings, cache=tmp_path / "cache.sqlite")
    result = milliner.train(drawings, into=tmp_path / "m.onnx", cache=tmp_path / "cache.sqlite")
    assert (result.samples, result.hits, result.misses) == (20, 20, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_checked_without_a_ledger(drawings: Path) -> None:
    drawings.chmod(0o500)
    assert len(check(drawings, quick=True).kept) == 20
    assert not (drawings / "ledger.sqlite").exists()
    drawings.chmod(0o700)


def test_the_engine_and_the_kinds_are_checked_before_anything_is_done(drawings: Path) -> None:
    with pytest.raises(SettingsError, match="There is no engine 'spark'"):
        check(drawings, engine="spark")
    with pytest.raises(SettingsError, match="Nothing is set aside as 'sibling'; give one or more of unreadable"):
        check(drawings, fix=["sibling"])
    assert not (drawings / "ledger.sqlite").exists()


def test_the_json_is_complete(drawings: Path) -> None:
    (drawings / "odd" / "copy.jpg").write_bytes(COPIES["recompressed"](drawn(2), np.random.default_rng(1)))
    document = json.loads(json.dumps(check(drawings, quick=True).to_json()))
    assert document["counts"] == {"two-labels": 1}
    (finding,) = document["findings"]
    assert finding == {
        "kind": "two-labels",
        "files": ["even/02.jpg", "odd/copy.jpg"],
        "note": "nearly the same picture",
        "score": pytest.approx(1, abs=0.05),
        "action": "look",
    }
    assert (document["largest_group"], document["leaks"], document["moved"]) == (2, [], [])


def test_packed_files_are_checked_too(drawings: Path, tmp_path: Path) -> None:
    (drawings / "even" / "copy.jpg").write_bytes(COPIES["mirrored"](drawn(2), np.random.default_rng(1)))
    milliner.pack(drawings, into=tmp_path / "packed", split={"all": 1.0})
    before = sorted(path.name for path in (tmp_path / "packed").iterdir())
    result = check(tmp_path / "packed" / "all.rec")
    assert len(result.kept) == 21
    assert len(found(result, "near-duplicate")) == 1
    assert sorted(path.name for path in (tmp_path / "packed").iterdir()) == before
    with pytest.raises(SettingsError, match="Only a folder of class folders can be fixed"):
        check(tmp_path / "packed" / "all.rec", fix=True)
    with pytest.raises(DatasetError, match="There is no"):
        check(tmp_path / "missing.rec")


@pytest.fixture(scope="module")
def helmets(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third of the real photographs, in a folder that may be written."""
    folder = tmp_path_factory.mktemp("helmets")
    for number, path in enumerate(sorted((test_data / "helmets").glob("*/*.jpg"))):
        if number % 3 == 0:
            (folder / path.parent.name).mkdir(exist_ok=True)
            shutil.copyfile(path, folder / path.parent.name / path.name)
    return folder


def test_copies_of_real_photographs_are_found_and_different_ones_are_not(helmets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    shutil.copytree(helmets, folder)
    random = np.random.default_rng(7)
    originals = sorted(folder.glob("*/*.jpg"))
    chosen = random.choice(len(originals), 60, replace=False)
    made = set()
    for number, place in enumerate(chosen.tolist()):
        path = originals[place]
        name = list(COPIES)[number % len(COPIES)]
        copy = path.with_name(f"copy-{number:02}-{path.name}")
        with Image.open(path) as image:
            copy.write_bytes(COPIES[name](image.convert("RGB"), random))
        made.add(frozenset({path.relative_to(folder).as_posix(), copy.relative_to(folder).as_posix()}))
    told = {frozenset({pair.first, pair.second}) for pair in check(folder).pairs if pair.kind == "near duplicate"}
    assert len(told & made) >= 59  # measured on all 1,150 with ten copies each of 120: all
    assert len(told - made) <= 1  # and one pair among them that is one photograph, toned


def test_flipped_labels_of_real_photographs_are_suspected(helmets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    shutil.copytree(helmets, folder)
    untouched = found(check(folder), "mislabel")
    files = sorted(folder.glob("*/*.jpg"))
    flipped = set()
    for place in np.random.default_rng(3).choice(len(files), len(files) // 20, replace=False).tolist():
        path = files[place]
        label = "nohelmet" if path.parent.name == "helmet" else "helmet"
        path.rename(folder / label / f"flipped-{path.name}")
        flipped.add(f"{label}/flipped-{path.name}")
    suspected = {files[0] for files in found(check(folder), "mislabel")}
    assert len(untouched) <= 8
    assert len(suspected & flipped) >= 0.65 * len(flipped)
    assert len(suspected & flipped) >= 0.6 * len(suspected)


def test_the_originals_split_has_siblings_and_nothing_worse(test_data: Path) -> None:
    root = test_data / "helmets"
    before = sorted(path.name for path in root.iterdir())
    result = check(root, splits={name: root / f"{name}.lst" for name in ("train", "test")})
    (leaks,) = result.leaks
    assert (leaks.split, leaks.other, leaks.pictures) == ("test", "train", 345)
    assert leaks.counts["exact"] == leaks.counts["near duplicate"] == 0
    assert 0.08 <= leaks.share("sibling") <= 0.12
    assert sorted(path.name for path in root.iterdir()) == before


def test_what_was_like_a_picture_that_is_gone_is_compared_again(tmp_path: Path) -> None:
    folder = tmp_path / "burst"
    for number in range(8):
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 2}" / f"{number}.jpg").write_bytes(jpeg(drawn(number)))
    for number in range(14):  # more than the nearest that are noted of each
        (folder / "0" / f"copy{number:02}.jpg").write_bytes(jpeg(drawn(0), 60 + number))
    check(folder)
    for number in range(13):
        (folder / "0" / f"copy{number:02}.jpg").unlink()
    again = check(folder)
    (folder / "ledger.sqlite").unlink()
    fresh = check(folder)
    assert [(pair.first, pair.second) for pair in again.pairs if pair.kind == "near duplicate"] == [
        (pair.first, pair.second) for pair in fresh.pairs if pair.kind == "near duplicate"
    ]
    assert any({pair.first, pair.second} == {"0/0.jpg", "0/copy13.jpg"} for pair in again.pairs)
