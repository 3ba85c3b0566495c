"""Tars of strangers: every writer's headers are understood, hostile ones refused by place, damaged ones mended."""

import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import noise_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats import FORMATS, NAMES, everything, write

from milliner.core.errors import DatasetError
from milliner.shards.dataset import open_dataset, open_packed
from milliner.shards.format import Record
from milliner.shards.repair import repair
from milliner.shards.sums import Sums
from milliner.shards.tar import header

PICTURE = noise_jpeg(1, side=16)
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def sample(key: str, label: object = 0) -> list[Member]:
    return [member(f"{key}.jpg", PICTURE), member(f"{key}.cls", str(label).encode())]


def tar_of(path: Path, members: list[Member], kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=kind) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("key", ["plain", "./dotted/00", "deep/" * 15 + "x" * 90, "é" * 60, "two words"])
def test_the_headers_of_every_kind_of_tar_are_understood(tmp_path: Path, kind: int, key: str) -> None:
    if kind == tarfile.USTAR_FORMAT and "é" in key:
        key = key[:20]
    folder = member("deep", type=tarfile.DIRTYPE)
    packed = open_packed(tar_of(tmp_path / "a.tar", [folder, *sample(key, 1), *sample("last", 0)], kind))
    assert everything(packed) == [
        Record(0, (1.0,), PICTURE, key.removeprefix("./")),
        Record(1, (0.0,), PICTURE, "last"),
    ]


def test_members_that_are_of_no_sample_are_passed_over(tmp_path: Path) -> None:
    others = [member("README", b"x"), member(".hidden.jpg", b"x"), member("a/._b.jpg", b"x")]
    members = [*others, *sample("one"), member("one.txt", b"words"), *others, *sample("two"), *others]
    assert [record.key for record in everything(open_packed(tar_of(tmp_path / "a.tar", members)))] == ["one", "two"]


def test_the_json_of_others_is_not_ours(tmp_path: Path) -> None:
    for text in (b'{"labels": "many"}', b"[]", b"{", b'{"id": 1, "key": "x", "labels": []}', b"[" * 100_000):
        path = tar_of(tmp_path / "a.tar", [*sample("one", 3), member("one.json", text)])
        assert everything(open_packed(path)) == [Record(0, (3.0,), PICTURE, "one")]


def gnu_sparse() -> bytes:
    """A header of GNU's sparse files, which tarfile reads and does not write."""
    block = bytearray(header("one.jpg", 5))
    block[156:157] = b"S"
    return _summed(block)


def _summed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def with_size(size: bytes) -> bytes:
    block = bytearray(header("one.jpg", 5))
    block[124:136] = size
    return _summed(block)


