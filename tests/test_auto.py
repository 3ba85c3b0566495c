"""Training on a backbone of one's choice, and on one that is chosen by what each would give and cost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import fill_class_folders, noise_jpeg
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import load_model
from rich.console import Console
from torch_vision import network, torchvision

from milliner import evaluate, list_backbones, load, train
from milliner.backbones.backbone import available, backbone
from milliner.backbones.cost import multiplications
from milliner.classifier.model import Model
from milliner.cli import terminal
from milliner.cli.main import call
from milliner.core.errors import DatasetError, ModelError, SettingsError
from milliner.core.parallel import ordered_map
from milliner.core.progress import silent
from milliner.core.sample import Sample
from milliner.evaluation.card import model_card
from milliner.evaluation.result import Evaluation
from milliner.images.resize import DEFAULT_SIZE, ResizePolicy
from milliner.probe.embed import Embedder
from milliner.shards.dataset import open_dataset
from milliner.training.auto import Trial, cheapest_of_the_best, choose_backbone
from milliner.training.picked import Picked


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of SqueezeNet 1.1."""
    path = tmp_path_factory.mktemp("weights") / "squeezenet1_1.pth"
    torch.save(network("squeezenet1_1").state_dict(), path)
    return path


TRIALS = st.lists(
    st.tuples(st.floats(0.01, 3), st.floats(0, 0.5), st.floats(0.01, 9), st.booleans()), min_size=1, max_size=6
).filter(lambda drawn: not all(left_out for *_, left_out in drawn))


@given(TRIALS)
@example([(0.1, 0.05, 9.0, False), (0.12, 0.01, 1.0, False), (0.2, 0.2, 0.5, False)])
def test_taken_is_the_cheapest_within_one_standard_error_of_the_best(
    drawn: list[tuple[float, float, float, bool]],
) -> None:
    trials = [
        Trial(f"{number}", 64, 1.0, cost, left_out="too slow")
        if left_out
        else Trial(f"{number}", 64, 1.0, cost, accuracy=0.5, log_loss=loss, standard_error=error)
        for number, (loss, error, cost, left_out) in enumerate(drawn)
    ]
    taken = cheapest_of_the_best(trials)
    tried = [(loss, error, cost) for loss, error, cost, left_out in drawn if not left_out]
    limit = sum(min(tried)[:2])
    assert taken.log_loss is not None
    assert taken.log_loss <= limit
    assert not any(loss <= limit and cost < taken.giga_multiplications for loss, _, cost in tried)


@pytest.mark.parametrize(
    ("name", "published"),
    [("squeezenet1_0", 0.819), ("squeezenet1_1", 0.349), ("mobilenet_v3_large", 0.217), ("mobilenet_v3_small", 0.057)],
)
def test_the_cost_is_the_published_one(name: str, published: float, tmp_path: Path) -> None:
    torch.save(network(name).state_dict(), tmp_path / "w.pth")
    counted = multiplications(load_model(backbone(name, tmp_path / "w.pth").onnx_file()), 224)
    weights = torchvision.models.get_model_weights(name).DEFAULT
    assert weights.meta["_ops"] == published  # with its classifier, which is not in the backbone
    classifier = 512 * 1000 * 13 * 13 if "squeeze" in name else {"l": 960, "s": 576}[name[13]] * 1280 + 1280 * 1000
    assert (counted + classifier) / 1e9 == pytest.approx(published, rel=0.03)


def tinted(folder: Path, *labels: str, count: int = 8) -> Path:
    """Pictures of classes that any backbone tells apart."""
    for number, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        tint = (150 * (number == 0), 150 * (number == 1), 150 * (number == 2))
        for index in range(count):
            (folder / label / f"{index}.jpg").write_bytes(noise_jpeg(100 * number + index, tint=tint))
    return folder


