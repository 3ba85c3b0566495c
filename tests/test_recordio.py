"""RecordIO: what is written is read, what MXNet wrote is read, and damage is named instead of believed."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milliner.core.errors import DatasetError, MillinerError
from milliner.core.sample import Dataset
from milliner.shards.dataset import open_dataset
from milliner.shards.format import Record
from milliner.shards.lists import read_list
from milliner.shards.recordio import FORMAT
from milliner.shards.records.framing import head, read, walk

MAGIC = b"\x0a\x23\xd7\xce"

payloads = st.lists(st.sampled_from([MAGIC, MAGIC * 2, MAGIC[:3], b"\0", bytes(4)]) | st.binary(max_size=9)).map(
    b"".join
)
ids = st.integers(0, 2**64 - 1) | st.sampled_from([0xCED7230A, 0xCED7230A << 32])
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def records_of(labels: st.SearchStrategy[tuple[float, ...]]) -> st.SearchStrategy[list[Record]]:
    return st.lists(
        st.builds(Record, ids, labels, payloads), min_size=1, max_size=6, unique_by=lambda record: record.id
    )


def write(path: Path, records: Sequence[Record], labels: Sequence[str] = ("red", "green")) -> Path:
    with FORMAT.writer(path.parent, path.stem, labels) as writer:
        for record in records:
            writer.add(replace(record, key=f"red/{record.id}.jpg"))
    return path


def small(folder: Path) -> Path:
    """Five records, two of them in parts."""
    contents = [b"first", MAGIC + b"second" + MAGIC, b"", b"x" * 50, bytes(2) + MAGIC + bytes(2) + MAGIC]
    records = [Record(place, (float(place % 2),), content) for place, content in enumerate(contents)]
    return write(folder / "train.rec", records)


def foreign(path: Path) -> Path:
    """The file as MXNet would have left it, without checksums."""
    path.with_suffix(".sums").unlink()
    return path


def read_all(path: Path) -> None:
    """All that training asks of a record file."""
    dataset = open_dataset(path)
    assert len(dataset.targets) == len(everything(dataset))


def everything(dataset: Dataset) -> list[tuple[str, str, bytes]]:
    samples = [dataset[index] for index in range(len(dataset))]
    return [(sample.key, sample.label, sample.encoded) for sample in samples]


@settings(deadline=None, max_examples=50)
@given(records=records_of(st.lists(floats, min_size=1, max_size=4).map(tuple)))
def test_records_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    path = write(tmp_path_factory.mktemp("rec") / "train.rec", records)
    keyed = [replace(record, key=f"red/{record.id}.jpg") for record in records]
    dataset = FORMAT.open([path])
    assert [dataset.record(place) for place in range(len(dataset))] == keyed
    assert [dataset.find(record.key) for record in keyed] == list(range(len(keyed)))
    assert list(dataset.damage()) == [None] * len(records)
    other = FORMAT.open([foreign(path)])
    assert [other.record(place) for place in range(len(other))] == keyed
    assert [other.find(record.key) for record in keyed] == list(range(len(keyed)))


@settings(deadline=None, max_examples=50)
@given(records=records_of(st.tuples(st.integers(0, 2).map(float))), order=st.randoms(use_true_random=False))
def test_a_record_file_is_a_dataset_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], order: Any
) -> None:
    names = ("red", "green", "blue")
    dataset = open_dataset(write(tmp_path_factory.mktemp("rec") / "train.rec", records, names))
    assert dataset.labels == names
    assert list(dataset.targets) == [int(record.labels[0]) for record in records]
    places = list(range(len(records)))
    order.shuffle(places)
    for place in places:
        sample, record = dataset[place], records[place]
        assert sample.encoded == record.encoded
        assert (sample.key, sample.label) == (f"red/{record.id}.jpg", names[int(record.labels[0])])


def test_records_begin_at_multiples_of_four_and_cut_the_magic_out(tmp_path: Path) -> None:
    path = write(tmp_path / "train.rec", [Record(1, (1.0,), b"ab" + MAGIC), Record(2, (0.0,), MAGIC + b"c")])
    header = [struct.pack("<IfQQ", 0, label, identity, 0) for label, identity in ((1.0, 1), (0.0, 2))]
    whole = [MAGIC, struct.pack("<I", 30), header[0], b"ab", MAGIC, bytes(2)]
    parts = [MAGIC, struct.pack("<I", 1 << 29 | 24), header[1], MAGIC, struct.pack("<I", 3 << 29 | 1), b"c", bytes(3)]
    assert path.read_bytes() == b"".join(whole + parts)
    assert path.with_suffix(".idx").read_bytes() == b"1\t0\n2\t40\n"
    assert path.with_suffix(".lst").read_bytes() == b"1\t1.000000\tred/1.jpg\n2\t0.000000\tred/2.jpg\n"
    assert path.with_suffix(".labels").read_bytes() == b"red\ngreen\n"


def index_of(path: Path) -> list[tuple[int, int]]:
    rows = [line.split("\t") for line in path.with_suffix(".idx").read_text().splitlines()]
    return [(int(key), int(position)) for key, position in rows]


@pytest.mark.parametrize("name", ["magic_split", "multilabel"])
def test_files_that_mxnet_wrote_say_what_mxnet_reads_in_them(test_data: Path, name: str) -> None:
    truth = json.loads((test_data / "recordio" / f"{name}.truth.json").read_text())
    path = test_data / "recordio" / f"{name}.rec"
    dataset, content = FORMAT.open([path]), path.read_bytes()
    starts = [at for at, flag, _ in truth["raw_parts_offset_cflag_len"] if flag in (0, 1)]
    assert starts == list(walk(content, lambda count: None)) == sorted(position for _, position in index_of(path))
    places = {key: place for place, (key, _) in enumerate(index_of(path))}
    for expected in truth["records"]:
        record = dataset.record(places[expected["key"]])
        label = expected["label_read"]
        assert record.labels == tuple(label if isinstance(label, list) else [label])
        position = dict(index_of(path))[expected["key"]]
        assert head(content, position)[:2] == (record.id, record.labels[0])
        assert record.id == expected["id"]
        assert len(record.encoded) == expected["payload_len"]
        assert hashlib.sha1(record.encoded).hexdigest() == expected["payload_sha1"]


def test_records_in_parts_are_written_byte_for_byte_as_mxnet_does(test_data: Path, tmp_path: Path) -> None:
    path = test_data / "recordio" / "magic_split.rec"
    ours = write(tmp_path / "magic_split.rec", [read(path.read_bytes(), position) for _, position in index_of(path)])
    assert ours.read_bytes() == path.read_bytes()


def test_a_packed_file_of_mxnet_holds_the_photographs_of_its_list(test_data: Path, tmp_path: Path) -> None:
    listed = read_list(test_data / "helmets" / "test.lst")
    dataset = open_dataset(test_data / "recordio" / "images_test.rec")
    assert len(dataset) == len(listed) == 345
    assert dataset.labels == ("0", "1")  # there are no names beside it
    for place in (0, 1, 100, 344):
        sample, line = dataset[place], listed[place]
        assert (sample.key, sample.label) == (str(line.id), f"{line.labels[0]:g}")
        assert sample.encoded == (test_data / "helmets" / line.path).read_bytes()
    (tmp_path / "bare.rec").symlink_to(test_data / "recordio" / "images_test.rec")
    assert everything(open_dataset(tmp_path / "bare.rec")) == everything(dataset)


def test_without_an_index_the_records_are_found_all_the_same(tmp_path: Path) -> None:
    path = small(tmp_path)
    before = everything(open_dataset(path))
    path.with_suffix(".idx").unlink()
    assert everything(open_dataset(path)) == before


def test_the_order_of_the_index_is_the_order_of_the_samples(tmp_path: Path) -> None:
    path = small(tmp_path)
    before = everything(open_dataset(path))
    index = path.with_suffix(".idx")
    index.write_text("".join(reversed(index.read_text().splitlines(keepends=True))))
    assert everything(open_dataset(path)) == before[::-1]


def test_without_a_list_the_ids_are_the_keys(tmp_path: Path) -> None:
    path = foreign(small(tmp_path))
    path.with_suffix(".lst").unlink()
    assert [key for key, _, _ in everything(open_dataset(path))] == ["0", "1", "2", "3", "4"]


def test_without_names_the_numbers_name_the_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "train.rec", [Record(place, (label,), b"x") for place, label in enumerate((7.0, 2.0, 7.0))])
    path.with_suffix(".labels").unlink()
    path.with_suffix(".sums").unlink()
    dataset = open_dataset(path)
    assert dataset.labels == ("2", "7")
    assert list(dataset.targets) == [1, 0, 1]
    assert [label for _, label, _ in everything(dataset)] == ["7", "2", "7"]


def test_many_threads_read_what_one_reads(tmp_path: Path) -> None:
    dataset = open_dataset(small(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        samples = list(pool.map(dataset.__getitem__, list(range(5)) * 50))
    assert [(sample.key, sample.label, sample.encoded) for sample in samples] == everything(dataset) * 50


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = small(tmp_path)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DatasetError, match=r"cut short at byte \d+ of|is empty|does not fit") as caught:
            read_all(path)
        assert str(path.parent) in str(caught.value)
        with suppress(DatasetError):
            pytest.fail(f"{end} bytes have {len(open_dataset(path).targets)} labels")


def test_a_file_cut_at_any_byte_is_refused_or_shorter_without_its_index(tmp_path: Path) -> None:
    path = small(tmp_path)
    starts, whole, samples = [at for _, at in index_of(path)], path.read_bytes(), everything(open_dataset(path))
    path.with_suffix(".idx").unlink()
    for end in range(1, len(whole)):
        path.write_bytes(whole[:end])
        if end in starts:  # a whole number of records: nothing in the file tells that there were more
            assert everything(open_dataset(path)) == samples[: starts.index(end)]
        else:
            with pytest.raises(
                DatasetError, match=f"damaged or cut short at byte \\d+ of {end}; copy or pack it again"
            ):
                open_dataset(path)


@settings(deadline=None, max_examples=100)
@given(place=st.integers(0, 255), value=st.binary(min_size=1, max_size=8), with_index=st.booleans())
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: bytes, with_index: bool
) -> None:
    path = small(tmp_path_factory.mktemp("rec"))
    if not with_index:
        path.with_suffix(".idx").unlink()
    content = bytearray(path.read_bytes())
    content[place : place + len(value)] = value
    path.write_bytes(content)
    with suppress(DatasetError):
        everything(open_dataset(path))


def test_a_record_whose_parts_do_not_belong_together_is_refused(tmp_path: Path) -> None:
    whole = MAGIC + struct.pack("<I", 24) + bytes(24)
    first = MAGIC + struct.pack("<I", 1 << 29 | 24) + bytes(24)
    last = MAGIC + struct.pack("<I", 3 << 29 | 4) + bytes(4)
    path = tmp_path / "train.rec"
    path.write_bytes(whole + first + last + whole)
    assert len(open_dataset(path)) == 3
    for wrong, at in ((first + whole, 32), (first + first + last, 32), (last + whole, 0), (whole + last, 32)):
        path.write_bytes(wrong)
        with pytest.raises(DatasetError, match=f"at byte {at} of"):
            open_dataset(path)


def test_a_record_that_claims_more_labels_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    path.write_bytes(MAGIC + struct.pack("<I", 28) + struct.pack("<IfQQf", 2**32 - 1, 0.0, 0, 0, 1.0))
    dataset = open_dataset(path)
    with pytest.raises(DatasetError, match="damaged or cut short at byte 0"):
        dataset[0]


@pytest.mark.parametrize(
    "index",
    [
        "",
        "0\t0\n1\t32\n",
        "0\t0\n1\t40\n2\t92\n3\t124\n",
        "0\t0\n2\t92\n3\t124\n4\t208\n",
        "0\t0\n0\t0\n1\t40\n2\t92\n3\t124\n4\t208\n",
        "0\t4\n1\t40\n2\t92\n3\t124\n4\t208\n",
        "0\t-8\n1\t40\n2\t92\n3\t124\n4\t208\n",
        f"0\t0\n1\t40\n2\t92\n3\t124\n4\t{2**70}\n",
    ],
    ids=["empty", "other", "last missing", "one missing", "one twice", "inside a record", "negative", "beyond the end"],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, index: str) -> None:
    path = small(tmp_path)
    assert path.with_suffix(".idx").read_text() == "0\t0\n1\t40\n2\t92\n3\t124\n4\t208\n"
    path.with_suffix(".idx").write_text(index)
    with pytest.raises(DatasetError, match=r"train\.idx does not fit .*train\.rec; delete the index or pack again"):
        _ = open_dataset(path).targets


@pytest.mark.parametrize("content", [b"0 0\n", b"0\tx\n", b"\xff\xfe0\x000", b"just words"])
def test_an_index_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = small(tmp_path)
    path.with_suffix(".idx").write_bytes(content)
    with pytest.raises(DatasetError, match=r"train\.idx is not (an index of id<tab>position lines|UTF-8 text)"):
        open_dataset(path)


@pytest.mark.parametrize("names", [("one",), ("Ünï", "猫"), ("line\u2028separator", "form\x0cfeed", " spaces ")])
def test_class_names_come_back_as_they_are(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert open_dataset(write(tmp_path / "train.rec", [Record(0, (0.0,), b"x")], names)).labels == names


@pytest.mark.parametrize("content", [b"red\r\ngreen\r\n", b"red\ngreen", b"\xef\xbb\xbfred\ngreen\n"])
def test_names_may_be_written_by_any_editor(tmp_path: Path, content: bytes) -> None:
    path = small(tmp_path)
    path.with_suffix(".labels").write_bytes(content)
    assert open_dataset(path).labels == ("red", "green")


def test_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = small(tmp_path)
    path.with_suffix(".sums").unlink()
    path.with_suffix(".labels").write_text("red\n")
    with pytest.raises(DatasetError, match=r"has a label 1, but .*train\.labels names 1 classes"):
        _ = open_dataset(path).targets
    with pytest.raises(DatasetError, match=r"has a label 1, but .*train\.labels names 1 classes"):
        everything(open_dataset(path))
    path.with_suffix(".labels").write_bytes(b"caf\xe9\nred\n")
    with pytest.raises(DatasetError, match=r"train\.labels is not UTF-8 text"):
        everything(open_dataset(path))


@pytest.mark.parametrize("content", ["red\nred\n", "red\n\n", "\n", "\nred\n"])
def test_names_that_do_not_tell_classes_apart_are_refused(tmp_path: Path, content: str) -> None:
    path = small(tmp_path)
    path.with_suffix(".labels").write_text(content)
    with pytest.raises(DatasetError, match=r"train\.labels has an empty line or one name twice; give every class"):
        _ = open_dataset(path).labels


@pytest.mark.parametrize(
    ("suffix", "size", "text"), [(".idx", 2**33, "8 GiB"), (".labels", 2**28, "256 MiB"), (".lst", 2**33, "8 GiB")]
)
def test_what_lies_beside_a_record_file_is_read_within_bounds(
    tmp_path: Path, suffix: str, size: int, text: str
) -> None:
    path = foreign(small(tmp_path))
    with path.with_suffix(suffix).open("r+b") as file:
        file.truncate(size + 1)
    with pytest.raises(DatasetError, match=rf"train\{suffix} is over {text}"):
        everything(open_dataset(path))
    path.with_suffix(suffix).unlink()
    os.mkfifo(path.with_suffix(suffix))  # to open it would wait for a writer for ever
    with pytest.raises(DatasetError, match=rf"train\{suffix} cannot be read \(it is no regular file\); check the path"):
        everything(open_dataset(path))


@pytest.mark.parametrize("label", [0.5, -1.0, float("nan"), float("inf")])
def test_a_label_that_is_no_class_number_is_refused(tmp_path: Path, label: float) -> None:
    path = write(tmp_path / "train.rec", [Record(0, (label,), b"x")])
    with pytest.raises(DatasetError, match="not a class number"):
        _ = open_dataset(path).targets
    with pytest.raises(DatasetError, match="not a class number"):
        everything(open_dataset(path))


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.rec").write_bytes(b"")
    with pytest.raises(DatasetError, match="is empty; pack it again"):
        open_dataset(tmp_path / "train.rec")
    with pytest.raises(DatasetError, match="cannot be read"):
        FORMAT.open([tmp_path / "missing.rec"])


@pytest.mark.parametrize("name", ["line\nbreak", "return\rhere"])
def test_a_class_name_that_the_names_file_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="rename its folder"):
        write(tmp_path / "train.rec", [], ("red", name))
    assert list(tmp_path.iterdir()) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_failed_writing_leaves_all_old_files(tmp_path: Path) -> None:
    path = small(tmp_path)
    before = contents(tmp_path)

    def fail() -> None:
        with FORMAT.writer(path.parent, path.stem, ("other",)) as writer:
            writer.add(Record(9, (0.0,), b"other", "other.jpg"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert contents(tmp_path) == before


def test_a_second_writer_of_the_same_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    with FORMAT.writer(path.parent, path.stem, ("red",)) as writer:
        with pytest.raises(MillinerError, match="being written by another process"):
            small(tmp_path)
        writer.add(Record(0, (0.0,), b"mine", "mine.jpg"))
    assert everything(open_dataset(path)) == [("mine.jpg", "red", b"mine")]
    assert sorted(contents(tmp_path)) == ["train.idx", "train.labels", "train.lst", "train.rec", "train.sums"]


# What fits into the buffer meets the full disk only when all is done: 5,000 bytes where 4,096 have room.
ON_A_FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    from milliner.shards.format import Record
    from milliner.shards.recordio import FORMAT

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    with FORMAT.writer(Path(sys.argv[1]).parent, Path(sys.argv[1]).stem, ("other", "names")) as writer:
        writer.add(Record(9, (1.0,), bytes(5000), "other.jpg"))
"""


