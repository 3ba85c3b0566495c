"""Packed files as the libraries that they are made for read them: webdataset, datasets, tarfile, im2rec's numbers."""

import gc
import importlib
import io
import tarfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from conftest import noise_jpeg
from PIL import Image
from pyarrow import parquet
from test_formats import FORMATS, content, everything, write

from milliner.core.errors import DatasetError
from milliner.images.folder import FolderDataset
from milliner.shards.convert import convert
from milliner.shards.dataset import open_dataset, open_packed
from milliner.shards.format import Record
from milliner.shards.look import look


def as_format(kind: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(noise_jpeg(seed, side=16))).save(buffer, kind, lossless=True)
    return buffer.getvalue()


NAMES = ("apple", "pear")
PICTURES = [
    Record(40, (1.0,), noise_jpeg(1), "b/same.name.jpg"),
    Record(30, (0.0, 7.5), as_format("PNG", 2), "a/same.name.jpg"),
    Record(20, (1.0,), as_format("WEBP", 3), "b/two words é.webp"),
    Record(10, (0.0,), noise_jpeg(4), "a/1.jpg"),
]


def pixels(encoded: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def equal(picture: Any, record: Record) -> bool:
    return np.array_equal(np.asarray(picture.convert("RGB")), pixels(record.encoded))


@pytest.fixture
def webdataset() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library itself, which leaves closing files to the collector
        yield importlib.import_module("webdataset")
        gc.collect()


@pytest.fixture
def load(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`datasets.load_dataset` without a network, with a cache of its own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = importlib.import_module("datasets")
        library.disable_progress_bars()

        def load_dataset(*arguments: Any, **options: Any) -> Any:
            return library.load_dataset(*arguments, cache_dir=str(tmp_path_factory.mktemp("cache")), **options)

        yield load_dataset


@pytest.mark.parametrize("shard_size", [None, 1])
def test_webdataset_reads_our_tars(webdataset: Any, tmp_path: Path, shard_size: int | None) -> None:
    files = write(FORMATS["webdataset"], tmp_path, PICTURES, NAMES, shard_size=shard_size)
    urls = f"{tmp_path}/train-{{000000..{len(files) - 1:06}}}.tar"
    stream = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pil")
    seen = list(stream.to_tuple("__key__", "jpg;png;webp", "cls", "json"))
    assert [key for key, *_ in seen] == [f"{place:09}" for place in range(len(PICTURES))]
    for (_, picture, number, described), record in zip(seen, PICTURES, strict=True):
        assert equal(picture, record)
        assert number == record.labels[0]
        assert described == {
            "id": record.id,
            "key": record.key,
            "label": NAMES[number],
            "labels": list(record.labels),
        }


def test_we_read_tars_that_webdataset_writes(webdataset: Any, tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "peer-000000.tar")) as tar:
        for place, record in enumerate(PICTURES):
            tar.write({"__key__": f"folder/{place:04}", "jpg": record.encoded, "cls": int(record.labels[0])})
    packed = open_packed(tmp_path / "peer-000000.tar")
    assert [packed.record(index) for index in range(len(packed))] == [
        Record(place, (record.labels[0],), record.encoded, f"folder/{place:04}")
        for place, record in enumerate(PICTURES)
    ]
    assert packed.labels == ("0", "1")
    assert packed.find("folder/0002") == 2
    (tmp_path / "peer.labels").write_text("apple\npear\n")
    assert open_dataset(tmp_path / "peer-000000.tar").labels == NAMES
    convert(tmp_path / "peer-000000.tar", into=tmp_path / "out", to="webdataset")
    assert everything(open_packed(tmp_path / "out/peer-000000.tar")) == everything(packed)


def test_tarfile_reads_our_headers_and_would_write_the_same(tmp_path: Path) -> None:
    (path,) = write(FORMATS["webdataset"], tmp_path, PICTURES, NAMES)
    again = io.BytesIO()
    with tarfile.open(path) as tar, tarfile.open(fileobj=again, mode="w", format=tarfile.USTAR_FORMAT) as copy:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
            plain = tarfile.TarInfo(member.name)
            plain.size = member.size
            copy.addfile(plain, tar.extractfile(member))
    size = path.stat().st_size
    assert again.getvalue()[:size] == path.read_bytes()
    assert not any(again.getvalue()[size:])


@pytest.mark.parametrize("shard_size", [None, 1])
def test_datasets_reads_our_parquet(load: Callable[..., Any], tmp_path: Path, shard_size: int | None) -> None:
    files = write(FORMATS["parquet"], tmp_path, PICTURES, NAMES, shard_size=shard_size)
    found = load("parquet", data_files=[str(path) for path in files], split="train")
    assert type(found.features["image"]).__name__ == "Image"
    assert found.features["label"].names == list(NAMES)
    for row, record in zip(found, PICTURES, strict=True):
        assert equal(row["image"], record)
        assert (row["label"], row["id"], row["labels"]) == (record.labels[0], record.id, list(record.labels))
    assert len(load(str(tmp_path))["train"]) == len(PICTURES)


def test_we_read_parquet_that_datasets_writes(load: Callable[..., Any], tmp_path: Path) -> None:
    library: Any = importlib.import_module("datasets")
    rows = {
        "image": [{"bytes": record.encoded, "path": None} for record in PICTURES],
        "label": [int(record.labels[0]) for record in PICTURES],
    }
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=list(NAMES))})
    library.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "peer.parquet"))
    packed = open_packed(tmp_path / "peer.parquet")
    assert packed.labels == NAMES
    assert [packed.record(index) for index in range(len(packed))] == [
        Record(place, (record.labels[0],), record.encoded, str(place)) for place, record in enumerate(PICTURES)
    ]
    assert list(packed.damage()) == [None] * len(PICTURES)


