"""Which pictures belong together."""

import itertools
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milliner.core.errors import DatasetError, SettingsError
from milliner.curation.groups import COLUMNS, Grouping, components, video_links
from milliner.images.ledger import FetchRow

KEYS = [f"{number:02}" for number in range(20)]

links = st.lists(st.lists(st.sampled_from([*KEYS, "gone"]), max_size=4).map(tuple), max_size=15)


@given(links, st.randoms(use_true_random=False))
def test_groups_are_what_links_can_reach(links: list[tuple[str, ...]], random: Random) -> None:
    found = components(KEYS, links)
    assert sorted(key for group in found for key in group) == KEYS
    assert found == sorted(sorted(group) for group in found)
    place = {key: number for number, group in enumerate(found) for key in group}
    reached = {key: {key} for key in KEYS}
    for _ in KEYS:
        for link in links:
            for one, other in itertools.permutations((key for key in link if key in reached), 2):
                reached[one] |= reached[other]
    for one, other in itertools.product(KEYS, KEYS):
        assert (place[one] == place[other]) == (other in reached[one])
    shuffled = [tuple(random.sample(link, len(link))) for link in random.sample(links, len(links))]
    assert components(random.sample(KEYS, len(KEYS)), shuffled) == found


def test_a_chain_of_a_hundred_thousand_is_one_group() -> None:
    keys = [f"{number:06}" for number in range(100_000)]
    assert components(keys, itertools.pairwise(reversed(keys))) == [keys]


def row(file: str | None, address: str = "https://a.b/c.jpg", **more: str) -> FetchRow:
    return FetchRow(address, "hat", "urls", "stored", file=file, **more)  # type: ignore[arg-type]


def test_frames_of_one_video_belong_together() -> None:
    rows = [
        row("hat/1.jpg", "video:abc#t=0.0"),
        row("hat/2.jpg", "video:abc#t=2.5"),
        row(None, "video:abc#t=3"),
        row("hat/3.jpg", "video:def#t=0.0"),
        row("hat/4.jpg", "https://a.b/c#t=1"),
    ]
    assert video_links(rows) == [("hat/1.jpg", "hat/2.jpg"), ("hat/3.jpg",)]


def test_a_column_of_the_ledger_groups() -> None:
    rows = [
        row("a", creator="Ann"),
        row("b", creator="Bob"),
        row("c"),
        row("d", creator="Ann"),
        row("x", creator="Ann"),
    ]
    assert Grouping.of("creator").links(["a", "b", "c", "d"], rows) == [("a", "d"), ("b",)]


def test_every_column_is_one_of_the_ledger() -> None:
    for column in COLUMNS:
        assert hasattr(row("a"), column)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(.+)\.rf\.", [("hat/a_1.rf.x.jpg", "hat/a_1.rf.y.jpg"), ("cap/a_1.rf.z.jpg",)]),
        (r"([^/]+)\.rf\.", [("hat/a_1.rf.x.jpg", "hat/a_1.rf.y.jpg", "cap/a_1.rf.z.jpg")]),
        (r"[ab]_\d", [("hat/a_1.rf.x.jpg", "hat/a_1.rf.y.jpg", "cap/a_1.rf.z.jpg"), ("hat/b_2.jpg",)]),
        (r"(b)?_2|nothing(.)", [("hat/b_2.jpg",)]),
    ],
)
def test_a_pattern_groups_by_its_first_group_or_the_whole_match(pattern: str, expected: list[tuple[str, ...]]) -> None:
    keys = ["hat/a_1.rf.x.jpg", "hat/a_1.rf.y.jpg", "cap/a_1.rf.z.jpg", "hat/b_2.jpg"]
    assert Grouping.of(pattern).links(keys, []) == expected


@pytest.mark.parametrize("text", ["(", "", "a" * 501, "(?P<a", "[b-a]", "a{99999999999}"])
def test_a_text_that_is_no_group_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=re.escape("a column")):
        Grouping.of(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("creater", "'creater' matches the path of no picture"), ("creator", "'creator' has no value for any picture")],
)
def test_a_group_that_no_picture_has_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(DatasetError, match=f"{sentence}.*; give one of attribution, "):
        Grouping.of(text).links(["a.jpg"], [row("a.jpg")])
