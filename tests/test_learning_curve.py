"""The learning curve: what it measures, what it says, and that it takes no time."""

import json
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from milliner.cli.training_texts import curve_lines
from milliner.probe.choose import choose
from milliner.probe.folds import stratified_part
from milliner.probe.head import Head
from milliner.probe.views import OtherViews
from milliner.training.learning_curve import DRAWS, SIZES, LearningCurve, fit_with, learning_curve
from milliner.training.power_law import fit_law, gains


def pictures(
    counts: Sequence[int], apart: float, width: int = 60, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of classes whose centres lie so far apart, in units of the noise in each direction."""
    random = np.random.default_rng(seed)
    targets = np.repeat(np.arange(len(counts)), counts)
    centres = random.normal(size=(len(counts), width))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    return (centres[targets] + random.normal(size=(len(targets), width))).astype(np.float32), targets


def test_more_pictures_help_where_there_is_more_to_learn_and_the_sentence_says_so() -> None:
    embeddings, targets = pictures((160, 145), apart=3.5, width=600)
    curve = learning_curve(embeddings, targets, 2, fit_with(1e-2))
    assert curve is not None
    assert curve.pictures_per_class == (5, 10, 20, 50, 100)
    assert curve.accuracy[-1] > curve.accuracy[0] + 0.05
    assert all(low < value < high for low, value, high in zip(curve.low, curve.accuracy, curve.high, strict=True))
    assert curve.gain is not None
    likely, low, high = curve.gain
    assert 0 <= low <= likely <= high
    assert "would likely buy" in curve.sentence
    assert "points of accuracy (" in curve.sentence


def test_nothing_is_promised_where_all_is_learnt() -> None:
    embeddings, targets = pictures((90, 80), apart=60)
    curve = learning_curve(embeddings, targets, 2, fit_with(1e-2))
    assert curve is not None
    assert curve.accuracy == (1.0,) * len(curve.accuracy)
    assert all(0.9 < low < 1 for low in curve.low)
    assert "nothing that can be told from noise" in curve.sentence


def test_the_json_is_the_contract() -> None:
    curve = learning_curve(*pictures((40, 40), 2), 2, fit_with(1e-2))
    assert curve is not None
    document = json.loads(json.dumps(curve.to_json()))
    assert set(document) == {"pictures_per_class", "accuracy", "low", "high", "sentence"}
    assert len({len(document[name]) for name in ("pictures_per_class", "accuracy", "low", "high")}) == 1


def test_heads_that_begin_with_nothing_are_measured_on_the_same_pictures() -> None:
    embeddings, targets = pictures((40, 40), 2)
    curve = learning_curve(embeddings, targets, 2, fit_with(1e-2), without_init=fit_with(1e-2))
    other = learning_curve(embeddings, targets, 2, fit_with(1e-2), without_init=fit_with(3e2))
    assert curve is not None
    assert other is not None
    assert curve.without_init == curve.accuracy == other.accuracy != other.without_init
    assert curve.to_json()["without_init"] == curve.to_json()["accuracy"]


def test_the_same_seed_gives_the_same_curve_and_another_another() -> None:
    embeddings, targets = pictures((60, 40), 2)
    first, again, other = (learning_curve(embeddings, targets, 2, fit_with(1e-2), seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("counts", [(4, 4), (6, 200)])
def test_too_few_pictures_give_no_curve(counts: tuple[int, int]) -> None:
    assert learning_curve(*pictures(counts, 3), 2, fit_with(1e-2)) is None


def test_two_points_are_no_law() -> None:
    curve = learning_curve(*pictures((14, 14), 3), 2, fit_with(1e-2))
    assert curve is not None
    assert curve.pictures_per_class == (5, 10)
    assert curve.gain is None
    assert "too few pictures to tell" in curve.sentence


class Watched:
    """A fit that remembers which pictures it was given; the pictures carry their number in the first place."""

    def __init__(self) -> None:
        self.drawn: list[list[set[int]]] = []

    def __call__(
        self,
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        classes: int,
        left_out: Sequence[NDArray[np.bool_]],
        views: OtherViews,
    ) -> Sequence[Head]:
        self.drawn.append([set(embeddings[~mask, 0].astype(int).tolist()) for mask in left_out])
        for mask in left_out:
            counts = np.bincount(targets[~mask], minlength=classes)
            assert len(set(counts.tolist())) == 1
        return fit_with(1e-2)(embeddings, targets, classes, left_out, views)


@settings(deadline=None, max_examples=10)
@given(counts=st.lists(st.integers(8, 40), min_size=2, max_size=4), seed=st.integers(0, 99), size=st.integers(1, 3))
def test_draws_are_nested_balanced_and_leave_whole_groups_out(counts: list[int], seed: int, size: int) -> None:
    embeddings, targets = pictures(counts, 3, width=8, seed=seed)
    embeddings[:, 0] = np.arange(len(targets))
    groups = np.arange(len(targets)) // size
    watched = Watched()
    curve = learning_curve(embeddings, targets, len(counts), watched, seed, groups)
    if curve is not None:
        for number, draws in zip(curve.pictures_per_class, watched.drawn, strict=True):
            assert {len(drawn) for drawn in draws} == {number * len(counts)}
    for smaller, larger in zip(watched.drawn, watched.drawn[1:], strict=False):
        assert all(few < many for few, many in zip(smaller, larger, strict=True))
    if watched.drawn:
        # what a draw never sees is what it is judged on, and each picture is left out by one of the draws
        everything = watched.drawn[-1]
        assert not set.intersection(*everything)
        assert len(everything) == DRAWS


def test_the_fit_decides_the_curve() -> None:
    embeddings, targets = pictures((60, 60), 2.4)

    def guessing(
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        classes: int,
        left_out: Sequence[NDArray[np.bool_]],
        views: OtherViews,
    ) -> Sequence[Head]:
        width = embeddings.shape[1]
        return [Head(np.zeros((classes, width), np.float32), np.zeros(classes, np.float32)) for _ in left_out]

    good = learning_curve(embeddings, targets, 2, fit_with(1e-2))
    bad = learning_curve(embeddings, targets, 2, guessing)
    assert good is not None
    assert bad is not None
    assert bad.accuracy == (0.5,) * len(bad.accuracy)
    assert good.accuracy[-1] > 0.8


def test_very_many_pictures_or_classes_cost_no_more_than_some() -> None:
    many = learning_curve(*pictures((20_000, 20_000), 3, width=8), 2, fit_with(1e-2))
    assert many is not None
    assert max(many.pictures_per_class) <= max(SIZES)
    start = perf_counter()
    assert learning_curve(*pictures((8,) * 1000, 3, width=8), 1000, fit_with(1e-2)) is None
    assert perf_counter() - start < 2


@pytest.mark.parametrize(("a", "b", "c"), [(0.02, 0.5, 0.5), (0.0, 1.0, 1.0), (0.1, 0.0, 0.1)])
def test_a_law_that_was_drawn_is_found_again(a: float, b: float, c: float) -> None:
    sizes = np.array([5, 10, 20, 50, 100, 200])
    errors = a + b * sizes.astype(float) ** -c
    found = fit_law(sizes, errors[None], np.full(6, 1e-6))
    assert found[0] + found[1] * 300.0 ** -found[2] == pytest.approx(a + b * 300.0**-c, abs=1e-3)


def test_one_point_far_off_does_not_turn_the_law() -> None:
    sizes = np.array([5, 10, 20, 50, 100, 200, 500])
    errors = 0.03 + 0.6 * sizes.astype(float) ** -0.5
    errors[3] += 0.2
    a, b, c = (float(value[0]) for value in fit_law(sizes, errors[None], np.full(7, 1e-4)))
    assert a + b * 500**-c == pytest.approx(0.03 + 0.6 * 500**-0.5, abs=0.02)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=8), st.integers(0, 9))
def test_whatever_was_measured_the_law_keeps_its_bounds(errors: list[float], seed: int) -> None:
    sizes = np.array(SIZES[: len(errors)])
    wrong = (np.random.default_rng(seed).random((len(errors), 50)) < np.array(errors)[:, None]).astype(float)
    a, b, c = fit_law(sizes, wrong.mean(axis=1)[None], np.full(len(errors), 1e-3))
    assert (a >= 0).all()
    assert (b >= 0).all()
    assert ((c > 0) & (c <= 2)).all()
    likely, low, high = gains(sizes, wrong, np.full(len(errors), 1e-3), 100, 150, seed)
    assert 0 <= low <= likely <= high <= 2


def test_the_chart_shows_every_size_and_ends_in_the_sentence() -> None:
    curve = LearningCurve((5, 50, 200), (0.8, 0.9, 0.95), (0.7, 0.85, 0.9), (0.88, 0.94, 0.99), (0.004, 0.001, 0.009))
    lines = curve_lines(curve)
    assert lines[0] == "learning curve of the linear head"
    assert len({len(line) for line in lines[1:4]}) == 1
    assert [line.index("o") for line in lines[1:4]] == sorted(line.index("o") for line in lines[1:4])
    assert "  5 per class   80.0%" in lines[1]
    assert lines[-1] == "50 more pictures per class would likely buy 0.4 points of accuracy (0.1 to 0.9)."
    assert all(line.isascii() for line in lines)


def test_the_chart_marks_what_is_without_init() -> None:
    curve = LearningCurve((5, 50), (0.8, 0.9), (0.7, 0.85), (0.88, 0.94), None, without_init=(0.6, 0.9))
    lines = curve_lines(curve)
    assert lines[0] == "learning curve of the linear head (o), and without init (x)"
    assert " 5 per class   80.0%   60.0%  |x" in lines[1]
    assert lines[1].index("x") < lines[1].index("-") < lines[1].index("o")
    assert "x" not in lines[2], "one is on top of the other"
    assert len({len(line) for line in lines[1:3]}) == 1
    assert lines[3].index("60%") == lines[1].index("|x") + 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=300), st.integers(1, 300), st.integers(1, 5))
def test_a_part_keeps_the_shares_of_the_classes(numbers: list[int], most: int, least: int) -> None:
    targets = np.array(numbers)
    part = stratified_part(targets, most, least, seed=1)
    assert len(part) == len(set(part.tolist()))
    if len(targets) <= most:
        assert len(part) == len(targets)
    for label in set(numbers):
        count = int((targets == label).sum())
        expected = min(count, max(least, round(min(1, most / len(targets)) * count)))
        assert int((targets[part] == label).sum()) == expected


def test_the_strength_for_very_many_is_chosen_on_some_in_bounded_time() -> None:
    embeddings, targets = pictures((9_000,) * 12, 3, width=8)
    start = perf_counter()
    choice = choose(embeddings, targets, 12, seed=0)
    assert perf_counter() - start < 30
    assert choice.accuracy > 0.5
