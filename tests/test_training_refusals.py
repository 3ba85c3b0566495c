"""What training refuses: one sentence with the remedy, and never a model from a run that failed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from conftest import noise_jpeg
from numpy.typing import NDArray

import milliner
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.core.errors import DatasetError, MillinerError, ModelError, SettingsError
from milliner.core.sample import Sample
from milliner.probe import choose
from milliner.probe.cache import EmbeddingCache
from milliner.probe.embed import Embedder, recipe
from milliner.probe.head import Head
from milliner.training import train as training
from milliner.training.fit import Fitted, fit

SIZE = 64
NET = backbone(DEFAULT)


class Pictures:
    """A dataset in memory: a picture of noise for each given label."""

    name = "pictures"

    def __init__(self, labels: Sequence[str], of: Sequence[str], seeds: Sequence[int] | None = None) -> None:
        self.labels = tuple(labels)
        self.targets = [self.labels.index(label) for label in of]
        self._seeds = seeds or range(len(of))

    def __len__(self) -> int:
        return len(self.targets)

    def key(self, index: int) -> str:
        return f"{index}.jpg"

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.key(index), self.labels[self.targets[index]], noise_jpeg(self._seeds[index]))


def refused(pictures: Pictures, tmp_path: Path, kind: type[MillinerError], said: str) -> None:
    """Training ends in that sentence, and leaves neither a model nor a run."""
    with pytest.raises(kind, match=said):
        milliner.train(pictures, into=tmp_path / "m.onnx", size=SIZE, cache=tmp_path / "c.sqlite")
    left = {path.name for path in tmp_path.iterdir()} - {"c.sqlite", "c.sqlite-wal", "c.sqlite-shm"}
    assert not left


@pytest.mark.parametrize("labels", [("Helmet", "helmet"), ("helmet", "other", " helmet "), ("straße", "STRASSE")])
def test_labels_that_differ_by_case_or_blanks_alone(tmp_path: Path, labels: tuple[str, ...]) -> None:
    refused(Pictures(labels, labels * 3), tmp_path, DatasetError, "differ only by case or blanks; give them one name")


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("ab", r"'a' .* has 1 usable picture \(and 1 more class has too few\); add more, two are the least"),
        ("aaab", "'b' .* has 1 usable picture; add"),
        ("aaa", "'b' .* has no usable pictures; add"),
    ],
)
def test_one_picture_of_a_class_or_none(tmp_path: Path, of: str, said: str) -> None:
    refused(Pictures("ab", of), tmp_path, DatasetError, said)


def test_all_pictures_the_same(tmp_path: Path) -> None:
    # Copies are set aside by their bytes, in two classes all of them.
    said = r"'a' .* has no usable pictures .*, 2 set aside: 2 with the same bytes under two labels; add more"
    refused(Pictures("ab", "aabb", [1, 1, 1, 1]), tmp_path, DatasetError, said)
    said = "1 usable picture, 1 set aside: 1 a copy of another; add"
    refused(Pictures("ab", "aabbb", [1, 1, 2, 3, 4]), tmp_path, DatasetError, said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fine_tune": True}, "fine_tune must be FineTuning"),
        ({"init": "crash helmet"}, "init must be labels and ImageNet classes"),
        ({"wishes": {"min_recall": {"a": 0.9}}}, "wishes must be Wishes"),
        ({"size": "64"}, "size must be a whole number such as 224, not '64'"),
    ],
)
def test_an_option_of_another_kind(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        milliner.train(Pictures("ab", "aabb"), into=tmp_path / "m.onnx", **options)


@pytest.mark.parametrize("wish", [{"min_recall": 0.9}, {"cost": {"a": "2"}}, {"abstain_below": "0.5"}, {"cost": None}])
def test_a_wish_of_another_kind(wish: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=f"{next(iter(wish))} must"):
        milliner.Wishes(**wish)


def test_a_folder_in_the_model_s_place(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(SettingsError, match=r"m.onnx is a folder; give a model file"):
        milliner.train("https://nowhere.invalid/p.rec", into=tmp_path / "m.onnx", size=SIZE)


def broken(embedding: NDArray[np.float32]) -> Callable[[Embedder, bytes], tuple[str, NDArray[np.float32]]]:
    """An embedder whose network gives the same whatever it sees."""

    def give(self: Embedder, encoded: bytes) -> tuple[str, NDArray[np.float32]]:
        return Sample("", "", encoded).sha256, embedding

    return give


def test_all_pictures_alike_to_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Embedder, "__call__", broken(np.ones(NET.embedding_width, np.float32)))
    refused(Pictures("ab", "aabb"), tmp_path, DatasetError, "All 4 pictures .* look the same to the network")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_a_network_that_gives_no_finite_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(Embedder, "__call__", broken(np.full(NET.embedding_width, value, np.float32)))
    refused(
        Pictures("ab", "aaaabbbb"),
        tmp_path,
        MillinerError,
        r"embeddings of 0.jpg, .*, 4.jpg and 3 more are not finite numbers; delete the cache .*c.sqlite and train",
    )


def test_a_damaged_vector_in_the_cache_is_named(tmp_path: Path) -> None:
    pictures, policy = Pictures("ab", "aaabbb"), NET.input.resize(SIZE, NET.name)
    vector = np.ones(NET.embedding_width, np.float32)
    vector[7] = np.nan
    with EmbeddingCache.open(tmp_path / "c.sqlite", recipe(NET, policy)) as cache:
        cache.put(pictures[2].sha256, vector)
    refused(pictures, tmp_path, MillinerError, "embeddings of 2.jpg are not finite")


def test_a_head_that_is_not_finite_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*arguments: object, **options: object) -> Fitted:
        found = fit(*arguments, **options)  # type: ignore[arg-type]
        return replace(found, head=Head(found.head.weight * np.float32(np.nan), found.head.bias))

    monkeypatch.setattr(training, "fit", wrong)
    refused(Pictures("ab", "aaabbb"), tmp_path, ModelError, "not finite, so no model was written")


@pytest.mark.parametrize("step", ["embed_views", "check_embedded", "fit", "check_head", "content_hash", "export"])
def test_whichever_step_fails_no_model_and_no_run_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise MillinerError("this step failed; mend it.")

    monkeypatch.setattr(training, step, fail)
    refused(Pictures("ab", "aaabbb"), tmp_path, MillinerError, "this step failed")


def test_a_model_that_is_there_survives_every_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, model = Pictures("ab", "aaabbb"), tmp_path / "m.onnx"
    milliner.train(pictures, into=model, size=SIZE, cache=tmp_path / "c.sqlite")
    before = model.read_bytes()

    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    for step in ("fit", "export"):
        with monkeypatch.context() as patch:
            patch.setattr(training, step, fail)
            with pytest.raises(MemoryError):
                milliner.train(pictures, into=model, size=SIZE, seed=1, cache=tmp_path / "c.sqlite")
        assert model.read_bytes() == before
    assert len(milliner.history(model).runs) == 1


def test_two_pictures_of_each_class_are_enough(tmp_path: Path) -> None:
    result = milliner.train(Pictures("abc", "aabbcc"), into=tmp_path / "m.onnx", size=SIZE, cache=tmp_path / "c.sqlite")
    assert result.choice.folds == 2
    assert result.curve is None
    assert result.to_json()["learning_curve"] is None


def test_a_thousand_classes_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "STRENGTHS", (1e-2, 1e-4))  # the bench has them all
    random = np.random.default_rng(0)
    targets = np.tile(np.arange(1000), 2)
    embeddings = random.random((1000, 16), np.float32)[targets]
    embeddings += random.normal(0, 0.02, embeddings.shape).astype(np.float32)
    start = perf_counter()
    found = fit(embeddings, targets, [str(label) for label in range(1000)])
    assert perf_counter() - start < 120
    assert found.head.weight.shape == (1000, 16)
    assert found.choice.accuracy > 0.5
