"""The contract of every shard format: what is written is what is read."""

from pathlib import Path

import pytest

from milliner.core.plugins import find_plugins
from milliner.core.sample import Dataset
from milliner.shards.dataset import open_dataset
from milliner.shards.format import Format, Record

FORMATS: dict[str, Format] = find_plugins("milliner.shards", "FORMAT")

RECORDS = [
    Record(7, (1.0,), b"second class", "b/one.jpg"),
    Record(0, (0.0,), b"\x0a\x23\xd7\xce" * 5, "a/two words é.jpg"),
    Record(3, (0.0,), b"x" * 100_001, "a/three.jpg"),
]


@pytest.fixture(params=FORMATS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    plugin = FORMATS[request.param]
    with plugin.writer(tmp_path, "train", ["apple", "pear"]) as writer:
        for record in RECORDS:
            writer.add(record)
    (path,) = writer.files
    return path


def test_a_format_reads_back_what_it_wrote(written: Path) -> None:
    dataset: Dataset = open_dataset(written)
    assert len(dataset) == len(RECORDS)
    assert dataset.labels == ("apple", "pear")
    assert list(dataset.targets) == [1, 0, 0]
    for index, record in enumerate(RECORDS):
        sample = dataset[index]
        assert (sample.key, sample.encoded) == (record.key, record.encoded) == (dataset.key(index), sample.encoded)
        assert sample.label == dataset.labels[dataset.targets[index]]


def test_samples_are_read_in_any_order(written: Path) -> None:
    dataset = open_dataset(written)
    assert [dataset[index].key for index in (2, 0, 2, 1)] == [RECORDS[index].key for index in (2, 0, 2, 1)]


@pytest.mark.parametrize("name", FORMATS)
def test_a_writer_that_fails_leaves_nothing(name: str, tmp_path: Path) -> None:
    plugin = FORMATS[name]

    def fail_midway() -> None:
        with plugin.writer(tmp_path, "train", ["a", "b"]) as writer:
            writer.add(RECORDS[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert list(tmp_path.iterdir()) == []


def test_something_else_is_no_dataset(tmp_path: Path) -> None:
    path = tmp_path / "notes.docx"
    path.write_bytes(b"hello")
    with pytest.raises(Exception, match=r"not a dataset; give a folder of class folders or a .*\.rec or \.tar file"):
        open_dataset(path)
