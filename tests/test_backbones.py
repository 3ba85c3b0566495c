"""The contract of every backbone, and parity of the default one with torch."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from milliner.backbones.backbone import Backbone, available, backbone
from milliner.classifier.runtime import open_runtime
from milliner.core.errors import ModelError, SettingsError
from milliner.core.imagenet import class_index
from milliner.images.resize import ResizePolicy

BACKBONES = available()


def random_images(count: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(side).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_says_what_it_is(name: str) -> None:
    found = BACKBONES[name]
    assert found.name == name
    assert found.licence
    assert found.origin.startswith("https://")
    assert len(found.sha256) == 64
    assert 0 < found.imagenet_top1 < 1


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("side", [64, 96])
def test_outputs_have_the_promised_shapes_and_pooling(name: str, side: int) -> None:
    found = BACKBONES[name]
    outputs = open_runtime(found.onnx_file().read_bytes()).run(
        random_images(2, side), ["features", "embedding", "average"]
    )
    features = outputs["features"].astype(np.float64)
    assert features.shape == (2, found.width, side // 32, side // 32)
    np.testing.assert_allclose(outputs["average"], features.mean(axis=(2, 3)), atol=1e-5)
    np.testing.assert_allclose(outputs["embedding"], np.cbrt((features**3).mean(axis=(2, 3))), atol=1e-4)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_graph_is_plain_onnx_of_the_documented_opset(name: str) -> None:
    model = onnx.load(BACKBONES[name].onnx_file())
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert {entry.data_location for entry in model.graph.initializer} == {onnx.TensorProto.DEFAULT}
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)


@pytest.mark.parametrize("name", BACKBONES)
def test_pictures_do_not_depend_on_their_batch(name: str) -> None:
    runtime, images = open_runtime(BACKBONES[name].onnx_file().read_bytes()), random_images(3, 64)
    together = runtime.run(images, ["embedding"])["embedding"]
    alone = np.concatenate([runtime.run(image[None], ["embedding"])["embedding"] for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_changed_weights_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = BACKBONES[name]
    content = bytearray(found.weights_file().read_bytes())
    content[-1] ^= 1
    changed = tmp_path / "changed.pth"
    changed.write_bytes(content)
    monkeypatch.setattr(type(found), "weights_file", lambda self: changed)
    with pytest.raises(ModelError, match="not the published ones"):
        found.checked_weights_file()


def test_an_unknown_backbone_is_named_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="efficientnet_lite0"):
        backbone("resnet50")


class TorchLite0:
    """EfficientNet-Lite0 by torch's own operators on the unfolded weights, padded as TensorFlow pads."""

    stages = ((3, 1, 1, 1), (3, 2, 6, 2), (5, 2, 6, 2), (3, 2, 6, 3), (5, 1, 6, 3), (5, 2, 6, 4), (3, 1, 6, 1))

    def __init__(self, weights: Path) -> None:
        self.weights = torch.load(weights, map_location="cpu", weights_only=True)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        value = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        value = functional.relu6(self.block(value, "_conv_stem", "_bn0", 2))
        index = 0
        for _, first_stride, expansion, repeats in self.stages:
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
def lite0() -> Backbone:
    return BACKBONES["efficientnet_lite0"]


@pytest.mark.parametrize("side", [224, 384])
def test_the_default_backbone_computes_what_torch_computes(lite0: Backbone, side: int) -> None:
    images = random_images(2, side)
    ours = open_runtime(lite0.onnx_file().read_bytes()).run(images, ["features"])["features"]
    theirs = TorchLite0(lite0.weights_file()).features(images)
    assert np.abs(ours - theirs).max() <= 1e-4


def test_it_still_knows_imagenet(lite0: Backbone, test_data: Path) -> None:
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
