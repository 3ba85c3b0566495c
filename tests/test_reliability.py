"""Temperature, wishes and their operating points, and the distance: laws, and what is told where they cannot hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from milliner import Wishes
from milliner.core.errors import SettingsError
from milliner.probe.class_weights import ClassWeights
from milliner.probe.folds import stratified_folds
from milliner.probe.head import Head, fit_head, log_softmax
from milliner.runtimes.runtime import open_runtime
from milliner.training import distance as distances
from milliner.training.calibrate import calibrate, calibration_error
from milliner.training.distance import Distance, farthest, fit_limit
from milliner.training.distance_graph import append_distance
from milliner.training.operate import Share, operate

Floats = NDArray[np.float32]
LABELS = ("helmet", "nohelmet")


def _answers(seed: int, count: int, classes: int = 2, sureness: float = 2.0) -> tuple[Floats, NDArray[np.int64]]:
    """[count, classes] logits that are right more often than not, and the truth."""
    random = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    logits = random.normal(size=(count, classes)) * sureness
    logits[np.arange(count), targets] += sureness
    return logits.astype(np.float32), targets


def _probabilities(seed: int, count: int, classes: int = 2) -> tuple[Floats, NDArray[np.int64]]:
    logits, targets = _answers(seed, count, classes)
    return np.exp(log_softmax(logits)), targets


# temperature


@given(st.integers(0, 10**6), st.integers(2, 5), st.floats(0.2, 30))
def test_the_temperature_is_the_held_minimum_of_the_log_loss(seed: int, classes: int, sureness: float) -> None:
    logits, targets = _answers(seed, 60, classes, sureness)
    exact = logits.astype(np.float64)

    def held(inverse: float) -> float:
        scaled = inverse * exact
        shifted = scaled - scaled.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss = -log_probabilities[np.arange(len(targets)), targets].mean()
        return float(loss + 10 / len(targets) / 2 * (inverse - 1) ** 2)

    best = minimize_scalar(held, bounds=(0.25, 4), method="bounded", options={"xatol": 1e-8}).x
    assert 1 / calibrate(logits, targets).temperature == pytest.approx(best, abs=1e-4)


@given(st.integers(0, 10**6), st.floats(0.2, 30))
def test_the_temperature_changes_no_order_and_nothing_for_the_worse(seed: int, sureness: float) -> None:
    logits, targets = _answers(seed, 50, 3, sureness)
    found = calibrate(logits, targets)
    head = found.apply(Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)))
    after = head.logits(logits)
    assert (after.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert np.argsort(after[:, 0], kind="stable").tolist() == np.argsort(logits[:, 0], kind="stable").tolist()
    assert found.log_loss[1] <= found.log_loss[0] + 1e-6
    assert 0.25 <= found.temperature <= 4


def test_few_pictures_that_are_all_right_make_nobody_sure() -> None:
    logits, targets = np.array([[3, 0], [0, 3]] * 3, np.float32), np.array([0, 1] * 3)
    assert 0.8 < calibrate(logits, targets).temperature < 1


def test_probabilities_that_are_too_sure_are_softened() -> None:
    logits, targets = _answers(1, 600)
    found = calibrate(logits * 3, targets)
    assert found.temperature > 2
    before, after = found.calibration_error
    assert after < before / 2
    assert calibration_error(logits * 3, targets) == before


# wishes


@given(st.integers(0, 10**6), st.floats(0.5, 0.98), st.integers(2, 4))
def test_a_wished_recall_is_kept_out_of_fold(seed: int, recall: float, classes: int) -> None:
    probabilities, targets = _probabilities(seed, 300, classes)
    labels = ("nohelmet", *"abc"[: classes - 1])
    found = operate(Wishes(min_recall={"nohelmet": recall}), probabilities, targets, labels)
    assert found.recall["nohelmet"].value >= recall
    assert set(found.point.weights) <= {"nohelmet"}
    assert found.point.weights.get("nohelmet", 1) >= 1


@given(st.integers(0, 10**6), st.floats(0.01, 0.3))
def test_wished_false_alarms_are_kept_out_of_fold(seed: int, alarms: float) -> None:
    probabilities, targets = _probabilities(seed, 300)
    found = operate(Wishes(max_false_alarms={"nohelmet": alarms}), probabilities, targets, LABELS)
    assert found.false_alarms["nohelmet"].value <= alarms
    assert found.point.weights.get("nohelmet", 1) <= 1


@given(st.integers(0, 10**6), st.floats(0.5, 0.97), st.floats(0.5, 0.97))
def test_asking_for_more_recall_never_gives_less(seed: int, one: float, other: float) -> None:
    probabilities, targets = _probabilities(seed, 200)
    less, more = (
        operate(Wishes(min_recall={"helmet": recall}), probabilities, targets, LABELS).recall["helmet"].part
        for recall in sorted((one, other))
    )
    assert less <= more


def test_the_promise_counts_the_choice_itself() -> None:
    """With the threshold that a sample gives, the recall of new pictures is at least the wished one on average."""
    kept = []
    for seed in range(200):
        probabilities, targets = _probabilities(seed, 120)
        point = operate(Wishes(min_recall={"nohelmet": 0.95}), probabilities, targets, LABELS).point
        fresh, truth = _probabilities(10_000 + seed, 2000)
        kept.append((point.decide(fresh, None, LABELS).said[truth == 1] == 1).mean())
    assert 0.95 <= np.mean(kept) < 0.97


def test_what_is_fulfilled_moves_nothing_and_costs_are_weights() -> None:
    probabilities, targets = _probabilities(3, 400)
    assert operate(Wishes(min_recall={"nohelmet": 0.5}), probabilities, targets, LABELS).point.weights == {}
    point = operate(Wishes(cost={"nohelmet": 20}), probabilities, targets, LABELS).point
    assert point.weights == {"nohelmet": pytest.approx(20)}
    assert point.stated == "a missed nohelmet costs 20"


def test_wishes_for_both_classes_are_met_where_they_can_be() -> None:
    logits, targets = _answers(5, 600, sureness=3)
    probabilities = np.exp(log_softmax(logits + np.array([2, 0], np.float32)))
    plain = operate(Wishes(), probabilities, targets, LABELS)
    both = Wishes(min_recall={"helmet": 0.7, "nohelmet": 0.7})
    found = operate(both, probabilities, targets, LABELS)
    assert plain.recall["nohelmet"].value < 0.7
    assert min(found.recall["nohelmet"].value, found.recall["helmet"].value) >= 0.7


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (
            Wishes(min_recall={"nohelmet": 0.999}),
            r"min_recall of 0\.999 for 'nohelmet' needs 999 pictures of it to be promised, and there are 50: "
            r"ask for at most 0\.980 \(were all named rightly, the 95 % interval would be 0\.929 to 1\.000\)",
        ),
        (Wishes(max_false_alarms={"helmet": 0.01}), r"needs 99 pictures of other classes .* no less than 0\.020"),
        (
            Wishes(min_recall={"nohelmet": 0.95}, max_false_alarms=0.03),
            r"A recall of 0\.95 for 'nohelmet' comes with false alarms of .* and at most 0\.03 was asked for",
        ),
        (
            Wishes(min_recall={"helmet": 0.97, "nohelmet": 0.97}),
            r"What is wished of 'helmet' leaves 'nohelmet' a recall of \d+\.\d% \(.*\) and false alarms of",
        ),
    ],
)
def test_what_cannot_be_promised_is_one_sentence(wishes: Wishes, said: str) -> None:
    probabilities, targets = _probabilities(2, 100)
    with pytest.raises(SettingsError, match=said):
        operate(wishes, probabilities, targets, LABELS)


@pytest.mark.parametrize(
    "wish",
    [
        {"min_recall": {"a": 0}},
        {"min_recall": {"a": 1}},
        {"max_false_alarms": 1.0},
        {"max_false_alarms": float("nan")},
        {"cost": {"a": -1}},
        {"class_weight": {"a": float("inf")}},
        {"abstain_below": 1},
        {"abstain_margin": -0.1},
        {"abstain_far": 0.6},
        {"abstain_far": float("nan")},
    ],
)
def test_what_is_no_wish_is_refused(wish: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wish))):
        Wishes(**wish)  # type: ignore[arg-type]


def test_a_bare_number_is_for_the_classes_that_are_named_elsewhere() -> None:
    assert Wishes(max_false_alarms=0.1).false_alarms(LABELS) == {"helmet": 0.1, "nohelmet": 0.1}
    named = Wishes(max_false_alarms=0.1, min_recall={"nohelmet": 0.9})
    assert named.false_alarms(LABELS) == {"nohelmet": 0.1}


def test_shares_have_wilsons_interval() -> None:
    assert list(Share(9, 10).interval) == pytest.approx([0.5958, 0.9821], abs=1e-4)
    assert Share(0, 0).interval == (0, 1)


# class weights


@given(st.integers(0, 10**6), st.floats(1.1, 20))
def test_raising_a_classs_weight_never_lowers_its_recall_in_training(seed: int, factor: float) -> None:
    random = np.random.default_rng(seed)
    targets = np.arange(60) % 2
    embeddings = (random.normal(size=(60, 4)) + targets[:, None] * 0.7).astype(np.float32)

    def recalled(weights: ClassWeights) -> int:
        head = fit_head(embeddings, targets, 2, 0.1, counted=weights)
        return int((head.logits(embeddings).argmax(axis=1) == 1)[targets == 1].sum())

    assert recalled(ClassWeights()) <= recalled(ClassWeights(factors=np.array([1.0, factor])))


@given(arrays(np.int64, 30, elements=st.integers(0, 2)), arrays(np.float64, 3, elements=st.floats(0.1, 10)))
def test_class_weights_have_mean_one_and_keep_their_ratios(targets: NDArray[np.int64], factors: Floats) -> None:
    weights = ClassWeights(balanced=False, factors=factors.astype(np.float64)).of(targets, 3)
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(weights * factors[targets[0]], factors[targets] * weights[0], rtol=1e-5)


# distance


def _clouds(seed: int, count: int, width: int, classes: int = 3) -> tuple[Floats, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    centres = np.abs(np.random.default_rng(0).normal(size=(classes, width))) * 3
    targets = np.arange(count) % classes
    free = random.normal(size=(count, 3)) @ np.random.default_rng(1).normal(size=(3, width))
    return (centres[targets] + free + 0.3 * random.normal(size=(count, width))).astype(np.float32), targets


def _by_definition(found: Floats, units: Floats, targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """The same distance up to its scale, from the whole covariance."""
    counts, overall = np.bincount(targets, minlength=classes), units.mean(axis=0)
    means = np.stack([(units[targets == c].sum(axis=0) + 5 * overall) / (counts[c] + 5) for c in range(classes)])
    residuals = (units - means[targets]).astype(np.float64)
    values, vectors = np.linalg.eigh(residuals.T @ residuals / len(units))
    rank = min(16, len(units) // 16)
    rest = values[:-rank].mean()
    values[:-rank] = rest
    inverse = (vectors / values) @ vectors.T
    gaps = found[:, None].astype(np.float64) - means
    return np.asarray(np.sqrt(np.einsum("ncd,de,nce->nc", gaps, inverse, gaps).min(axis=1)), np.float64)


def test_the_distance_is_mahalanobis_to_the_nearest_class() -> None:
    embeddings, targets = _clouds(2, 54, 40)  # three directions, of which there are three
    limit = fit_limit(embeddings, targets, stratified_folds(targets, 5, 0), 3, 0.01)
    fresh = np.concatenate([_clouds(3, 30, 40)[0], np.abs(np.random.default_rng(4).normal(size=(20, 40)))])
    expected = _by_definition(
        distances.unit_length(fresh.astype(np.float32)), distances.unit_length(embeddings), targets, 3
    )
    ratio = limit.distance(fresh.astype(np.float32)) / expected
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.02)


def test_what_is_like_the_training_pictures_is_near_and_all_else_is_far() -> None:
    embeddings, targets = _clouds(0, 600, 96)
    limit = fit_limit(embeddings, targets, stratified_folds(targets, 5, 0), 3, 0.005)
    assert limit.refused <= 0.005
    assert (limit.distance(_clouds(1, 600, 96)[0]) > limit.largest).mean() < 0.02
    strangers = np.abs(np.random.default_rng(5).normal(size=(100, 96))).astype(np.float32)
    assert (limit.distance(strangers) > limit.largest).all()
    assert limit.distance(np.zeros((1, 96), np.float32)) > limit.largest


def test_lighting_changes_no_distance() -> None:
    embeddings, targets = _clouds(0, 90, 64)
    found = fit_limit(embeddings, targets, stratified_folds(targets, 3, 0), 3, 0.01).distance
    np.testing.assert_allclose(found(embeddings), found(embeddings * 7), rtol=1e-3)


def _graph(distance: Distance, width: int) -> bytes:
    """A graph whose embedding is its picture's first row of reds."""
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["numbers", "start", "end", "axes"], ["reds"]),
        helper.make_node("Reshape", ["reds", "shape"], ["embedding"]),
    ]
    constants = {"start": [0, 0], "end": [1, 1], "axes": [1, 3], "shape": [-1, width]}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, width, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor(name, TensorProto.INT64, [len(values)], values) for name, values in constants.items()],
    )
    append_distance(graph, distance)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("count", "classes", "width"), [(120, 2, 512), (10, 2, 64), (60, 20, 128), (4, 2, 32)])