def test_auto_says_what_each_would_give_and_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, model = tinted(tmp_path / "pictures", "red", "green"), tmp_path / "m.onnx"
    arguments = ["train", str(pictures), "--into", str(model), "--backbone", "auto", "--size", "64"]
    assert call([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    trials = {trial["name"]: trial for trial in document["auto"]["trials"]}
    assert {f"efficientnet_lite{number}" for number in range(3)} <= trials.keys() <= available().keys()
    assert document["auto"]["pictures"] == 16
    assert document["backbone"]["name"] == document["auto"]["chosen"]
    for trial in trials.values():
        assert trial["accuracy"] == 1.0
        assert 0 <= trial["log_loss"] < 0.7
        assert min(trial["standard_error"], trial["milliseconds"], trial["giga_multiplications"]) > 0
    first = model.read_bytes()
    assert [found["name"] for found in load(model).metadata.metrics["backbones"]] == list(trials)
    assert call(arguments) == 0
    said = capsys.readouterr().out
    assert "taken" in said
    assert "(cross-validated on 16 pictures)" in said
    assert model.read_bytes() == first, "the same pictures, options and seed give the same file"


def chosen(samples: Any, tmp_path: Path, **options: Any) -> Any:
    candidates = [available()["efficientnet_lite1"], available()["efficientnet_lite0"]]
    options = {"candidates": candidates, "size": 64, **options}
    return choose_backbone(samples, options.pop("size"), tmp_path / "cache.sqlite", 0, silent, ordered_map, **options)


def test_what_would_take_too_long_is_left_out_and_said(tmp_path: Path) -> None:
    samples = open_dataset(tinted(tmp_path / "pictures", "red", "green"))
    found = chosen(samples, tmp_path, budget=0.0)
    assert found.name == "efficientnet_lite0"
    assert [trial.left_out.partition(" s more")[0][:10] for trial in found.trials] == ["", "would take"]
    chosen(samples, tmp_path)  # all remembered: the time that is left matters no more
    assert chosen(samples, tmp_path, budget=5.0).trials[1].accuracy is not None


def test_a_size_that_none_can_see_is_explained(tmp_path: Path) -> None:
    samples = open_dataset(tinted(tmp_path / "pictures", "red", "green"))
    with pytest.raises(SettingsError, match="No backbone that is here takes squares of 65 pixels"):
        chosen(samples, tmp_path, size=65)
    with pytest.raises(DatasetError, match="has 1 usable picture"):
        chosen(open_dataset(tinted(tmp_path / "few", "red", "green", count=1)), tmp_path)


class Many:
    """A dataset of which nothing is read."""

    name, labels = "many", ("a", "b", "c")

    def __init__(self, targets: list[int]) -> None:
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def key(self, index: int) -> str:
        return str(index)

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), "a", b"")


