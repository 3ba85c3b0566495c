"""The contract of every shard format: what is written is what is read, all files or none, and no flipped bit unseen."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from conftest import noise_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from milliner.core.errors import DatasetError, MillinerError
from milliner.shards.dataset import formats, open_packed
from milliner.shards.format import Damage, Format, Packed, Record

FORMATS: dict[str, Format] = formats()
MANY = ("webdataset", "parquet")
"""Formats of many files."""

NAMES = ("apple", "pear", "no picture is of this")
RECORDS = [
    Record(7, (1.0,), b"second class", "b/one.jpg"),
    Record(0, (0.0,), b"\x0a\x23\xd7\xce" * 5, "a/two words é.jpg"),
    Record(3, (0.0, 0.25, -4.0), noise_jpeg(1), "a/three.jpg"),
    Record(2**64 - 1, (1.0,), b"", "b/empty", id2=2**64 - 1),
    Record(5, (0.0,), b"x" * 100_001, "elsewhere/three.jpg", listed=True),
]

keys = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=8
    )
    .filter(lambda part: part not in (".", ".."))
    .map(lambda part: part + ".jpg"),
    min_size=1,
    max_size=3,
).map("/".join)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(
    lambda value: value == 0 or abs(value) > 1e-30
)
labels = st.tuples(st.integers(0, len(NAMES) - 1).map(float), st.lists(floats, max_size=3)).map(
    lambda both: (both[0], *both[1])
)


@st.composite
def records(draw: st.DrawFn, size: int = 6) -> list[Record]:
    """Records that every format can hold, with ids and keys that differ."""
    ids = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=size, unique=True))
    names = draw(st.lists(keys, min_size=len(ids), max_size=len(ids), unique=True))
    return [
        Record(
            identity,
            numbers := draw(labels),
            draw(st.binary(max_size=40) | st.just(noise_jpeg(2, side=8))),
            key,
            id2=draw(st.sampled_from([0, 0, 9, 2**64 - 1])),
            listed=len(numbers) == 1 and draw(st.booleans()),
        )
        for identity, key in zip(ids, names, strict=True)
    ]


def write(
    plugin: Format, folder: Path, written: Sequence[Record], names: Sequence[str] = NAMES, **options: Any
) -> tuple[Path, ...]:
    with plugin.writer(folder, "train", names, **options) as writer:
        for record in written[writer.done :]:
            writer.add(record)
        writer.sync()
    return writer.files


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def everything(packed: Packed) -> list[Record]:
    return [packed.record(index) for index in range(len(packed))]


@pytest.fixture(params=FORMATS)
def plugin(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


@pytest.fixture
def packed(plugin: Format, tmp_path: Path) -> Packed:
    return plugin.open(write(plugin, tmp_path, RECORDS))


def test_a_format_reads_back_what_it_wrote(packed: Packed) -> None:
    assert everything(packed) == RECORDS
    assert packed.labels == NAMES
    assert list(packed.targets) == [1, 0, 0, 1, 0]
    for index, record in enumerate(RECORDS):
        sample = packed[index]
        assert (sample.key, sample.encoded) == (record.key, record.encoded) == (packed.key(index), sample.encoded)
        assert sample.label == packed.labels[packed.targets[index]]


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None, max_examples=25)
@given(written=records(), shard_size=st.sampled_from([None, 1, 3000]))
def test_records_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, written: list[Record], shard_size: int | None
) -> None:
    packed = FORMATS[name].open(write(FORMATS[name], tmp_path_factory.mktemp("p"), written, shard_size=shard_size))
    assert everything(packed) == written
    assert [packed.find(record.key) for record in written] == list(range(len(written)))
    assert [packed.key(index) for index in range(len(written))] == [record.key for record in written]
    assert list(packed.damage()) == [None] * len(written)


def test_records_are_read_in_any_order_and_found_by_their_keys(packed: Packed) -> None:
    order = [2, 0, 2, 4, 1, -1]
    assert [packed.record(index).key for index in order] == [RECORDS[index].key for index in order]
    assert [packed.find(record.key) for record in RECORDS] == list(range(len(RECORDS)))
    with pytest.raises(KeyError):
        packed.find("nobody")


@pytest.mark.parametrize("index", [len(RECORDS), -len(RECORDS) - 1])
def test_there_is_nothing_beyond_the_ends(packed: Packed, index: int) -> None:
    for read in (packed.record, packed.key, packed.__getitem__):
        with pytest.raises(IndexError):
            read(index)


def test_many_threads_and_many_processes_read_the_same(packed: Packed) -> None:
    order = [place % len(RECORDS) for place in range(200)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(packed.record, order)) == [RECORDS[place] for place in order]
    for how in ("spawn", "fork"):
        with ProcessPoolExecutor(2, mp_context=get_context(how)) as processes:
            assert list(processes.map(packed.record, order[:20])) == [RECORDS[place] for place in order[:20]]


def test_a_dataset_can_be_sent_to_another_process(packed: Packed) -> None:
    assert everything(pickle.loads(pickle.dumps(packed))) == RECORDS


def test_a_user_opens_it_by_its_name(packed: Packed) -> None:
    assert everything(open_packed(packed.files[0])) == RECORDS


@pytest.mark.parametrize("name", MANY)
def test_many_files_are_opened_by_a_pattern(name: str, tmp_path: Path) -> None:
    files = write(FORMATS[name], tmp_path, RECORDS, shard_size=1)
    assert len(files) == len(RECORDS)
    assert everything(open_packed(tmp_path / f"train-*{FORMATS[name].suffix}")) == RECORDS
    assert everything(open_packed(files[2])) == RECORDS[2:3]


def test_labels_that_are_no_class_numbers_are_kept_and_told(plugin: Format, tmp_path: Path) -> None:
    written = [Record(1, (0.5, 2.0), b"a", "a.jpg"), Record(2, (-1.25,), b"b", "b.jpg")]
    packed = plugin.open(write(plugin, tmp_path, written, ()))
    assert everything(packed) == written
    for ask in (lambda: packed.labels, lambda: packed.targets, lambda: packed[0]):
        with pytest.raises(DatasetError, match="not a class number"):
            ask()


def test_without_names_the_numbers_are_the_classes(plugin: Format, tmp_path: Path) -> None:
    written = [Record(place, (float(label),), b"x", f"{place}.jpg") for place, label in enumerate((4, 0, 4))]
    packed = plugin.open(write(plugin, tmp_path, written, ()))
    assert (packed.labels, list(packed.targets)) == (("0", "4"), [1, 0, 1])
    assert packed[0].label == "4"


def test_the_same_records_give_the_same_bytes(plugin: Format, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(plugin, tmp_path / folder, RECORDS, plan=folder)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_an_earlier_split_is_replaced_as_a_whole(plugin: Format, tmp_path: Path) -> None:
    write(plugin, tmp_path / "again", RECORDS[:2], NAMES, shard_size=1)
    write(plugin, tmp_path / "again", RECORDS[2:], ("x", "y"))
    write(plugin, tmp_path / "once", RECORDS[2:], ("x", "y"))
    assert content(tmp_path / "again") == content(tmp_path / "once")


def test_a_writer_that_fails_leaves_what_was_there(plugin: Format, tmp_path: Path) -> None:
    def fail_midway(plan: str) -> None:
        with plugin.writer(tmp_path, "train", NAMES, plan=plan, shard_size=1) as writer:
            writer.add(RECORDS[0])
            writer.add(RECORDS[1])
            raise RuntimeError

    for plan in ("", "a plan"):
        with pytest.raises(RuntimeError):
            fail_midway(plan)
        assert list(tmp_path.iterdir()) == []
    write(plugin, tmp_path, RECORDS)
    before = content(tmp_path)
    with pytest.raises(RuntimeError):
        fail_midway("")
    assert content(tmp_path) == before


def test_two_writers_of_one_split_are_kept_apart(plugin: Format, tmp_path: Path) -> None:
    with plugin.writer(tmp_path, "train", NAMES) as writer:
        writer.add(RECORDS[0])
        with (
            pytest.raises(MillinerError, match=r"is being written by another process; wait for it to end\.$"),
            plugin.writer(tmp_path, "train", NAMES),
        ):
            pass
        for record in RECORDS[1:]:
            writer.add(record)
    assert everything(plugin.open(writer.files)) == RECORDS


KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from milliner.shards.dataset import formats

name, folder, plan, records, names = pickle.load(sys.stdin.buffer)
with formats()[name].writer(Path(folder), "train", names, plan=plan, shard_size=1) as writer:
    for record in records[:3]:
        writer.add(record)
    writer.sync()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_after_three(plugin: Format, folder: Path, plan: str) -> None:
    asked = pickle.dumps((plugin.name, str(folder), plan, RECORDS, NAMES))
    ended = subprocess.run([sys.executable, "-c", KILLED], input=asked, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_a_killed_writer_leaves_nothing_to_be_seen_and_is_gone_on_with(plugin: Format, tmp_path: Path) -> None:
    killed_after_three(plugin, tmp_path / "killed", "plan")
    assert all(path.name.startswith(".") for path in (tmp_path / "killed").iterdir())
    with plugin.writer(tmp_path / "killed", "train", NAMES, plan="plan", shard_size=1) as writer:
        assert 2 <= writer.done <= 3
        for record in RECORDS[writer.done :]:
            writer.add(record)
    assert everything(plugin.open(writer.files)) == RECORDS
    write(plugin, tmp_path / "whole", RECORDS, shard_size=1)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.parametrize("plan", ["", "another plan"])
def test_another_plan_begins_anew(plugin: Format, tmp_path: Path, plan: str) -> None:
    killed_after_three(plugin, tmp_path, "plan")
    with plugin.writer(tmp_path, "train", NAMES, plan=plan, shard_size=1) as writer:
        assert writer.done == 0
        writer.add(RECORDS[4])
    assert everything(plugin.open(writer.files)) == RECORDS[4:]
    assert not [name for name in content(tmp_path) if ".part" in name]


@pytest.mark.parametrize("name", MANY)
def test_a_kill_while_the_files_appear_is_seen_and_made_good(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = FORMATS[name]
    write(plugin, tmp_path / "whole", RECORDS, shard_size=1, plan="plan")
    for count in (1, 4, 8):
        folder = tmp_path / str(count)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", _breaking_off(count, folder))
            with pytest.raises(KeyboardInterrupt):
                write(plugin, folder, RECORDS, shard_size=1, plan="plan")
        for path in folder.glob(f"*{plugin.suffix}"):
            with pytest.raises(DatasetError, match="was being put in place"):
                plugin.open([path])
        with plugin.writer(folder, "train", NAMES, plan="plan", shard_size=1) as writer:
            assert writer.done == len(RECORDS)
        assert content(folder) == content(tmp_path / "whole")


def _breaking_off(count: int, folder: Path) -> Any:
    replace, seen = Path.replace, iter(range(count))

    def break_off(self: Path, target: Path) -> Path:
        if Path(target).parent == folder and next(seen, None) is None:
            raise KeyboardInterrupt
        return replace(self, target)

    return break_off


SMALL = [Record(7, (1.0,), noise_jpeg(3, side=8), "b/one.jpg"), Record(1, (0.0, 2.5), b"not a picture", "a/two.jpg")]


def found(plugin: Format, files: Sequence[Path]) -> list[Damage]:
    """What is damaged; one where the files cannot even be opened, which is a sentence and not a crash."""
    try:
        return [item for item in plugin.open(files).damage() if item is not None]
    except DatasetError as error:
        return [Damage(files[0], 0, "", str(error))]


def flips(path: Path, step: int = 1) -> Iterator[int]:
    """Flips one bit of every byte in turn, a different one each time, and mends it behind itself."""
    sound = path.read_bytes()
    for place in range(0, len(sound), step):
        changed = bytearray(sound)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        yield place
    path.write_bytes(sound)


def test_every_flipped_bit_of_every_file_is_found(plugin: Format, tmp_path: Path) -> None:
    files = write(plugin, tmp_path, SMALL)
    assert found(plugin, files) == []
    unseen = [
        (path.name, place)
        for path in sorted(tmp_path.rglob("*"))
        if path.is_file()
        for place in flips(path)
        if not found(plugin, files)
    ]
    assert unseen == []


def test_no_flipped_bit_gives_a_wrong_record(plugin: Format, tmp_path: Path) -> None:
    files = write(plugin, tmp_path, SMALL)
    whole = (files[0] if files[0].is_file() else next(files[0].rglob("*.jpg"))).resolve()
    for _ in flips(whole, step=7):
        try:
            packed = plugin.open(files)
        except DatasetError:
            continue
        for index, record in enumerate(SMALL):
            try:
                assert packed.record(index) == record
            except DatasetError:
                continue


def test_a_file_that_is_cut_short_or_goes_on_is_found(plugin: Format, tmp_path: Path) -> None:
    files = write(plugin, tmp_path, SMALL)
    for path in sorted(tmp_path.rglob("*")):
        if path.is_file():
            sound = path.read_bytes()
            for changed in (sound[:-1], sound[: len(sound) // 2], b"", sound + b"\0", sound + bytes(512)):
                if changed != sound:
                    path.write_bytes(changed)
                    assert found(plugin, files), (path, len(changed))
            path.write_bytes(sound)
    assert found(plugin, files) == []


def test_damage_names_the_file_and_the_record(plugin: Format, tmp_path: Path) -> None:
    files = write(plugin, tmp_path, RECORDS)
    path = files[0] if files[0].is_file() else files[0] / "apple" / "three.jpg"
    sound = path.read_bytes()
    at = sound.index(RECORDS[2].encoded) + len(RECORDS[2].encoded) // 2
    path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
    items = found(plugin, files)
    assert RECORDS[2].key in [item.record for item in items]
    assert {item.file for item in items} == {path}
    assert all(0 <= item.offset <= at for item in items)
    packed = plugin.open(files)
    with pytest.raises(DatasetError, match=r"\.$"):
        packed.record(2)
    assert packed.key(2) == RECORDS[2].key


def test_a_full_disk_is_told_of_a_file_that_the_user_knows(plugin: Format, tmp_path: Path) -> None:
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000)); "
        + KILLED.replace("os.kill(os.getpid(), ", "print(")
    )
    asked = pickle.dumps((plugin.name, str(tmp_path / "full"), "", RECORDS[4:] * 3, NAMES))
    ended = subprocess.run([sys.executable, "-c", script], input=asked, capture_output=True, check=False)
    last = ended.stderr.decode().splitlines()[-1]
    assert ended.returncode == 1
    assert last.startswith("OSError: [Errno 2")
    assert str(tmp_path / "full") in last
    assert ".part" not in last
    assert content(tmp_path) == {}


def test_nothing_of_a_folder_that_is_not_ours_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(DatasetError, match="was not written by milliner; give another folder or split"):
        write(FORMATS["imagefolder"], tmp_path, RECORDS)
    assert content(tmp_path) == {"train/cat/mine.jpg": b"mine"}
