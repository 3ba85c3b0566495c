"""Texts of millions of lines: any of them is read as if all had been."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milliner.core.errors import DatasetError
from milliner.shards.records.lines import Lines

words = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=30)
lines_of_a_text = st.lists(
    words | st.builds(lambda word, count: word * count, words, st.integers(0, 200)), min_size=1, max_size=60
).filter(lambda lines: not lines[0].startswith("\ufeff"))


@settings(deadline=None, max_examples=150)
@given(lines=lines_of_a_text, ending=st.sampled_from(["\n", "\r\n"]), ended=st.booleans(), mark=st.booleans())
def test_any_line_is_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ending: str, ended: bool, mark: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    if not ended:
        lines = [*lines[:-1], lines[-1] or "last"]
    path.write_bytes((ending.join(lines) + (ending if ended else "")).encode("utf-8-sig" if mark else "utf-8"))
    text = Lines(path)
    assert len(text) == len(lines)
    assert list(text) == lines
    assert [text[place] for place in reversed(range(len(lines)))] == lines[::-1]
    for outside in (-1, len(lines)):
        with pytest.raises(IndexError):
            text[outside]


def test_an_empty_text_has_no_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert list(Lines(tmp_path / "a.txt")) == []


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"first\n" + b"x" * 2**20)
    with pytest.raises(DatasetError, match=r"a\.txt, line 2 is over 64 KiB"):
        Lines(tmp_path / "a.txt")[1]
    with pytest.raises(DatasetError, match=r"a\.txt, line 2 is over 64 KiB"):
        list(Lines(tmp_path / "a.txt"))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"first\n\xff\n")
    text = Lines(tmp_path / "a.txt")
    assert text[0] == "first"
    with pytest.raises(DatasetError, match="is not UTF-8 text"):
        text[1]
