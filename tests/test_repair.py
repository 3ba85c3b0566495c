"""Damage in record files is found to the bit, and every record that is whole is salvaged, byte for byte."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile

import pytest
from conftest import noise_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from milliner.core.errors import DatasetError
from milliner.shards.convert import convert
from milliner.shards.format import Damage, Packed, Record
from milliner.shards.recordio import FORMAT
from milliner.shards.repair import repair
from milliner.shards.sums import Sums
from milliner.shards.verify import verify

MAGIC = b"\x0a\x23\xd7\xce"
PICTURES = [noise_jpeg(seed, side=24) for seed in range(6)]
# A comment in the picture that holds the magic: its record lies in parts.
COMMENTS = [
    b"\xff\xd8\xff\xfe" + struct.pack(">H", 2 + 9) + b"." * filling + MAGIC + b"." * (5 - filling)
    for filling in range(4)
]
IN_PARTS = [comment + PICTURES[0][2:] for comment in COMMENTS]
RECORDS = [
    Record(10 + number, (float(number % 2),), encoded, f"red/{number}.jpg")
    for number, encoded in enumerate([*PICTURES[:3], *IN_PARTS, *PICTURES[3:]])
]


@dataclass(frozen=True)
class Sound:
    """A split as it was written."""

    path: Path
    content: bytes
    spans: dict[str, tuple[int, int]]
    """Where each record lies, by its key."""


def write(path: Path, records: Sequence[Record] = RECORDS) -> Sound:
    with FORMAT.writer(path.parent, path.stem, ("red", "green")) as writer:
        for record in records:
            writer.add(record)
    starts = [int(line.split("\t")[1]) for line in path.with_suffix(".idx").read_text().splitlines()]
    content = path.read_bytes()
    ends = [*starts[1:], len(content)]
    keys = [record.key for record in records]
    return Sound(path, content, dict(zip(keys, zip(starts, ends, strict=True), strict=True)))


def bare(path: Path) -> None:
    """Leaves nothing but the records."""
    for suffix in (".idx", ".lst", ".labels", ".sums"):
        path.with_suffix(suffix).unlink()


def records_of(path: Path) -> list[Record]:
    dataset: Packed = FORMAT.open([path])
    return [dataset.record(place) for place in range(len(dataset))]


def damaged(path: Path) -> list[Damage]:
    return [found for found in FORMAT.open([path]).damage() if found is not None]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return write(tmp_path_factory.mktemp("written") / "train.rec")


def copied(sound: Sound, folder: Path) -> Sound:
    for suffix in (".rec", ".idx", ".lst", ".labels", ".sums"):
        copyfile(sound.path.with_suffix(suffix), folder / f"train{suffix}")
    return replace(sound, path=folder / "train.rec")


@pytest.fixture
def sound(written: Sound, tmp_path: Path) -> Sound:
    return copied(written, tmp_path)


def test_some_of_the_records_lie_in_parts(sound: Sound) -> None:
    assert sound.content.count(MAGIC) > len(RECORDS) + 1


def test_a_sound_file_has_no_damage_and_is_repaired_to_itself(sound: Sound, tmp_path: Path) -> None:
    assert list(FORMAT.open([sound.path]).damage()) == [None] * len(RECORDS)
    done = repair(sound.path, into=tmp_path / "new" / "train.rec")
    assert (done.kept, done.lost, done.files) == (len(RECORDS), (), (tmp_path / "new" / "train.rec",))
    for suffix in (".rec", ".idx", ".lst", ".labels", ".sums"):
        new = (tmp_path / "new" / "train.rec").with_suffix(suffix)
        assert new.read_bytes() == sound.path.with_suffix(suffix).read_bytes()


def test_every_bit_that_flips_is_found_and_named(sound: Sound) -> None:
    for bit in range(0, 8 * len(sound.content), 97):
        content = bytearray(sound.content)
        content[bit // 8] ^= 1 << bit % 8
        sound.path.write_bytes(content)
        (found,) = damaged(sound.path)
        start, end = sound.spans[found.record]
        assert found.file == sound.path
        assert start <= bit // 8 < end
        assert start <= found.offset < end


changes = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "remove", "zero"]), st.integers(0, 2**32), st.integers(1, 700)),
    min_size=1,
    max_size=3,
)


def changed(content: bytes, what: list[tuple[str, int, int]]) -> bytes:
    for kind, number, count in what:
        place = number % max(1, len(content))
        if kind == "flip" and content:
            flipped = content[place] ^ 1 << count % 8
            content = content[:place] + bytes([flipped]) + content[place + 1 :]
        elif kind == "cut":
            content = content[:place]
        elif kind == "insert":
            content = content[:place] + (MAGIC * 200)[: count % 40] + content[place:]
        elif kind == "remove":
            content = content[:place] + content[place + count :]
        elif kind == "zero":
            content = content[:place] + bytes(min(count, len(content) - place)) + content[place + count :]
    return content


@settings(deadline=None, max_examples=300)
@given(what=changes)
def test_whatever_happens_no_record_is_read_wrong_and_all_whole_ones_are_salvaged(
    written: Sound, tmp_path_factory: pytest.TempPathFactory, what: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    sound = copied(written, folder)
    content = changed(sound.content, what)
    sound.path.write_bytes(content)
    there = {key for key, (start, end) in sound.spans.items() if sound.content[start:end] in content}
    in_place = {key for key, (start, end) in sound.spans.items() if sound.content[start:end] == content[start:end]}
    if not content:
        with pytest.raises(DatasetError, match="is empty; pack it again"):
            damaged(sound.path)
        return
    found = damaged(sound.path)
    assert {item.record for item in found} - {""} == set(sound.spans) - in_place
    assert bool(found) == (content != sound.content)
    dataset, by_key = FORMAT.open([sound.path]), {record.key: record for record in RECORDS}
    for place in range(len(dataset)):
        try:
            record = dataset.record(place)
        except DatasetError:
            continue
        assert record == by_key[record.key]
    if not there:
        with pytest.raises(DatasetError, match="no whole record that could be salvaged"):
            repair(sound.path, into=folder / "new.rec")
        return
    done = repair(sound.path, into=folder / "new.rec")
    assert records_of(folder / "new.rec") == [record for record in RECORDS if record.key in there]
    assert {item.record for item in done.lost} - {""} == set(sound.spans) - there
    assert damaged(folder / "new.rec") == []
    assert sound.path.read_bytes() == content


@settings(deadline=None, max_examples=200)
@given(what=changes)
def test_without_anything_beside_it_all_whole_records_are_salvaged_too(
    written: Sound, tmp_path_factory: pytest.TempPathFactory, what: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    sound = copied(written, folder)
    bare(sound.path)
    content = changed(sound.content, what)
    sound.path.write_bytes(content)
    there = [record for record in RECORDS if sound.content[slice(*sound.spans[record.key])] in content]
    try:
        repair(sound.path, into=folder / "new.rec")
    except DatasetError:
        assert not there
        return
    assert {(r.id, r.encoded) for r in records_of(folder / "new.rec")} >= {(r.id, r.encoded) for r in there}


@pytest.mark.parametrize("suffix", [".idx", ".lst", ".labels"])
def test_damage_in_a_small_file_is_found_and_the_records_are_salvaged_as_they_were(
    sound: Sound, tmp_path: Path, suffix: str
) -> None:
    file = sound.path.with_suffix(suffix)
    whole = file.read_bytes()
    flipped = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(0, len(whole), 7)]
    for content in (b"", whole[:-1], whole + b"x", *flipped):
        file.write_bytes(content)
        assert [(found.file, found.record) for found in damaged(sound.path)] == [(file, "")]
    done = repair(sound.path, into=tmp_path / "new.rec")
    assert (done.kept, [found.file for found in done.lost]) == (len(RECORDS), [file])
    assert (tmp_path / "new").with_suffix(suffix).read_bytes() == whole
    file.unlink()
    assert [found.what for found in damaged(sound.path)] == ["it is missing"]


def test_damage_in_the_checksums_is_found_and_the_records_are_salvaged_without_them(
    sound: Sound, tmp_path: Path
) -> None:
    file = sound.path.with_suffix(".sums")
    whole = file.read_bytes()
    for place in range(0, len(whole), 31):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert [(found.file, found.record) for found in damaged(sound.path)] == [(file, "")]
    done = repair(sound.path, into=tmp_path / "new.rec")
    assert (done.kept, [found.file for found in done.lost]) == (len(RECORDS), [file])
    assert records_of(tmp_path / "new.rec") == RECORDS


def test_what_lies_behind_the_records_is_found(sound: Sound) -> None:
    sound.path.write_bytes(sound.content + b"garbage")
    assert damaged(sound.path) == [Damage(sound.path, len(sound.content), "", "7 bytes lie behind the last record")]


def test_checksums_of_a_file_that_was_here_before_do_not_count(sound: Sound, tmp_path: Path) -> None:
    other = write(tmp_path / "other" / "train.rec", [replace(record, id=record.id + 1) for record in RECORDS])
    for suffix in (".rec", ".idx", ".lst"):
        copyfile(other.path.with_suffix(suffix), sound.path.with_suffix(suffix))
    assert [record.id for record in records_of(sound.path)] == [record.id + 1 for record in RECORDS]
    assert repair(sound.path, into=tmp_path / "new.rec").kept == len(RECORDS)


def without_sums(sound: Sound, *suffixes: str) -> Path:
    for suffix in (".sums", *suffixes):
        sound.path.with_suffix(suffix).unlink()
    return sound.path


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (0, "no part of a record begins where one must"),
        (5, "its length is damaged"),
        (7, "no part of a record begins where one must"),
        (10, "it claims more labels than it holds"),
        (33, "its picture cannot be decoded"),
        (-1, "the bytes behind it are not zeros"),
    ],
    ids=["magic", "length", "flag", "count of labels", "picture", "filling"],
)
def test_without_checksums_damage_shows_in_frames_and_pictures(sound: Sound, place: int, what: str) -> None:
    path, (start, end) = without_sums(sound), sound.spans["red/1.jpg"]
    content = bytearray(sound.content)
    content[start + place if place >= 0 else end - 1] ^= 0x70
    path.write_bytes(content)
    found = list(FORMAT.open([path]).damage())
    assert found.count(None) == len(RECORDS) - 1
    (item,) = [item for item in found if item is not None]
    assert (item.file, item.record) == (path, "red/1.jpg")
    assert start <= item.offset < end
    assert what in item.what
    bare_of_index = without_index(path)
    assert [item.what for item in damaged(bare_of_index)] == [item.what]


def without_index(path: Path) -> Path:
    path.with_suffix(".idx").unlink()
    return path


def test_without_checksums_what_the_file_ends_before_is_named_by_the_index(sound: Sound, tmp_path: Path) -> None:
    path, (start, _) = without_sums(sound), sound.spans[RECORDS[-2].key]
    path.write_bytes(sound.content[: start + 100])
    assert [item.record for item in damaged(path)] == [record.key for record in RECORDS[-2:]]
    done = repair(path, into=tmp_path / "new.rec")
    assert (done.kept, [item.record for item in done.lost]) == (len(RECORDS) - 2, [r.key for r in RECORDS[-2:]])


def test_without_checksums_an_index_of_other_places_is_told_of(sound: Sound) -> None:
    path = without_sums(sound, ".lst")
    index = path.with_suffix(".idx")
    lines = index.read_text().splitlines()
    index.write_text("\n".join([f"{RECORDS[0].id}\t8", *lines[1:]]) + "\n")
    assert [(item.file, item.record, item.what) for item in damaged(path)] == [
        (index, "10", "no record begins at 8, as it says"),
        (index, "10", "the record at 0 is not in it"),
    ]
    index.write_text("nothing\n")
    assert [item.file for item in damaged(path)] == [index]


@pytest.mark.parametrize("suffix", [".lst", ".labels"])
def test_without_checksums_small_files_that_cannot_be_read_are_told_of(
    sound: Sound, tmp_path: Path, suffix: str
) -> None:
    path = without_sums(sound)
    path.with_suffix(suffix).write_bytes(b"same\nsame\n")
    assert [item.file for item in damaged(path)] == [path.with_suffix(suffix)]
    done = repair(path, into=tmp_path / "new.rec")
    assert (done.kept, [item.file for item in done.lost]) == (len(RECORDS), [path.with_suffix(suffix)])


def test_what_cannot_be_repaired_is_one_sentence(sound: Sound, tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"x")
    (tmp_path / "empty.rec").touch()
    (tmp_path / "same.rec").symlink_to(sound.path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for path, into, sentence in (
        (tmp_path / "a.docx", tmp_path / "new.docx", "of no kind that can be repaired"),
        (sound.path, sound.path, "is the damaged file itself; repair it into another one"),
        (sound.path, tmp_path / "same.rec", "is the damaged file itself; repair it into another one"),
        (tmp_path / "missing.rec", tmp_path / "new.rec", "cannot be read"),
        (tmp_path / "empty.rec", tmp_path / "new.rec", "holds no whole record that could be salvaged"),
    ):
        with pytest.raises(DatasetError, match=sentence):
            repair(path, into=into)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_records_that_mxnet_wrote_are_salvaged_as_they_are(test_data: Path, tmp_path: Path) -> None:
    """One of them has a second id, which no record of ours would have."""
    source = test_data / "recordio" / "multilabel.rec"
    content = bytearray(source.read_bytes())
    content[108196 + 4] ^= 1
    (tmp_path / "multilabel.rec").write_bytes(content)
    copyfile(source.with_suffix(".idx"), tmp_path / "multilabel.idx")
    done = repair(tmp_path / "multilabel.rec", into=tmp_path / "new.rec")
    assert done.kept >= 2
    new = (tmp_path / "new.rec").read_bytes()
    assert content[:108196] in new
    assert damaged(tmp_path / "new.rec") == []


def test_with_checksums_no_record_is_kept_that_only_looks_whole(sound: Sound, tmp_path: Path) -> None:
    content = bytearray(sound.content)
    for start, _ in sound.spans.values():
        content[start + 16] ^= 1  # of its id
    sound.path.write_bytes(content)
    assert len(damaged(sound.path)) == len(RECORDS)
    with pytest.raises(DatasetError, match="no whole record that could be salvaged; restore it from a copy"):
        repair(sound.path, into=tmp_path / "new.rec")
    assert not (tmp_path / "new.rec").exists()


def test_names_of_classes_are_those_that_were_written(sound: Sound) -> None:
    labels = sound.path.with_suffix(".labels")
    written = labels.read_text()
    names = FORMAT.open([sound.path]).labels
    labels.unlink()
    assert FORMAT.open([sound.path]).labels == names
    labels.write_text("".join(reversed(written.splitlines(keepends=True))))
    with pytest.raises(
        DatasetError, match=r"\.labels has other names than were written with .*; restore it, or delete it"
    ):
        FORMAT.open([sound.path])[0]


def test_keys_of_damaged_checksums_are_not_believed(sound: Sound) -> None:
    sums = sound.path.with_suffix(".sums")
    content = bytearray(sums.read_bytes())
    content[Sums.open(sums).place_of("keys") + 1] ^= 1
    sums.write_bytes(content)
    with pytest.raises(DatasetError, match=r"\.sums is damaged"):
        FORMAT.open([sound.path])[0]


def test_damage_is_counted_also_where_nothing_lies_beside(sound: Sound) -> None:
    for suffix in (".idx", ".lst", ".labels", ".sums"):
        sound.path.with_suffix(suffix).unlink()
    content = bytearray(sound.path.read_bytes())
    content[0] ^= 1
    sound.path.write_bytes(content)
    assert verify(sound.path).damage


def test_an_index_that_leaves_a_record_out_is_not_converted(sound: Sound, tmp_path: Path) -> None:
    for suffix in (".sums", ".labels"):
        sound.path.with_suffix(suffix).unlink()
    index = sound.path.with_suffix(".idx")
    index.write_text("".join(index.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(DatasetError, match="does not fit"):
        convert(sound.path, into=tmp_path / "out", to="webdataset")
