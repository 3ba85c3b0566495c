"""Conversion: the same records in every format, there and back, and nothing lost when it is refused or broken off."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from conftest import fill_class_folders, noise_jpeg
from hypothesis import settings
from test_formats import FORMATS, MANY, NAMES, RECORDS, content, everything, killed_after_three, records, write

from milliner.core.errors import DatasetError, MillinerError
from milliner.core.progress import Advance, silent
from milliner.images.folder import FolderDataset
from milliner.shards.convert import convert, split_name
from milliner.shards.dataset import open_dataset, open_packed
from milliner.shards.format import Packed, Record

PAIRS = list(itertools.permutations(FORMATS, 2))


def opened(folder: Path, to: str, split: str = "train") -> Packed:
    return open_packed(pattern(folder, to, split))


def pattern(folder: Path, to: str, split: str = "train") -> Path:
    return folder / {"recordio": f"{split}.rec", "imagefolder": split}.get(to, f"{split}-*{FORMATS[to].suffix}")


@pytest.mark.parametrize(("first", "second"), PAIRS)
@settings(deadline=None, max_examples=10)
@hypothesis.given(written=records())
def test_there_and_back_nothing_changes(
    tmp_path_factory: pytest.TempPathFactory, first: str, second: str, written: list[Record]
) -> None:
    folder = tmp_path_factory.mktemp("c")
    write(FORMATS[first], folder / "a", written, shard_size=2000)
    there = convert(pattern(folder / "a", first), into=folder / "b", to=second, shard_size=3000)
    back = convert(pattern(folder / "b", second), into=folder / "c", to=first, shard_size=2000)
    assert there.records == back.records == len(written)
    assert everything(opened(folder / "b", second)) == everything(opened(folder / "c", first)) == written
    assert opened(folder / "b", second).labels == opened(folder / "c", first).labels == NAMES
    assert content(folder / "c") == content(folder / "a")


@pytest.mark.parametrize("to", FORMATS)
def test_a_folder_keeps_its_paths_and_classes(to: str, class_folders: Callable[..., Path], tmp_path: Path) -> None:
    source = class_folders(red=3, blue=2)
    (source / "red" / "deeper").mkdir()
    (source / "red" / "deeper" / "000.jpg").write_bytes(noise_jpeg(9))
    result = convert(source, into=tmp_path / "out", to=to)
    packed, folder = opened(tmp_path / "out", to, "pictures"), FolderDataset(source)
    assert (result.split, result.records, result.resumed) == ("pictures", 6, 0)
    assert packed.labels == folder.labels == ("blue", "red")
    assert list(packed.targets) == list(folder.targets)
    for index in range(len(folder)):
        assert packed[index] == folder[index]
        assert packed.record(index).id == index


def test_an_imagefolder_has_the_files_that_a_folder_had(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    source = class_folders(red=3, blue=2)
    convert(source, into=tmp_path / "tars", to="webdataset")
    convert(tmp_path / "tars/pictures-000000.tar", into=tmp_path / "out", to="imagefolder")
    written = content(tmp_path / "out" / "pictures")
    del written[".records.jsonl"]
    assert written == content(source)


def test_an_imagefolder_is_a_folder_like_any_other_once_it_is_edited(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    convert(class_folders(red=3, blue=2), into=tmp_path / "out", to="imagefolder", split="train")
    assert not isinstance(open_dataset(tmp_path / "out/train"), FolderDataset)
    (tmp_path / "out/train/red/new.jpg").write_bytes(noise_jpeg(77))
    edited = open_dataset(tmp_path / "out/train")
    assert isinstance(edited, FolderDataset)
    assert len(edited) == 6
    shutil.rmtree(tmp_path / "out/train/blue")
    assert [item.record for item in open_packed(tmp_path / "out/train").damage() if item] == [
        "blue/000.jpg",
        "blue/001.jpg",
    ]


def test_classes_that_cannot_name_a_folder_get_one_by_their_number(tmp_path: Path) -> None:
    names = ("a/b", "..", "class-0", ".hidden", "Helmet", "helmet", "x" * 300)
    written = [Record(place, (float(place),), b"same", f"{place}/../p.jpg"[:1] + "/p.jpg") for place in range(7)]
    write(FORMATS["recordio"], tmp_path, written, names)
    convert(tmp_path / "train.rec", into=tmp_path / "out", to="imagefolder")
    folders = sorted(path.name for path in (tmp_path / "out/train").iterdir() if path.is_dir())
    assert folders == ["Helmet", "class-0", "class-0-", "class-1", "class-3", "class-6", "helmet"]
    packed = opened(tmp_path / "out", "imagefolder")
    assert packed.labels == names
    assert everything(packed) == written


def test_equal_names_in_one_class_are_kept_apart(tmp_path: Path) -> None:
    written = [Record(place, (0.0,), b"%d" % place, key) for place, key in enumerate(("a/p.jpg", "b/p.jpg", "c/P.JPG"))]
    write(FORMATS["recordio"], tmp_path, written)
    convert(tmp_path / "train.rec", into=tmp_path / "out", to="imagefolder")
    assert sorted(path.name for path in (tmp_path / "out/train/apple").iterdir()) == [
        "000000001-p.jpg",
        "000000002-P.JPG",
        "p.jpg",
    ]
    assert everything(opened(tmp_path / "out", "imagefolder")) == written


@pytest.mark.parametrize("through", [name for name in FORMATS if name != "recordio"])
def test_what_mxnet_wrote_comes_back_byte_for_byte(test_data: Path, tmp_path: Path, through: str) -> None:
    for name in ("multilabel", "magic_split", "images_test"):
        source = test_data / "recordio" / f"{name}.rec"
        convert(source, into=tmp_path / "a", to=through, shard_size=4_000_000)
        convert(pattern(tmp_path / "a", through, name), into=tmp_path / "b", to="recordio")
        assert (tmp_path / "b" / f"{name}.rec").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("to", FORMATS)
def test_a_killed_conversion_is_gone_on_with(to: str, class_folders: Callable[..., Path], tmp_path: Path) -> None:
    source, done = class_folders(red=4, blue=4), 0

    @contextmanager
    def breaking_off(task: str, total: int | None) -> Iterator[Advance]:
        def advance(count: int = 1, note: str = "") -> None:
            nonlocal done
            done += count
            if done == 6:
                raise KeyboardInterrupt

        yield advance

    options: dict[str, Any] = {"into": tmp_path / "out", "to": to, "shard_size": 1, "split": "train"}
    with pytest.raises(KeyboardInterrupt):
        convert(source, **options, progress=breaking_off)
    assert not [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]
    result = convert(source, **options)
    assert (0 if to == "recordio" else 5) <= result.resumed <= 6  # a .rec is on the disk now and then
    convert(source, **options | {"into": tmp_path / "whole"})
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_source_that_has_changed_is_converted_anew(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    source = class_folders(red=3, blue=3)
    result = convert(source, into=tmp_path / "out", to="webdataset", shard_size=1)
    killed_after_three(FORMATS["webdataset"], tmp_path / "out", "another source")
    assert convert(source, into=tmp_path / "out", to="webdataset", shard_size=1).resumed == 0
    assert result.records == 6


@pytest.mark.parametrize("to", FORMATS)
def test_a_damaged_source_is_refused_and_leaves_nothing(to: str, tmp_path: Path) -> None:
    files = write(FORMATS["webdataset"], tmp_path / "in", RECORDS)
    damaged = bytearray(files[0].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    files[0].write_bytes(damaged)
    with pytest.raises(DatasetError, match="milliner shards repair"):
        convert(files[0], into=tmp_path / "deep" / "out", to=to)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_source_is_never_written_over(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    source = class_folders(red=3, blue=3)
    convert(source, into=tmp_path / "out", to="webdataset", split="train", shard_size=1)
    before = content(tmp_path)
    for given, into in (
        (tmp_path / "out/train-000002.tar", tmp_path / "out"),
        (source, source),
        (source, source / "red"),
        (source, source / "new"),
    ):
        with pytest.raises(DatasetError, match="write into another folder"):
            convert(given, into=into, to="webdataset")
    assert content(tmp_path) == before


def test_names_that_another_file_relies_on_are_not_replaced(tmp_path: Path) -> None:
    write(FORMATS["recordio"], tmp_path, RECORDS, NAMES)
    with pytest.raises(DatasetError, match=r"names other classes for train\.rec; write into another folder\.$"):
        write(FORMATS["webdataset"], tmp_path, RECORDS, ("x", "y"))
    write(FORMATS["webdataset"], tmp_path, RECORDS, NAMES)
    assert open_packed(tmp_path / "train.rec").labels == open_packed(tmp_path / "train-000000.tar").labels == NAMES


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"to": "tfrecord"}, "There is no format 'tfrecord'; give one of imagefolder, parquet, recordio, webdataset."),
        ({"split": "a/b"}, "'a/b' cannot be a file's name; give another --split."),
        ({"split": ".a"}, "'.a' cannot be a file's name; give another --split."),
        ({"shard_size": 0}, "A shard of 0 bytes holds nothing; give a larger --shard-size."),
    ],
)
def test_wrong_wishes_are_one_sentence(
    class_folders: Callable[..., Path], tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    wishes: dict[str, Any] = {"into": tmp_path / "out", "to": "webdataset", **options}
    with pytest.raises(MillinerError) as caught:
        convert(class_folders(red=1, blue=1), **wishes)
    assert str(caught.value) == sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("x/train.rec", "train"),
        ("x/train-*.tar", "train"),
        ("x/train-{000000..000003}.tar", "train"),
        ("x/train-000002.tar", "train"),
        ("x/train-00000-of-00002.parquet", "train"),
        ("x/train-*-of-00002.parquet", "train"),
        ("x/my.set-000002.tar", "my.set"),
        ("x/{a,b}.tar", "data"),
        ("x/*.tar", "data"),
    ],
)
def test_a_split_is_called_as_its_source(source: str, name: str) -> None:
    assert split_name(source) == name


def test_the_progress_counts_every_record(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    seen: list[tuple[str, int | None]] = []

    def watched(task: str, total: int | None) -> Any:
        seen.append((task, total))
        return silent(task, total)

    convert(class_folders(red=2, blue=3), into=tmp_path / "out", to="recordio", progress=watched)
    assert seen == [("convert", 5)]


OPENED: list[tuple[str, str]] = [
    ("nowhere", "There is no nowhere; give a folder of class folders or a .parquet, .rec or .tar file"),
    ("nowhere-*.tar", "There is no nowhere-*.tar, which nowhere-*.tar stands for"),
    ("train-{000000..000009}.tar", "There is no train-000005.tar, which train-{000000..000009}.tar stands for"),
    ("train-{0..99999}{0..99999}.tar", "stands for over 100,000 files"),
    ("{" * 20 + "a,b" + "}" * 20, "has over 16 braces"),
    ("{train,train}-000000.tar", "names a file twice"),
    ("train-00000{0,1}.{tar,sums}", "is not a dataset"),
    ("packed.tar.gz", "is compressed, so that nothing in it can be read alone; unpack it to a .tar"),
    ("gzipped.tar", "is compressed with gzip"),
    ("empty.tar", "is cut short at byte 0"),
    ("text.parquet", "is damaged or no Parquet file"),
    ("{train,train2}.rec", "stands for 2 record files; give one at a time"),
]


@pytest.mark.parametrize(("given", "sentence"), OPENED)
def test_what_cannot_be_opened_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(FORMATS["webdataset"], Path(), RECORDS, shard_size=1)
    for name in ("train.rec", "train2.rec", "packed.tar.gz", "empty.tar", "text.parquet"):
        Path(name).write_bytes(b"hello" * (name == "text.parquet"))
    Path("gzipped.tar").write_bytes(b"\x1f\x8b rest")
    with pytest.raises(DatasetError) as caught:
        open_dataset(given)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_name_that_is_there_is_no_pattern(tmp_path: Path) -> None:
    for name in ("photos[1]", "{a,b}", "all*"):
        fill_class_folders(tmp_path / name, red=1, blue=1)
        assert len(open_dataset(tmp_path / name)) == 2
        convert(tmp_path / name, into=tmp_path / "out", to="webdataset", split=name)
        assert len(open_dataset(tmp_path / "out" / f"{name}-000000.tar")) == 2


def test_braces_keep_their_order(tmp_path: Path) -> None:
    write(FORMATS["webdataset"], tmp_path, RECORDS, shard_size=1)
    packed = open_packed(f"{tmp_path}/train-{{000003..000001}}.tar")
    assert everything(packed) == RECORDS[3:0:-1]
    packed = open_packed(f"{tmp_path}/train-00000{{4,0}}.tar")
    assert everything(packed) == [RECORDS[4], RECORDS[0]]


@pytest.mark.parametrize("name", MANY)
def test_tars_of_different_splits_are_not_mixed(name: str, tmp_path: Path) -> None:
    (first,) = write(FORMATS[name], tmp_path / "a", RECORDS, ("x", "y"))
    (second,) = write(FORMATS[name], tmp_path / "b", RECORDS, ("y", "x"))
    packed = FORMATS[name].open([first, second])
    with pytest.raises(DatasetError, match="of splits with different classes; open one at a time"):
        _ = packed.labels


def test_parquet_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(FORMATS["webdataset"], tmp_path, RECORDS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MillinerError, match=r"install it with `pip install 'milliner\[parquet\]'`\.$"):
        convert(tmp_path / "train-000000.tar", into=tmp_path / "out", to="parquet")
    assert not (tmp_path / "out").exists()
