"""Checksums beside packed files: what is written is read, and no flipped bit in them goes unseen."""

import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milliner.core.errors import DatasetError
from milliner.shards.sums import FileSum, Sums, SumsWriter

Row = tuple[int, int, int, float, str]

rows = st.tuples(
    st.integers(0, 2**63),
    st.integers(0, 2**40),
    st.integers(0, 2**32 - 1),
    st.floats(width=32, allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


def write(path: Path, content: list[Row], files: tuple[FileSum, ...] = ()) -> Path:
    writer = SumsWriter(("red", "grün"))
    for row in content:
        writer.add(*row)
    writer.write(path, files)
    return path


@settings(deadline=None, max_examples=100)
@given(content=st.lists(rows, max_size=20))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: list[Row]) -> None:
    files = (FileSum("a\tb.rec", 7, None), FileSum("ü.idx", 2**40, 0xABC))
    sums = Sums.open(write(tmp_path_factory.mktemp("sums") / "a.sums", content, files))
    assert len(sums) == len(content)
    read = zip(sums.positions, sums.sizes, sums.crcs, sums.labels, map(sums.key, range(len(sums))), strict=True)
    assert [(int(a), int(b), int(c), float(d), e) for a, b, c, d, e in read] == content
    assert [sums.row(place) for place in range(len(sums))] == [row[:4] for row in content]
    assert (sums.names, sums.files, sums.damaged()) == (("red", "grün"), files, ())
    keys = [row[4] for row in content]
    assert [sums.find(key) for key in keys] == [keys.index(key) for key in keys]
    with pytest.raises(KeyError):
        sums.find("no such key, it is too long")


def few(path: Path) -> Path:
    content = [(40 * place, 40, zlib.crc32(bytes([place])), float(place % 2), f"red/{place}.jpg") for place in range(3)]
    return write(path, content, (FileSum("a.rec", 120, None),))


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = few(tmp_path / "a.sums")
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with suppress(DatasetError):
            assert Sums.open(path).damaged(), f"bit {bit}"


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = few(tmp_path / "a.sums")
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DatasetError, match="is damaged or no file of checksums"):
            Sums.open(path)


def test_a_later_version_is_named(tmp_path: Path) -> None:
    path = few(tmp_path / "a.sums")
    content = bytearray(path.read_bytes())
    content[8] = 2
    end = 32 + 40 * content[12]
    content[end + 4 : end + 8] = zlib.crc32(content[: end + 4]).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="was written by a later version; update milliner"):
        Sums.open(path)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    assert few(tmp_path / "a.sums").read_bytes() == few(tmp_path / "b.sums").read_bytes()
