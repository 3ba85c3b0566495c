"""The head's fit: the one minimum that scikit-learn finds too, whatever it starts from."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from milliner.probe.class_weights import balanced_weights
from milliner.probe.head import Head, Problem, fit_head, log_softmax

Embeddings = NDArray[np.float32]
Targets = NDArray[np.int64]


def clusters(sizes: tuple[int, ...], width: int = 40, spread: float = 1.0, seed: int = 0) -> tuple[Embeddings, Targets]:
    """Embeddings as a network pools them, none below 0, with so much spread that the classes overlap."""
    random = np.random.default_rng(seed)
    targets = np.repeat(np.arange(len(sizes)), sizes)
    centres = random.random((len(sizes), width))
    values = np.maximum(centres[targets] + random.normal(0, spread, (len(targets), width)), 0)
    order = random.permutation(len(targets))
    return values[order].astype(np.float32), targets[order]


def peer(embeddings: Embeddings, targets: Targets, strength: float) -> NDArray[np.float64]:
    """The probabilities of scikit-learn's minimum of the same loss."""
    classes = len(np.unique(targets))
    inverse = 1 / (len(targets) * strength)
    if classes == 2:
        # It fits one row w where the softmax has two, -w/2 and w/2, whose squares sum to half of w's.
        inverse *= 2
    model = LogisticRegression(C=inverse, class_weight="balanced", tol=1e-8, max_iter=10_000)
    return np.asarray(model.fit(embeddings.astype(np.float64), targets).predict_proba(embeddings.astype(np.float64)))


@pytest.mark.parametrize("sizes", [(60, 60), (150, 12), (50, 50, 50), (90, 30, 10, 5)])
@pytest.mark.parametrize("strength", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_the_head_gives_the_probabilities_of_scikit_learn(
    sizes: tuple[int, ...], strength: float, spread: float
) -> None:
    embeddings, targets = clusters(sizes, spread=spread)
    head = fit_head(embeddings, targets, len(sizes), strength)
    expected = peer(embeddings, targets, strength)
    assert np.abs(head.probabilities(embeddings) - expected).max() < 1e-3


def test_embeddings_far_from_zero_make_no_difference() -> None:
    embeddings, targets = clusters((60, 20, 40))
    near = fit_head(embeddings, targets, 3, 1e-3)
    far = fit_head(embeddings + 50, targets, 3, 1e-3)
    assert np.abs(near.probabilities(embeddings) - far.probabilities(embeddings + 50)).max() < 1e-2
    assert np.abs(near.weight - far.weight).max() < 1e-2


def gradient(head: Head, embeddings: Embeddings, targets: Targets, strength: float) -> NDArray[np.float64]:
    """Of the loss as the module's head states it, in double precision, without anything of the module."""
    weight, bias, samples = (value.astype(np.float64) for value in (head.weight, head.bias, embeddings))
    logits = samples @ weight.T + bias
    residual = np.exp(logits - logits.max(axis=1, keepdims=True))
    residual /= residual.sum(axis=1, keepdims=True)
    residual[np.arange(len(targets)), targets] -= 1
    counts = np.bincount(targets, minlength=len(bias))
    residual /= (np.count_nonzero(counts) * counts[targets])[:, None]
    return np.hstack([residual.T @ samples + strength * weight, residual.sum(axis=0)[:, None]])


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=5).map(tuple),
    strength=st.sampled_from([0.1, 1e-3, 1e-4]),
    spread=st.floats(0.01, 3),
    seed=st.integers(0, 99),
)
def test_the_fit_ends_where_the_loss_is_flat(sizes: tuple[int, ...], strength: float, spread: float, seed: int) -> None:
    embeddings, targets = clusters(sizes, 12, spread, seed)
    head = fit_head(embeddings, targets, len(sizes), strength)
    # The loss is summed in single precision: where it changes by 1e-7 only, the gradient may still be some 1e-4.
    assert np.abs(gradient(head, embeddings, targets, strength)).max() < 1e-3


def test_the_fit_is_deterministic() -> None:
    embeddings, targets = clusters((60, 20, 40))
    first, second = (fit_head(embeddings, targets, 3, 1e-3) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.bias, second.bias)