@given(st.lists(st.integers(0, 2), min_size=1, max_size=200), st.integers(1, 50), st.integers(0, 3))
def test_classes_keep_their_shares_in_what_is_picked(targets: list[int], most: int, seed: int) -> None:
    whole = Many(targets)
    picked = Picked.of(whole, seed, most)
    assert picked.places == Picked.of(whole, seed, most).places
    assert len(set(picked.places)) == len(picked) <= max(most, 15)
    if len(targets) <= most:
        assert list(picked.targets) == targets
        return
    for label in range(3):
        there, taken = targets.count(label), list(picked.targets).count(label)
        assert taken == min(there, max(5, there * most // len(targets)))


def card_rows(evaluation: Evaluation, model: Model) -> dict[str, str]:
    return {term: text for part in model_card(evaluation, model, {}) for term, text in part.rows}


def test_a_model_is_trained_on_given_weights(
    squeezenet: Path, class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    weights = tmp_path / "given.pth"
    weights.write_bytes(squeezenet.read_bytes())
    pictures = class_folders(red=6, blue=6)
    result = train(
        pictures,
        into=tmp_path / "m.onnx",
        backbone="squeezenet1_1",
        weights=weights,
        size=80,
        init={"red": "bee"},
    )
    weights.unlink()
    model = load(tmp_path / "m.onnx")
    identity = model.metadata.backbone
    assert (identity.name, identity.sha256) == ("squeezenet1_1", backbone("squeezenet1_1", squeezenet).sha256)
    assert result.to_json()["backbone"] == {"name": identity.name, "sha256": identity.sha256, "size": 80}
    assert model.metadata.lineage["backbone_licence"] == "BSD-3-Clause"
    assert model.look((pictures / "red" / "000.jpg").read_bytes(), ["heatmap"])["heatmap"].shape == (2, 4, 4)
    other = fill_class_folders(tmp_path / "test", 500, red=3, blue=3)
    evaluation = evaluate(model, other)
    assert evaluation.to_json()["before"]["kind"].startswith("zero-shot from the ImageNet class bee")
    said = card_rows(evaluation, model)["Backbone"]
    assert said == "squeezenet1_1 with weights that are not its published ones"


def test_embedders_of_given_weights_can_be_sent_to_other_processes(squeezenet: Path, tmp_path: Path) -> None:
    import pickle

    found, plain = backbone("squeezenet1_1", squeezenet), noise_jpeg(1)
    embedder = pickle.loads(pickle.dumps(Embedder(found.reference, ResizePolicy(64))))
    _, vector = embedder(plain)
    assert vector.shape == (512,)
    (tmp_path / "moved.pth").write_bytes(squeezenet.read_bytes()[:-1])
    moved = found.reference.__class__(found.name, str(tmp_path / "moved.pth"), found.sha256)
    with pytest.raises(ModelError, match="differ between machines"):
        Embedder(moved, ResizePolicy(64))(plain)


def test_an_onnx_network_is_trained_on(squeezenet: Path, class_folders: Callable[..., Path], tmp_path: Path) -> None:
    wrapped = backbone("squeezenet1_1", squeezenet)
    (tmp_path / "net.onnx").write_bytes(wrapped.onnx_file().read_bytes())
    name = f"onnx:{tmp_path / 'net.onnx'}"
    pictures = class_folders(red=4, blue=4)
    train(pictures, into=tmp_path / "m.onnx", backbone=name, size=64)
    model = load(tmp_path / "m.onnx")
    assert model.metadata.backbone.name == "onnx:net.onnx"
    other = fill_class_folders(tmp_path / "test", 500, red=3, blue=3)
    assert card_rows(evaluate(model, other), model)["Backbone"] == "onnx:net.onnx"
    picture = (pictures / "red" / "000.jpg").read_bytes()
    embedding = model.look(picture, ["embedding"])["embedding"]
    train(pictures, into=tmp_path / "n.onnx", backbone="squeezenet1_1", weights=squeezenet, size=64)
    expected = load(tmp_path / "n.onnx").look(picture, ["embedding"])["embedding"]
    np.testing.assert_allclose(embedding, expected, atol=1e-4)
    with pytest.raises(SettingsError, match=r"has no ImageNet classifier.*leave `init` out"):
        train(pictures, into=tmp_path / "o.onnx", backbone=name, init={"red": "bee"})
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backbone": "squeezenet"}, "There is no backbone"),
        ({"backbone": "auto", "weights": "w.pth"}, "Weights belong to one network"),
        ({"backbone": "squeezenet1_1", "size": 72}, "multiple of 16"),
        ({"backbone": "squeezenet1_1", "weights": "none.pth"}, "No such file"),
        ({"backbone": "onnx:none.onnx"}, "No such file"),
        ({"size": 33}, "multiple of 32"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    options: dict[str, Any], said: str, class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises((SettingsError, ModelError), match=said):
        train(class_folders(red=3, blue=3), into=tmp_path / "m.onnx", **options)
    assert not (tmp_path / "m.onnx").exists()


def test_the_backbones_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(["train", "--list-backbones", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["backbones"]] == sorted(available())
    assert {row["usage"] for row in document["families"]} == {"onnx:FILE", "hf:REPO", "timm:NAME"}
    assert document["backbones"] == list_backbones()
    lite = document["backbones"][0]
    assert (lite["ready"], lite["licence"], lite["input"]["size"]) == (True, "Apache-2.0", DEFAULT_SIZE)
    monkeypatch.setattr(terminal, "console", lambda: Console(width=80, highlight=False))
    assert call(["train", "--list-backbones"]) == 0
    said = capsys.readouterr().out
    assert all(len(line) <= 80 and line == line.rstrip() for line in said.splitlines())
    assert all(name in said for name in (*available(), "onnx:FILE", "hf:REPO", "timm:NAME"))
    assert said.splitlines().index("") == 1 + len(available())  # one line each
    assert call(["train"]) == 2
    assert "Missing argument 'DATASET'" in capsys.readouterr().err
    assert call(["train", "pictures"]) == 2
    assert "Missing option '--into'" in capsys.readouterr().err
