"""The figures of evaluations against scikit-learn's, and where those are not defined."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from milliner.backbones.backbone import DEFAULT, backbone
from milliner.backbones.imagenet_head import ImagenetHead
from milliner.classifier.metadata import BackboneIdentity, Metadata
from milliner.core.errors import SettingsError
from milliner.core.imagenet import class_index
from milliner.core.shares import wilson_interval
from milliner.evaluation.before import MajorityClass, ZeroShot, baseline
from milliner.evaluation.curves import (
    area_under_roc,
    average_precision,
    calibration,
    calibration_error,
    precision_recall_curve,
    roc_curve,
)
from milliner.evaluation.metrics import measure
from milliner.images.resize import ResizePolicy

LABELS = ("ant", "bee", "wasp", "fly")


@st.composite
def answers(draw: st.DrawFn, least_classes: int = 2) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities with many ties, and truths that may leave classes out."""
    classes = draw(st.integers(least_classes, len(LABELS)))
    samples = draw(st.integers(1, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = random.integers(1, 5, (samples, classes)).astype(np.float64)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), random.integers(0, classes, samples)


@settings(deadline=None, max_examples=60)
@given(answers())
def test_figures_are_those_of_scikit_learn(drawn: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    probabilities, targets = drawn
    classes = list(range(probabilities.shape[1]))
    said = probabilities.argmax(axis=1)
    found = measure(probabilities, targets, LABELS[: len(classes)])
    assert found.accuracy == pytest.approx(sklearn.metrics.accuracy_score(targets, said))
    np.testing.assert_array_equal(found.confusion, sklearn.metrics.confusion_matrix(targets, said, labels=classes))
    expected = sklearn.metrics.precision_recall_fscore_support(targets, said, labels=classes, zero_division=0)
    figures = [(each.precision, each.recall, each.f1, each.support) for each in found.per_class.values()]
    np.testing.assert_allclose(figures, np.transpose(expected))
    assert found.log_loss == pytest.approx(sklearn.metrics.log_loss(targets, probabilities, labels=classes), rel=1e-5)
    there = np.unique(targets)
    f1 = sklearn.metrics.f1_score(targets, said, labels=there, average="macro", zero_division=0)
    assert found.figures["f1"].value == pytest.approx(f1)
    recall = sklearn.metrics.recall_score(targets, said, labels=there, average="macro", zero_division=0)
    assert found.figures["balanced_accuracy"].value == pytest.approx(recall)
    error = calibration_error(calibration(probabilities, targets))
    assert found.figures["calibration_error"].value == pytest.approx(error)


@settings(deadline=None, max_examples=60)
@given(answers())
def test_recalls_at_false_alarms_are_read_off_scikit_learns_curve(
    drawn: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    probabilities, targets = drawn
    shares = (0.01, 0.2, 0.29, 0.5)
    found = measure(probabilities, targets, LABELS[: probabilities.shape[1]], at_false_alarms=shares)
    for label, figures in enumerate(found.per_class.values()):
        positive = targets == label
        if not 0 < positive.sum() < len(positive):
            assert [each.recall.value for each in figures.at_false_alarms] == [None] * len(shares)
            continue
        alarms, hits, _ = sklearn.metrics.roc_curve(positive, probabilities[:, label], drop_intermediate=False)
        for each in figures.at_false_alarms:
            borne = alarms <= each.false_alarms + 1e-9
            assert each.recall.value == pytest.approx(hits[borne].max())
            if each.threshold is None:
                assert each.recall.value == 0
            else:
                called = probabilities[:, label] >= each.threshold
                assert called[positive].mean() == pytest.approx(each.recall.value)
                assert called[~positive].mean() <= each.false_alarms + 1e-9


@settings(deadline=None, max_examples=60)
@given(answers())
def test_the_average_precision_of_each_class_is_that_of_scikit_learn(
    drawn: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    probabilities, targets = drawn
    found = measure(probabilities, targets, LABELS[: probabilities.shape[1]])
    theirs = []
    for label, figures in enumerate(found.per_class.values()):
        positive, value = targets == label, figures.figures["average_precision"].value
        if 0 < positive.sum() < len(positive):
            theirs.append(sklearn.metrics.average_precision_score(positive, probabilities[:, label]))
            assert value == pytest.approx(theirs[-1])
        else:
            assert value is None
    assert found.figures["average_precision"].value == (pytest.approx(np.mean(theirs)) if theirs else None)


@settings(deadline=None, max_examples=60)
@given(answers())
def test_roc_auc_is_that_of_scikit_learn_over_the_classes_that_have_one(
    drawn: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> None:
    probabilities, targets = drawn
    counted = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = [
        sklearn.metrics.roc_auc_score(targets == label, probabilities[:, label])
        for label in counted
        if 0 < (targets == label).sum() < len(targets)
    ]
    found = measure(probabilities, targets, LABELS[: probabilities.shape[1]])
    assert found.roc_auc == (pytest.approx(np.mean(areas)) if areas else None)


@settings(deadline=None, max_examples=60)
@given(answers())
def test_curves_are_those_of_scikit_learn(drawn: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    probabilities, targets = drawn
    for label in range(probabilities.shape[1]):
        scores, positive = probabilities[:, label], targets == label
        if not 0 < positive.sum() < len(positive):
            continue
        expected = sklearn.metrics.roc_curve(positive, scores, drop_intermediate=False)
        np.testing.assert_allclose(roc_curve(scores, positive), expected[:2])
        theirs = sklearn.metrics.roc_auc_score(positive, scores)
        assert area_under_roc(*roc_curve(scores, positive)) == pytest.approx(theirs)
        recall, precision = precision_recall_curve(scores, positive)
        theirs = sklearn.metrics.precision_recall_curve(positive, scores)
        np.testing.assert_allclose(precision[::-1], theirs[0][:-1])
        np.testing.assert_allclose(recall[::-1], theirs[1][:-1])
        area = sklearn.metrics.average_precision_score(positive, scores)
        assert average_precision(recall, precision) == pytest.approx(area)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_ends_where_the_share_is_just_significantly_off(drawn: tuple[int, int]) -> None:
    correct, samples = drawn
    low, high = wilson_interval(correct, samples)
    share = correct / samples
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(share - end) / math.sqrt(end * (1 - end) / samples) == pytest.approx(1.959964, rel=1e-4)


def test_a_single_picture_has_figures_and_a_wide_interval() -> None:
    found = measure(np.array([[0.2, 0.8]], np.float32), np.array([1]), ("ant", "bee"))
    assert found.accuracy == 1
    assert found.interval[0] == pytest.approx(0.2065, abs=1e-3)
    assert found.interval[1] == 1.0
    assert found.roc_auc is None
    ant = found.per_class["ant"].to_json()
    assert ant["support"] == 0
    assert [ant[name] for name in ("precision", "recall", "f1")] == [{"value": 0.0, "interval": None}] * 3


def test_a_class_that_the_test_set_lacks_is_left_out_of_the_roc_auc() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.5, 0.3]], np.float32)
    assert measure(probabilities, np.array([0, 1, 1]), ("ant", "bee", "fly")).roc_auc == 1.0


def test_log_loss_of_a_certain_mistake_is_finite() -> None:
    found = measure(np.array([[1.0, 0.0]], np.float32), np.array([1]), ("ant", "bee"))
    assert found.log_loss == pytest.approx(-math.log(2**-23))


@settings(deadline=None, max_examples=40)
@given(answers())
def test_calibration_bins_hold_every_picture_once(drawn: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    probabilities, targets = drawn
    bins = calibration(probabilities, targets)
    assert sum(each.samples for each in bins) == len(targets)
    right = (probabilities.argmax(axis=1) == targets).sum()
    assert sum(each.samples * each.accuracy for each in bins) == pytest.approx(right)
    assert 0 <= calibration_error(bins) <= 1


def test_a_probability_of_one_falls_into_the_last_bin() -> None:
    (only,) = calibration(np.array([[1.0, 0.0]], np.float32), np.array([1]))
    assert (only.samples, only.probability, only.accuracy) == (1, 1.0, 0.0)
    assert calibration_error([only]) == 1.0


def _metadata(**facts: object) -> Metadata:
    identity = BackboneIdentity(DEFAULT, backbone(DEFAULT).sha256)
    return Metadata(("ant", "bee", "fly"), ResizePolicy(64), identity, **facts)  # type: ignore[arg-type]


def test_without_named_classes_the_baseline_is_the_training_sets_majority() -> None:
    untrained = baseline(_metadata(dataset={"per_class": {"ant": 1, "fly": 3}}))
    assert untrained.kind == "always the majority class fly"
    assert untrained.outputs == ()
    np.testing.assert_allclose(untrained.probabilities({}), [0.25, 0, 0.75])


@pytest.mark.parametrize("counts", [None, {}, {"ant": "many"}, {"ant": -1}, [3]])
def test_the_majority_is_the_first_class_where_the_model_does_not_know_its_training_set(counts: object) -> None:
    untrained = MajorityClass.of(_metadata(dataset={"per_class": counts}))
    assert untrained.kind == "always the majority class ant"
    np.testing.assert_allclose(untrained.probabilities({}), [1 / 3, 1 / 3, 1 / 3])


def _zero_shot(columns: list[int]) -> NDArray[np.float64]:
    """Over an ImageNet classifier that says 0.5 of class 7, 0.25 of class 9 and nearly nothing of the rest."""
    bias = np.full(1000, -40, np.float32)
    bias[7], bias[9], bias[11] = math.log(0.5), math.log(0.25), math.log(0.25)
    untrained = ZeroShot("", ImagenetHead(np.zeros((1000, 4), np.float32), bias), np.array(columns))
    return untrained.probabilities({"average": np.ones(4, np.float32)})


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([7, -1], [0.5, 0.5]),
        ([-1, 9, -1], [0.375, 0.25, 0.375]),
        ([7, 9], [2 / 3, 1 / 3]),
        ([7, 7, -1], [0.25, 0.25, 0.5]),
        ([500, 501], [0.5, 0.5]),
    ],
)
def test_zero_shot_shares_what_the_named_classes_leave(columns: list[int], expected: list[float]) -> None:
    np.testing.assert_allclose(_zero_shot(columns), expected, rtol=1e-5)


def test_zero_shot_says_which_imagenet_classes_it_reads() -> None:
    untrained = baseline(_metadata(init={"ant": "ant", "bee": "bee"}))
    assert untrained.kind == "zero-shot from the ImageNet classes ant, bee"
    assert isinstance(untrained, ZeroShot)
    assert untrained.columns.tolist() == [class_index("ant"), class_index("bee"), -1]


def test_an_unknown_imagenet_class_is_explained() -> None:
    with pytest.raises(SettingsError, match="crash helmt"):
        baseline(_metadata(init={"ant": "crash helmt"}))
