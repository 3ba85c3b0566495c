"""Operating points: what is said, and when nothing is."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from milliner.classifier.operating_point import CLOSE, FAR, UNLIKELY, OperatingPoint

LABELS = ("helmet", "nohelmet", "wall")
Floats = NDArray[np.float64]

points = st.builds(
    OperatingPoint,
    abstain_below=st.floats(0, 0.99),
    min_margin=st.floats(0, 0.99),
    max_distance=st.none() | st.floats(0.01, 1e6),
    weights=st.dictionaries(st.sampled_from(LABELS), st.floats(1e-3, 1e3)),
    stated=st.text(),
)


@st.composite
def probabilities(draw: st.DrawFn) -> Floats:
    count = draw(st.integers(1, 12))
    raw = draw(arrays(np.float64, (count, len(LABELS)), elements=st.floats(1e-6, 1)))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True), np.float64)


def test_without_wishes_the_most_probable_class_is_said() -> None:
    found = OperatingPoint().decide(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]), None, LABELS)
    assert found.said.tolist() == [1, 0]
    assert found.said.dtype == np.int64
    assert not found.abstained.any()
    assert found.reasons == ("", "")


def test_a_weight_is_a_threshold_of_two_classes() -> None:
    point = OperatingPoint(weights={"nohelmet": 4})
    found = point.decide(np.array([[0.79, 0.21], [0.81, 0.19]]), None, LABELS[:2])
    assert found.said.tolist() == [1, 0]


def test_the_reasons_are_named_the_gravest_first() -> None:
    point = OperatingPoint(abstain_below=0.5, min_margin=0.2, max_distance=3)
    rows = np.array([[0.9, 0.05, 0.05], [0.5, 0.4, 0.1], [0.4, 0.35, 0.25], [0.4, 0.35, 0.25], [0.9, 0.05, 0.05]])
    found = point.decide(rows, np.array([3, 1, 1, 3.1, np.nan]), LABELS)
    assert found.reasons == ("", CLOSE, UNLIKELY, FAR, FAR)
    assert found.abstained.tolist() == [False, True, True, True, True]


def test_the_margin_is_taken_between_weighted_probabilities() -> None:
    point = OperatingPoint(min_margin=0.2, weights={"nohelmet": 4})
    found = point.decide(np.array([[0.8, 0.2], [0.5, 0.5]]), None, LABELS[:2])
    assert found.reasons == (CLOSE, "")


@given(probabilities(), points, st.data())
def test_each_picture_is_decided_by_itself(rows: Floats, point: OperatingPoint, data: st.DataObject) -> None:
    distances = data.draw(arrays(np.float64, len(rows), elements=st.floats(0, 1e6)))
    together = point.decide(rows, distances, LABELS)
    for place in range(len(rows)):
        alone = point.decide(rows[place : place + 1], distances[place : place + 1], LABELS)
        assert alone.said[0] == together.said[place]
        assert alone.reasons[0] == together.reasons[place]


@given(probabilities(), points)
def test_asking_for_more_never_abstains_on_less(rows: Floats, point: OperatingPoint) -> None:
    stricter = OperatingPoint(
        math.sqrt(point.abstain_below), math.sqrt(point.min_margin), point.max_distance, point.weights
    )
    few, many = (each.decide(rows, None, LABELS).abstained for each in (point, stricter))
    assert not (few & ~many).any()


@given(probabilities(), points, st.sampled_from(LABELS), st.floats(1, 1e3))
def test_raising_a_classs_weight_never_takes_a_picture_from_it(
    rows: Floats, point: OperatingPoint, label: str, factor: float
) -> None:
    raised = OperatingPoint(weights={**point.weights, label: point.weights.get(label, 1.0) * factor})
    number = LABELS.index(label)
    was, now = (each.decide(rows, None, LABELS).said == number for each in (point, raised))
    assert not (was & ~now).any()


@given(points)
def test_json_keeps_a_point(point: OperatingPoint) -> None:
    assert OperatingPoint.from_json(json.loads(json.dumps(point.to_json()))) == point


def test_what_earlier_versions_wrote_is_read() -> None:
    assert OperatingPoint.from_json({"abstain_below": 0.4}) == OperatingPoint(0.4)


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"abstain_below": True},
        {"abstain_below": "0.5"},
        {"abstain_below": 1.0},
        {"abstain_below": math.nan},
        {"abstain_below": 0, "min_margin": 1},
        {"abstain_below": 0, "max_distance": 0},
        {"abstain_below": 0, "max_distance": math.inf},
        {"abstain_below": 0, "weights": []},
        {"abstain_below": 0, "weights": {"a": 0}},
        {"abstain_below": 0, "weights": {"a": None}},
        {"abstain_below": 0, "stated": 3},
        {"abstain_below": 0, "forbidden": 3},
    ],
)
def test_what_is_no_point_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"operating point|must be"):
        OperatingPoint.from_json(document)


def test_a_weight_that_names_no_label_is_refused() -> None:
    with pytest.raises(ValueError, match="'hat', which is none of its labels"):
        OperatingPoint(weights={"hat": 2}).decide(np.array([[0.5, 0.5]]), None, LABELS[:2])