def test_a_full_disk_leaves_all_old_files(tmp_path: Path) -> None:
    path = small(tmp_path)
    before = contents(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ON_A_FULL_DISK), str(path)], capture_output=True, text=True, check=False
    )
    assert "OSError" in ran.stderr
    assert contents(tmp_path) == before


# The disk has room again once the failed file's neighbours are gone, as it has where they are given up first.
TWO_ON_A_FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    from milliner.shards.format import Record
    from milliner.shards.recordio import FORMAT

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder = Path(sys.argv[1])
    try:
        with FORMAT.writer(folder, "train", ()) as train, FORMAT.writer(folder, "test", ()):
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
            try:
                train.add(Record(9, (1.0,), bytes(2_000_000), "a.jpg"))
                train.sync()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    except OSError as error:
        print(error.filename)
"""


def test_a_full_disk_is_told_of_the_file_that_was_being_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(TWO_ON_A_FULL_DISK), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{tmp_path / 'train.rec'}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_smaller_file_may_take_the_place_of_one_that_is_open(tmp_path: Path) -> None:
    path = write(tmp_path / "train.rec", [Record(place, (0.0,), bytes(5000)) for place in range(20)])
    dataset = open_dataset(path)
    small(tmp_path)
    assert dataset[19].encoded == bytes(5000)
    assert len(open_dataset(path)) == 5


def test_a_record_file_is_a_sequence(tmp_path: Path) -> None:
    for path in (small(tmp_path), foreign(small(tmp_path))):
        dataset: Any = FORMAT.open([path])
        assert dataset[-1] == dataset[4]
        assert dataset.key(-5) == dataset.key(0)
        assert list(dataset) == [dataset[place] for place in range(5)]
        for outside in (5, -6, 2**70):
            for read_one in (dataset.__getitem__, dataset.record, dataset.key):
                with pytest.raises(IndexError):
                    read_one(outside)
        with pytest.raises(KeyError):
            dataset.find("nobody")


def test_of_two_records_with_one_key_the_first_is_found(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    with FORMAT.writer(tmp_path, "train", ["red"]) as writer:
        for identity, key in enumerate(("a", "b", "b", "a")):
            writer.add(Record(identity, (0.0,), b"x", key))
    for file in (path, foreign(path)):
        assert [FORMAT.open([file]).find(key) for key in "ab"] == [0, 1]


def keys_of(dataset: Any) -> list[str]:
    return [sample.key for sample in dataset]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_what_this_one_reads(tmp_path: Path, method: str) -> None:
    dataset = FORMAT.open([small(tmp_path)])
    here = keys_of(dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads that other tests have left
        with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
            assert list(pool.map(keys_of, [dataset] * 4)) == [here] * 4


def test_a_list_in_another_order_names_the_same_records(tmp_path: Path) -> None:
    path = foreign(small(tmp_path))
    before = everything(open_dataset(path))
    lines = path.with_suffix(".lst").read_text().splitlines(keepends=True)
    path.with_suffix(".lst").write_text("".join([*reversed(lines), "\n"]))
    assert everything(open_dataset(path)) == before
    path.with_suffix(".lst").write_text("".join([*reversed(lines), lines[0]]))
    with pytest.raises(DatasetError, match=r"train\.lst gives the id 0 twice; ids must differ"):
        everything(open_dataset(path))


def test_with_checksums_a_changed_picture_is_not_read(tmp_path: Path) -> None:
    path = small(tmp_path)
    content = bytearray(path.read_bytes())
    content[160] ^= 1  # among fifty equal letters that no frame tells of
    path.write_bytes(content)
    dataset = FORMAT.open([path])
    assert dataset.record(2).encoded == b""
    with pytest.raises(
        DatasetError, match=rf"train\.rec is damaged or cut short at byte 124 of {len(content)}; copy or"
    ):
        dataset.record(3)


def test_without_checksums_a_length_that_swallows_the_next_record_is_seen(tmp_path: Path) -> None:
    path = foreign(write(tmp_path / "train.rec", [Record(place, (0.0,), b"xxxx") for place in range(3)]))
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", 28 + 36)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="damaged or cut short at byte 0 of"):
        FORMAT.open([path]).record(0)


PEAK = """
    import sys
    from pathlib import Path
    from milliner.shards.recordio import FORMAT

    def peak():
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    before = peak()
    dataset = FORMAT.open([Path(sys.argv[1])])
    count = len(dataset)
    for place in range(0, count, count // 1000):
        assert dataset.record(place).id == place
    print(count, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_records(tmp_path: Path) -> None:
    count, size, step = 1_000_000, 44_040, 1000
    path = tmp_path / "huge.rec"
    with path.open("wb") as file:  # full of holes
        for place in range(0, count, step):
            file.seek(place * size)
            file.write(MAGIC + struct.pack("<IIfQQ", size - 8, 0, 0.0, place, 0))
        file.truncate(count * size)
    path.with_suffix(".idx").write_text("".join(f"{place}\t{place * size}\n" for place in range(count)))
    command = [sys.executable, "-c", textwrap.dedent(PEAK), str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found, grown = map(int, ran.stdout.split())
    assert found == count
    assert grown < 24  # MiB; a million Python integers alone are more