ON_CORES = """
import sys
import numpy as np
from milliner.probe.choose import choose
from milliner.probe.head import fit_head
random = np.random.default_rng(0)
targets = np.arange(900) % int(sys.argv[1])
embeddings = np.maximum(random.normal(size=(900, 1280)) + targets[:, None] * 0.1, 0).astype(np.float32)
head = fit_head(embeddings, targets, int(sys.argv[1]), 1e-2)
choice = choose(embeddings, targets, int(sys.argv[1]), seed=0)
print(head.weight.tobytes().hex(), head.bias.tobytes().hex(), choice)
"""


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_fit_does_not_depend_on_the_cores_that_there_are(classes: int) -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", ON_CORES, str(classes)],
            env=os.environ | {"OPENBLAS_NUM_THREADS": cores},
            capture_output=True,
            check=True,
        ).stdout
        for cores in ("1", "2", "3")
    }
    assert len(found) == 1


@pytest.mark.parametrize("sizes", [(60, 30), (50, 40, 30)])
def test_heads_that_are_fitted_together_are_those_that_are_fitted_alone(sizes: tuple[int, ...]) -> None:
    embeddings, targets = clusters(sizes)
    left_out = [np.arange(len(targets)) % 4 == fold for fold in range(4)]
    together = Problem.of(embeddings, targets, len(sizes), left_out)
    warm = together.fit(1e-2, together.fit(1.0))
    for mask, head in zip(left_out, warm, strict=True):
        alone = fit_head(embeddings[~mask], targets[~mask], len(sizes), 1e-2)
        assert np.abs(head.probabilities(embeddings) - alone.probabilities(embeddings)).max() < 1e-3


def test_of_two_classes_one_has_the_weights_of_the_other_with_the_sign_turned() -> None:
    head = fit_head(*clusters((60, 30)), 2, 1e-2)
    assert np.array_equal(head.weight[0], -head.weight[1])


def test_the_start_does_not_change_where_the_fit_ends() -> None:
    embeddings, targets = clusters((60, 20, 40))
    cold = fit_head(embeddings, targets, 3, 1e-2)
    random = np.random.default_rng(1)
    wild = Head(random.normal(0, 3, (3, 40)).astype(np.float32), np.array([9, -9, 0], np.float32))
    for start in (cold, fit_head(embeddings, targets, 3, 1.0), wild):
        warm = fit_head(embeddings, targets, 3, 1e-2, start)
        assert np.abs(warm.probabilities(embeddings) - cold.probabilities(embeddings)).max() < 1e-3


def test_a_fit_that_starts_at_its_end_stays_there() -> None:
    embeddings, targets = clusters((60, 20, 40))
    end = fit_head(embeddings, targets, 3, 1e-2)
    again = fit_head(embeddings, targets, 3, 1e-2, end, tolerance=1e-3)
    assert np.abs(again.weight - end.weight).max() < 1e-6
    assert np.abs(again.bias - end.bias).max() < 1e-5


def test_more_strength_means_smaller_weights() -> None:
    embeddings, targets = clusters((60, 20, 40))
    sizes = [float(np.abs(fit_head(embeddings, targets, 3, strength).weight).sum()) for strength in (1e-4, 1e-2, 1.0)]
    assert sizes == sorted(sizes, reverse=True)


def test_a_rare_class_counts_as_much_as_a_common_one() -> None:
    embeddings, targets = clusters((200, 30, 3))
    head = fit_head(embeddings, targets, 3, 1e6)  # so strong that only the bias is left, which knows the shares alone
    assert head.probabilities(embeddings) == pytest.approx(np.full((233, 3), 1 / 3), abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_embedding_that_is_not_finite_is_refused(value: float) -> None:
    embeddings, targets = clusters((5, 5))
    embeddings[3, 3] = value
    with pytest.raises(ValueError, match="embeddings must be finite"):
        fit_head(embeddings, targets, 2, 1e-2)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_balanced_weights_give_every_class_the_same_total(numbers: list[int]) -> None:
    targets = np.array(numbers)
    weights = balanced_weights(targets, 5)
    totals = [float(weights[targets == number].sum()) for number in sorted(set(numbers))]
    assert totals == pytest.approx([len(numbers) / len(totals)] * len(totals), rel=1e-4)
    assert float(weights.mean()) == pytest.approx(1, rel=1e-4)


@given(st.lists(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_probabilities_sum_to_one_however_large_the_logits_are(logits: list[list[float]]) -> None:
    values = log_softmax(np.array(logits, np.float32))
    assert not np.isnan(values).any()
    assert np.exp(values).sum(axis=1) == pytest.approx(np.ones(len(logits)), abs=1e-5)