def test_the_graph_gives_the_distance(count: int, classes: int, width: int) -> None:
    random = np.random.default_rng(count)
    embeddings = random.integers(0, 256, (count, width)).astype(np.uint8)
    targets = np.arange(count) % classes
    limit = fit_limit(embeddings.astype(np.float32), targets, stratified_folds(targets, 2, 0), classes, 0.01)
    fresh = random.integers(0, 256, (9, width)).astype(np.uint8)
    fresh[0] = 0
    images = np.repeat(fresh[:, None, :, None], 3, axis=3)
    found = open_runtime(_graph(limit.distance, width)).run(images, ["distance"])["distance"]
    assert found.shape == (9,)
    np.testing.assert_allclose(found, limit.distance(fresh.astype(np.float32)), rtol=2e-4, atol=1e-3)


def test_identical_pictures_leave_a_limit() -> None:
    embeddings = np.ones((8, 32), np.float32)
    limit = fit_limit(embeddings, np.arange(8) % 2, np.arange(8) // 4, 2, 0.005)
    assert np.isfinite(limit.largest)
    assert limit.refused == 0
    other = np.eye(1, 32, dtype=np.float32)
    assert limit.distance(other) > limit.largest


@given(arrays(np.float64, st.integers(2, 60), elements=st.floats(0.5, 2)), st.floats(0.001, 0.5))
def test_the_limit_refuses_no_more_than_asked_where_pictures_suffice(found: NDArray[np.float64], share: float) -> None:
    limit = farthest(found, share)
    assert np.isfinite(limit)
    if len(found) * share >= 1:
        assert (found > limit).mean() <= share


def test_one_odd_picture_does_not_open_the_door() -> None:
    found = np.concatenate([np.linspace(0.9, 1.1, 50), [30.0]])
    assert farthest(found, 0.005) < 15


@pytest.mark.parametrize("freedom", [5, 20, 100])
def test_students_quantile(freedom: int) -> None:
    assert distances._student(0.005, freedom) == pytest.approx(student.ppf(0.995, freedom), rel=0.03)
