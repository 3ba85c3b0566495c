"""Splits that deal every class out fairly, and lists in im2rec's format."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from milliner.core.errors import DatasetError, SettingsError
from milliner.curation.split import check_names, check_shares, stratified_split
from milliner.shards.lists import ListLine, format_line, read_list

SHARES = [
    {"train": 1.0},
    {"train": 0.7, "test": 0.3},
    {"train": 0.98, "test": 0.02},
    {"train": 0.6, "val": 0.2, "test": 0.2},
    {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3},
    {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4},
]

labels = st.lists(st.sampled_from(["helmet", "nohelmet", "猫", ""]), min_size=1, max_size=80)


@given(labels, st.sampled_from(SHARES), st.integers(0, 2**32))
def test_every_sample_is_dealt_out_once_and_every_split_has_every_class(
    labels: list[str], shares: dict[str, float], seed: int
) -> None:
    sizes = Counter(labels)
    assume(min(sizes.values()) >= len(shares))
    dealt = stratified_split(labels, shares, seed)
    assert list(dealt) == list(shares)
    assert sorted(place for places in dealt.values() for place in places) == list(range(len(labels)))
    for name, places in dealt.items():
        counts = Counter(labels[place] for place in places)
        assert counts.keys() == sizes.keys()
        for label, size in sizes.items():
            if min(shares.values()) * size >= 1:  # otherwise a split gets one more than its share, to have the class
                assert abs(counts[label] - shares[name] * size) < 1
    assert stratified_split(labels, shares, seed) == dealt


@given(st.sampled_from(SHARES), st.integers(1, 20))
def test_a_class_too_small_for_the_splits_is_named(shares: dict[str, float], others: int) -> None:
    assume(len(shares) > 1)
    with pytest.raises(DatasetError, match=f"'rare' has {len(shares) - 1} usable picture"):
        stratified_split(["rare"] * (len(shares) - 1) + ["common"] * others * len(shares), shares, 0)


def test_each_seed_deals_its_own_way_and_mixes_the_classes() -> None:
    labels = ["red"] * 20 + ["green"] * 20
    splits = [stratified_split(labels, {"train": 0.5, "test": 0.5}, seed) for seed in range(20)]
    assert len({tuple(sorted(split["train"])) for split in splits}) == 20
    for split in splits:
        in_order = [labels[place] for place in split["train"]]
        assert in_order not in (sorted(in_order), sorted(in_order, reverse=True))
        assert split["train"] != sorted(split["train"])


def test_a_seed_deals_tomorrow_as_it_did_today() -> None:
    dealt = stratified_split(["a", "b"] * 5 + ["b"] * 2, {"train": 0.7, "test": 0.3}, 0)
    assert dealt == {"train": [6, 1, 0, 3, 4, 9, 5, 11, 8], "test": [2, 10, 7]}


def test_a_class_that_has_just_enough_gives_one_to_each_split() -> None:
    dealt = stratified_split(["a"] * 3 + ["b"] * 50, {"train": 0.98, "val": 0.01, "test": 0.01}, 0)
    assert {name: len(places) for name, places in dealt.items()} == {"train": 49, "val": 2, "test": 2}


@pytest.mark.parametrize(
    "shares",
    [
        {},
        {"train": 0.9},
        {"train": 0.7, "test": 0.7},
        {"train": 1.0, "test": 0.0},
        {"train": 1.5, "test": -0.5},
        {"train": float("nan"), "test": 0.5},
        {"train": float("inf"), "test": 0.5},
    ],
)
def test_shares_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="shares above 0 that sum to 1, such as"):
        check_shares(shares)
    with pytest.raises(SettingsError, match="sum to 1"):
        stratified_split(["a", "b"] * 9, shares, 0)


@pytest.mark.parametrize("name", ["", "../train", "a/b", "a b", ".train", "train.rec", "-train", "a\n"])
def test_a_split_is_named_as_a_file_can_be(name: str) -> None:
    with pytest.raises(SettingsError, match="must be a plain word"):
        check_names(["train", name])
    with pytest.raises(SettingsError, match="must be a plain word"):
        check_shares({name: 1.0})


# Lists of pictures


def a_list(folder: Path, content: str | bytes) -> Path:
    path = folder / "train.lst"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r/\0"), min_size=1, max_size=9)
paths = st.lists(names.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map("/".join)
numbers = st.integers(-(10**6), 10**6).map(lambda number: number / 1000)


@given(
    st.lists(
        st.builds(ListLine, st.integers(0, 2**64 - 1), st.lists(numbers, min_size=1, max_size=3).map(tuple), paths),
        min_size=1,
        max_size=5,
        unique_by=lambda line: line.id,
    )
)
def test_a_list_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, lines: list[ListLine]) -> None:
    content = "".join(format_line(line.id, line.labels, line.path) for line in lines)
    assert read_list(a_list(tmp_path_factory.mktemp("lists"), content)) == lines


@pytest.mark.parametrize(("name", "count"), [("train.lst", 805), ("test.lst", 345)])
def test_the_lists_of_im2rec_are_read_and_written_byte_for_byte(test_data: Path, name: str, count: int) -> None:
    lines = read_list(test_data / "helmets" / name)
    assert len(lines) == count
    written = "".join(format_line(line.id, line.labels, line.path) for line in lines)
    assert written.encode() == (test_data / "helmets" / name).read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        "0\t1\ta.jpg\n7\t0\tb c.jpg",
        "0\t1.000000\ta.jpg\r\n7\t0.000000\tb c.jpg\r\n",
        "\n0\t1e0\t./a.jpg\n\n  \n7\t-0\tb c.jpg\n\n",
        "\ufeff0\t1\ta.jpg\n7\t0\tb c.jpg\n",
    ],
    ids=["no last line break", "CRLF", "blank lines", "byte order mark"],
)
def test_lists_may_be_written_by_any_editor(tmp_path: Path, content: str) -> None:
    assert read_list(a_list(tmp_path, content)) == [ListLine(0, (1.0,), "a.jpg"), ListLine(7, (0.0,), "b c.jpg")]


def test_a_line_may_have_several_labels(tmp_path: Path) -> None:
    assert read_list(a_list(tmp_path, "3\t1\t0.5\t-2\ta.jpg\n")) == [ListLine(3, (1.0, 0.5, -2.0), "a.jpg")]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1", "expected id, label and path"),
        ("1\ta.jpg", "expected id, label and path"),
        ("1 0 a.jpg", "expected id, label and path"),
        ("one\t0\ta.jpg", "the id must be a whole number"),
        ("1.0\t0\ta.jpg", "the id must be a whole number"),
        ("1\thelmet\ta.jpg", "labels must be numbers"),
        ("1\t0\thelmet\ta.jpg", "labels must be numbers"),
        ("-1\t0\ta.jpg", "out of range"),
        (f"{2**64}\t0\ta.jpg", "out of range"),
        ("1\tnan\ta.jpg", "out of range"),
        ("1\t-inf\ta.jpg", "out of range"),
        ("1\t1e39\ta.jpg", "out of range"),
        ("1\t0\t/etc/passwd", "outside the pictures' folder"),
        ("1\t0\t../secret.jpg", "outside the pictures' folder"),
        ("1\t0\tred/../../secret.jpg", "outside the pictures' folder"),
    ],
)
def test_a_line_that_does_not_hold_together_is_named_with_its_number(tmp_path: Path, line: str, sentence: str) -> None:
    with pytest.raises(DatasetError, match=f"train.lst, line 2: .*{sentence}"):
        read_list(a_list(tmp_path, f"0\t1\tgood.jpg\n{line}\n"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "lists no picture; write one line"),
        ("\n \n", "lists no picture; write one line"),
        ("5\t1\ta.jpg\n5\t0\tb.jpg\n", "gives the id 5 twice"),
        (b"0\t1\tcaf\xe9.jpg\n", "is not UTF-8 text"),
        ("0\t1\ta.jpg\n".encode("utf-16"), "is not UTF-8 text"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        read_list(a_list(tmp_path, content))


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.lst", tmp_path, Path("/dev/zero")):
        with pytest.raises(DatasetError, match="cannot be read"):
            read_list(path)
