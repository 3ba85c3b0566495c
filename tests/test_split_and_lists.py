"""Splits that deal every class out fairly and never twice differently, and lists in im2rec's format."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from milliner.core.errors import DatasetError, SettingsError
from milliner.curation.groups import Link, components
from milliner.curation.split import Dealt, Picture, check_names, check_shares, deal, scheme
from milliner.shards.lists import ListLine, format_line, read_list

SHARES = [
    {"train": 1.0},
    {"train": 0.7, "test": 0.3},
    {"train": 0.98, "test": 0.02},
    {"train": 0.6, "val": 0.2, "test": 0.2},
    {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3},
    {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4},
]
TWO = {"train": 0.7, "test": 0.3}

labels = st.lists(st.sampled_from(["helmet", "nohelmet", "猫", ""]), min_size=1, max_size=80)
seeds = st.integers(0, 2**32)


def pictures(*labels: str) -> list[Picture]:
    return [Picture(f"{number:03}", label, f"content {number}") for number, label in enumerate(labels)]


def sides(dealt: Dealt) -> dict[str, str]:
    return {key: name for name, keys in dealt.splits.items() for key in keys}


def counts(dealt: Dealt, labels: dict[str, str]) -> dict[str, Counter[str]]:
    return {name: Counter(labels[key] for key in keys) for name, keys in dealt.splits.items()}


def have_enough(labels: list[str], shares: dict[str, float]) -> bool:
    return min(Counter(labels).values()) >= len(shares)


@st.composite
def linked(draw: st.DrawFn, label: st.SearchStrategy[str]) -> tuple[list[Picture], list[Link]]:
    """Some pictures and groups of at most five of them that do not overlap."""
    found = pictures(*draw(st.lists(label, min_size=8, max_size=60)))
    keys = draw(st.permutations([picture.key for picture in found]))
    links, start = [], 0
    for size in draw(st.lists(st.integers(1, 5), max_size=20)):
        links.append(tuple(keys[start : start + size]))
        start += size
    return found, links


@given(labels, st.sampled_from(SHARES), seeds)
def test_every_picture_is_dealt_out_once_and_every_split_has_every_class(
    labels: list[str], shares: dict[str, float], seed: int
) -> None:
    assume(have_enough(labels, shares))
    found, sizes = pictures(*labels), Counter(labels)
    dealt = deal(found, shares, seed)
    assert list(dealt.splits) == list(shares)
    assert sorted(key for keys in dealt.splits.values() for key in keys) == [picture.key for picture in found]
    for name, of_class in counts(dealt, {picture.key: picture.label for picture in found}).items():
        assert of_class.keys() == sizes.keys()
        for label, size in sizes.items():
            if min(shares.values()) * size >= 1:  # otherwise a split gets one more than its share, to have the class
                assert abs(of_class[label] - shares[name] * size) < 1 + 1e-9
    random.Random(seed).shuffle(found)
    assert deal(found, shares, seed) == dealt


@given(linked(st.just("hat")), st.sampled_from(SHARES), seeds)
def test_groups_stay_together_and_shares_are_met_within_one_group(
    case: tuple[list[Picture], list[Link]], shares: dict[str, float], seed: int
) -> None:
    found, links = case
    dealt = deal(found, shares, seed, links)
    side = sides(dealt)
    assert dealt.left_out == {}
    assert sorted(side) == [picture.key for picture in found]
    for link in links:
        assert len({side[key] for key in link}) <= 1
    largest = max((len(link) for link in links), default=1)
    groups = components([picture.key for picture in found], links)
    for name, share in shares.items():
        if len(groups) >= len(shares):
            assert dealt.splits[name]
        if min(shares.values()) * len(found) >= largest:
            assert abs(len(dealt.splits[name]) - share * len(found)) < largest + 1e-9


@given(linked(st.sampled_from(["hat", "cap"])), st.sampled_from(SHARES), seeds, st.data())
def test_adding_pictures_never_moves_one(
    case: tuple[list[Picture], list[Link]], shares: dict[str, float], seed: int, data: st.DataObject
) -> None:
    everyone, links = case
    arrivals = data.draw(st.permutations(everyone))
    known: dict[str, str] = {}
    cut = 0
    while cut < len(arrivals):
        cut = data.draw(st.integers(cut + 1, len(arrivals)))
        present = arrivals[:cut]
        if not have_enough([picture.label for picture in present], shares):
            continue
        more = data.draw(st.lists(st.sampled_from(everyone).map(lambda each: each.key), min_size=2, max_size=2))
        links = [*links, tuple(more)]  # lookalikes may be found later
        dealt = deal(present, shares, seed, links, known)
        side = sides(dealt)
        identities = {picture.key: picture.identity for picture in present}
        assert sorted([*side, *dealt.left_out]) == sorted(identities)
        for group in components(identities, links):
            assert len({side[key] for key in group if key in side}) <= 1 or any(key in dealt.left_out for key in group)
        for link in links:
            assert len({side[key] for key in link if key in side}) <= 1
        for key, name in side.items():
            assert known.setdefault(identities[key], name) == name


@given(labels, seeds, seeds)
def test_each_seed_deals_its_own_way(labels: list[str], one: int, other: int) -> None:
    assume(one != other)
    found = pictures(*labels, *labels, *["more"] * 40)
    assert deal(found, TWO, one) == deal(found, TWO, one)
    assert deal(found, TWO, one) != deal(found, TWO, other)


def test_a_seed_mixes_the_classes() -> None:
    found = pictures(*["red"] * 20, *["green"] * 20)
    dealt = [deal(found, {"train": 0.5, "test": 0.5}, seed) for seed in range(20)]
    assert len({tuple(sorted(each.splits["train"])) for each in dealt}) == 20
    for each in dealt:
        assert each.splits["train"] != sorted(each.splits["train"])
        in_order = [key < "020" for key in each.splits["train"]]
        assert in_order not in (sorted(in_order), sorted(in_order, reverse=True))


def test_a_seed_deals_tomorrow_as_it_did_today() -> None:
    dealt = deal(pictures(*["a", "b"] * 5, *["b"] * 2), TWO, 0)
    expected = {"train": [8, 6, 11, 9, 10, 7, 4, 1], "test": [2, 3, 0, 5]}
    assert dealt.splits == {name: [f"{key:03}" for key in keys] for name, keys in expected.items()}


@given(st.sampled_from(SHARES), st.integers(1, 20))
def test_a_class_too_small_for_the_splits_is_named(shares: dict[str, float], others: int) -> None:
    assume(len(shares) > 1)
    with pytest.raises(DatasetError, match=f"'rare' has {len(shares) - 1} usable picture"):
        deal(pictures(*["rare"] * (len(shares) - 1), *["common"] * others * len(shares)), shares, 0)


def test_a_class_that_has_just_enough_gives_one_to_each_split() -> None:
    dealt = deal(pictures(*["a"] * 3, *["b"] * 50), {"train": 0.98, "val": 0.01, "test": 0.01}, 0)
    assert {name: len(keys) for name, keys in dealt.splits.items()} == {"train": 49, "val": 2, "test": 2}


def test_a_new_picture_goes_where_its_group_is() -> None:
    found = pictures(*["a"] * 20)
    known = {picture.identity: "test" if picture.key == "007" else "train" for picture in found[:10]}
    dealt = deal(found, TWO, 0, [("007", "015"), ("015", "016"), ("002", "017")], known)
    side = sides(dealt)
    assert [side[key] for key in ("007", "015", "016", "017")] == ["test", "test", "test", "train"]


def test_who_would_link_two_splits_is_left_out() -> None:
    found = pictures(*["a"] * 10)
    known = {picture.identity: "test" if picture.key in ("007", "008") else "train" for picture in found[:9]}
    dealt = deal(found, TWO, 0, [("001", "009"), ("009", "007")], known)
    assert dealt.left_out == {"009": "train and test"}
    assert sides(dealt) == {key: known[f"content {int(key)}"] for key in sides(dealt)}
    # Of two old ones that turn out to be lookalikes, the one of the larger part of the group stays ...
    assert deal(found[:9], TWO, 0, [("001", "002", "007")], known).left_out.keys() == {"007"}
    # ... and of equal parts the one of the smaller split.
    assert deal(found[:9], TWO, 0, [("001", "007")], known).left_out.keys() == {"001"}


def test_later_pictures_even_out_what_the_first_ones_could_not() -> None:
    found = pictures(*["a"] * 40)
    first = deal(found[:10], TWO, 0, [tuple(picture.key for picture in found[:9])])
    known = {found[int(key)].identity: name for key, name in sides(first).items()}
    assert Counter(sides(deal(found, TWO, 0, [], known)).values()) == {"train": 28, "test": 12}


def test_a_scheme_is_the_shares_the_seed_and_the_groups_in_any_order() -> None:
    assert scheme({"a": 0.3, "b": 0.7}, 5) == scheme({"b": 0.7, "a": 0.3}, 5) == "a=0.3 b=0.7 seed=5"
    others = [scheme(TWO, 0), scheme(TWO, 1), scheme({"train": 0.8, "test": 0.2}, 0), scheme(TWO, 0, "creator")]
    assert len(set(others)) == 4


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
        deal(pictures(*["a", "b"] * 9), shares, 0)


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