def test_datasets_and_folders_read_our_imagefolder(load: Callable[..., Any], tmp_path: Path) -> None:
    for split in ("train", "test"):
        with FORMATS["imagefolder"].writer(tmp_path, split, NAMES) as writer:
            for record in PICTURES:
                writer.add(record)
    by_key = {(tuple(record.labels[:1]), pixels(record.encoded).tobytes()) for record in PICTURES}
    whole = load("imagefolder", data_dir=str(tmp_path))
    assert set(whole) == {"train", "test"}
    for found in (whole["train"], load("imagefolder", data_dir=str(tmp_path / "train"), split="train")):
        assert type(found.features["image"]).__name__ == "Image"
        assert found.features["label"].names == list(NAMES)
        assert set(found.features) == {"image", "label"}
        seen = {((float(row["label"]),), np.asarray(row["image"].convert("RGB")).tobytes()) for row in found}
        assert (len(found), seen) == (len(PICTURES), by_key)
    plain = FolderDataset(tmp_path / "train")
    assert sorted(plain.key(index) for index in range(len(plain))) == [
        "apple/1.jpg",
        "apple/same.name.jpg",
        "pear/same.name.jpg",
        "pear/two words é.webp",
    ]


def test_datasets_reads_our_tars(load: Callable[..., Any], tmp_path: Path) -> None:
    records = [PICTURES[0], PICTURES[3]]
    files = write(FORMATS["webdataset"], tmp_path, records, NAMES)
    found = load("webdataset", data_files=[str(path) for path in files], split="train")
    for row, record in zip(found, records, strict=True):
        assert equal(row["jpg"], record)
        assert row["json"]["key"] == record.key
        assert row["cls"] == record.labels[0]


def test_real_photographs_pass_through_every_format_untouched(test_data: Path, tmp_path: Path) -> None:
    source = test_data / "ants-bees" / "val"
    folder = FolderDataset(source)
    for to in FORMATS:
        convert(source, into=tmp_path / to, to=to, shard_size=2_000_000)
        files = sorted(path for path in (tmp_path / to).iterdir() if path.suffix == FORMATS[to].suffix or path.is_dir())
        packed = FORMATS[to].open(files)
        assert [packed[index] for index in range(len(packed))] == [folder[index] for index in range(len(folder))]
        assert [item for item in packed.damage() if item] == []
    kept = {name: found for name, found in content(tmp_path / "imagefolder/val").items() if not name.startswith(".")}
    assert kept == content(source)


@pytest.mark.parametrize("label", ["cat", None])
def test_labels_of_others_that_are_no_numbers_are_one_sentence(tmp_path: Path, label: str | None) -> None:
    table = pyarrow.table({"image": [{"bytes": noise_jpeg(1), "path": "a.jpg"}], "label": pyarrow.array([label])})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="is no number; use numbers"):
        open_packed(tmp_path / "a.parquet").record(0)


def test_labels_that_are_no_classes_can_be_listed(test_data: Path) -> None:
    found = look(test_data / "recordio" / "multilabel.rec")
    assert found.records == sum(found.classes.values()) == 6
    assert "0.5" in found.classes
