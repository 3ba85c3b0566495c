"""Damage in record files is found to the bit, and every record that is whole is salvaged, byte for byte."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import noise_jpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from milliner.core.errors import DatasetError
from milliner.shards.format import Damage, Packed, Record
from milliner.shards.recordio import FORMAT
from milliner.shards.repair import repair

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


@pytest.fixture
def sound(tmp_path: Path) -> Sound:
    return write(tmp_path / "train.rec")


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


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(what=changes)
def test_whatever_happens_no_record_is_read_wrong_and_all_whole_ones_are_salvaged(
    tmp_path_factory: pytest.TempPathFactory, what: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    sound = write(folder / "train.rec")
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


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(what=changes)
def test_without_anything_beside_it_all_whole_records_are_salvaged_too(
    tmp_path_factory: pytest.TempPathFactory, what: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    sound = write(folder / "train.rec")
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