HOSTILE: dict[str, tuple[Callable[[], bytes | list[Member]], str]] = {
    "parent": (lambda: sample("../one"), "has the name '../one.jpg', which leads out of the tar"),
    "inner parent": (lambda: sample("a/../../one"), "which leads out of the tar"),
    "absolute": (lambda: sample("/etc/one"), "has the name '/etc/one.jpg', which leads out of the tar"),
    "symbolic link": (lambda: [member("one.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "is a link"),
    "hard link": (lambda: [member("one.jpg", type=tarfile.LNKTYPE, linkname="two.jpg")], "is a link"),
    "device": (lambda: [member("one.jpg", type=tarfile.CHRTYPE)], "is a device"),
    "pipe": (lambda: [member("one.jpg", type=tarfile.FIFOTYPE)], "is a pipe"),
    "unknown kind": (lambda: [member("one.jpg", type=b"Z")], "is of no kind that is known"),
    "sparse": (gnu_sparse, "is a sparse file"),
    "sparse by notes": (
        lambda: [member("one.jpg", PICTURE, pax_headers={"GNU.sparse.major": "1"})],
        "is a sparse file",
    ),
    "absurd size": (lambda: with_size(b"77777777777\0"), "promises 8589934591 bytes where"),
    "absurd binary size": (lambda: with_size(b"\x80" + b"\xff" * 11), "promises"),
    "negative size": (lambda: with_size(b"\xff" * 12), "promises"),
    "size in words": (lambda: with_size(b"many bytes\0\0"), "has a size that is no number"),
    "size in notes": (lambda: [member("one.jpg", PICTURE, pax_headers={"size": "9" * 19})], "promises 999999999"),
    "absurd size in notes": (
        lambda: [member("one.jpg", PICTURE, pax_headers={"size": "9" * 999})],
        "has a size that is no number",
    ),
    "long notes": (lambda: [member("one.jpg", PICTURE, pax_headers={"comment": "x" * 40_000})], "notes of absurd"),
    "twice in a sample": (lambda: [*sample("one"), member("one.jpg", PICTURE)], "there are two members one.jpg"),
    "twice in a tar": (lambda: [*sample("one"), *sample("two"), *sample("one")], "the sample one comes a second time"),
    "no picture": (lambda: [member("one.cls", b"0")], "the sample one has no picture"),
    "two pictures": (lambda: [*sample("one"), member("one.png", PICTURE)], "the sample one has several pictures"),
    "no class": (lambda: [member("one.jpg", PICTURE)], "the sample one has no .cls member that tells its class"),
    "class in words": (lambda: sample("one", "apple"), "the .cls of the sample one is not a class number"),
    "negative class": (lambda: sample("one", -1), "the .cls of the sample one is not a class number"),
    "endless class": (lambda: sample("one", "1" * 5_000_000), "the .cls of the sample one is over 4 MiB"),
    "no tar at all": (lambda: b"hello" * 300, "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tars_are_refused_with_the_place(name: str, tmp_path: Path) -> None:
    make, sentence = HOSTILE[name]
    content = make()
    path = tmp_path / "a.tar"
    path.write_bytes(content) if isinstance(content, bytes) else tar_of(path, content)
    if isinstance(content, bytes):
        path.write_bytes(content + bytes(2048))

    def use() -> None:
        packed = open_dataset(path)
        _ = packed.targets, packed[0]

    with pytest.raises(DatasetError) as caught:
        use()
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "at byte" in str(caught.value)
    assert str(caught.value).endswith(".")
    assert [found.name for found in tmp_path.iterdir()] == ["a.tar"]


def test_a_tar_without_an_end_is_cut_short(tmp_path: Path) -> None:
    whole = tar_of(tmp_path / "a.tar", [*sample("one"), *sample("two")]).read_bytes().rstrip(b"\0")
    for size in range(0, len(whole), 100):
        (tmp_path / "a.tar").write_bytes(whole[:size])
        with pytest.raises(DatasetError, match=r"is cut short at byte|promises \d+ bytes where \d+ are left"):
            open_packed(tmp_path / "a.tar")


@settings(deadline=None, max_examples=200)
@given(places=st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=4), cut=st.integers(0, 6000))
def test_whatever_is_in_a_tar_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]], cut: int
) -> None:
    path = tar_of(tmp_path_factory.mktemp("t") / "a.tar", [*sample("one", 1), *sample("two", 0)])
    content = bytearray(path.read_bytes())
    for place, value in places:
        content[place] = value
    path.write_bytes(content[: 4096 + cut])
    try:
        packed = open_packed(path)
        for index in range(len(packed)):
            packed.record(index)
        told = [item.what for item in packed.damage() if item]
    except DatasetError as error:
        told = [str(error)]
    assert all(told)


RECORDS = [
    Record(10 + place, (float(place % 2), 0.5), noise_jpeg(place, side=16), f"a/{place}.jpg") for place in range(6)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (path,) = write(FORMATS["webdataset"], tmp_path / "in", RECORDS)
    return path


def mended(path: Path, into: Path) -> tuple[list[Record], list[str]]:
    """Repairs, and gives what is in the new file and what is lost."""
    before = path.read_bytes()
    result = repair(path, into=into / path.name)
    assert path.read_bytes() == before
    packed = open_packed(result.files[0])
    assert result.kept == len(packed)
    assert [item for item in packed.damage() if item] == []
    return everything(packed), [item.record for item in result.lost]


@pytest.mark.parametrize("with_sums", [True, False])
def test_of_a_damaged_tar_every_whole_sample_is_saved(path: Path, tmp_path: Path, with_sums: bool) -> None:
    sums = Sums.open(path.with_suffix(".sums"))
    starts = [int(start) for start in sums.positions]
    if not with_sums:
        path.with_suffix(".sums").unlink()
    sound = path.read_bytes()
    for place in range(6):
        changed = bytearray(sound)
        changed[starts[place] + 3] ^= 1  # the name in the picture's header
        path.write_bytes(changed)
        kept, lost = mended(path, tmp_path / "out")
        assert kept == [record for record in RECORDS if record != RECORDS[place]]
        assert len(lost) >= 1
        assert open_packed(tmp_path / "out" / path.name).labels == NAMES


@pytest.mark.parametrize("with_sums", [True, False])
@pytest.mark.parametrize("size", [-700, -512, -1, 1, 512, 700])
def test_bytes_that_were_lost_or_have_come_move_the_rest(
    path: Path, tmp_path: Path, size: int, with_sums: bool
) -> None:
    second = int(Sums.open(path.with_suffix(".sums")).positions[1])
    if not with_sums:
        path.with_suffix(".sums").unlink()
    sound = path.read_bytes()
    at = second + 800  # inside the picture of the second sample
    path.write_bytes(sound[:at] + b"x" * max(size, 0) + sound[at - min(size, 0) :])
    kept, lost = mended(path, tmp_path / "out")
    assert kept == [RECORDS[0], *RECORDS[2:]]
    assert lost


@pytest.mark.parametrize("with_sums", [True, False])
def test_a_tar_that_was_cut_keeps_what_is_there(path: Path, tmp_path: Path, with_sums: bool) -> None:
    positions = [int(start) for start in Sums.open(path.with_suffix(".sums")).positions]
    if not with_sums:
        path.with_suffix(".sums").unlink()
    path.write_bytes(path.read_bytes()[: positions[3] + 700])
    kept, lost = mended(path, tmp_path / "out")
    assert kept == RECORDS[:3]
    assert len(lost) == (3 if with_sums else 1)


def test_a_sound_tar_comes_out_as_it_is(path: Path, tmp_path: Path) -> None:
    assert mended(path, tmp_path / "out") == (RECORDS, [])
    for name in (path.name, path.with_suffix(".sums").name, "train.labels"):
        assert (tmp_path / "out" / name).read_bytes() == path.with_name(name).read_bytes()


def test_nothing_is_made_of_nothing(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"\xff" * 10_000)
    with pytest.raises(DatasetError, match="can be saved; restore it from a copy"):
        repair(path, into=tmp_path / "out" / path.name)
    assert not (tmp_path / "out").exists()


def test_without_checksums_an_undecodable_picture_is_lost(path: Path, tmp_path: Path) -> None:
    path.with_suffix(".sums").unlink()
    content = path.read_bytes()
    path.write_bytes(content.replace(RECORDS[2].encoded, bytes(len(RECORDS[2].encoded))))
    assert [item.record for item in open_packed(path).damage() if item] == ["a/2.jpg"]
    kept, lost = mended(path, tmp_path / "out")
    assert kept == [record for record in RECORDS if record != RECORDS[2]]
    assert lost == ["a/2.jpg"]


def test_wherever_a_tar_is_cut_the_mended_one_can_be_read(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for cut in range(5 * 512, len(whole) - 1024, 173):
        bare = tmp_path / f"{cut}.tar"
        bare.write_bytes(whole[:cut])
        saved: list[Record] = []
        with suppress(DatasetError):  # where nothing can be saved
            saved, _ = mended(bare, tmp_path / "out")
        assert cut < 6000 or saved
        assert {record.encoded for record in saved} <= {record.encoded for record in RECORDS}
