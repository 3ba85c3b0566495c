"""The MobileNets of the third version (Howard et al. 2019, arXiv:1905.02244, tables 1 and 2), as torchvision has them,
with its weights (BSD-3-Clause).

Their features end in a hard swish, which is a little negative in places, so that the generalised mean is taken of
their positive part. Their classifier has a hidden layer behind the mean over the cells.
"""

from typing import Final

from onnx import ModelProto

from milliner.backbones.checkpoint_backbone import DownloadedBackbone
from milliner.backbones.graph import GraphWriter
from milliner.backbones.imagenet_head import ImagenetHead
from milliner.backbones.policy import InputPolicy
from milliner.backbones.tensors import Tensors

_EPSILON: Final = 1e-3  # of every batch norm
_STEM: Final = 16

Stage = tuple[int, int, int, bool, bool, int]
"""Kernel, channels in between, channels out, squeeze-and-excitation, hard swish (else ReLU), stride."""


class MobileNetV3(DownloadedBackbone):
    """One cell for each 32 x 32 pixels."""

    licence = "BSD-3-Clause"
    input = InputPolicy(size=224, stride=32)
    stages: tuple[Stage, ...]
    hidden: int
    """Units of the classifier's hidden layer."""

    def build(self) -> ModelProto:
        """The network from pixels to `features` [N, width, H/32, W/32], `embedding` and `average` [N, width]."""
        blocks = _Blocks(self.tensors)
        value = blocks.writer.normalised("image", self.input.mean, self.input.scale)
        value = blocks.writer.hard_swish(blocks.convolution(value, "features.0", (_STEM, 3, 3, 3), 2))
        channels = _STEM
        for place, stage in enumerate(self.stages, start=1):
            value = blocks.inverted_residual(value, f"features.{place}.block", channels, stage)
            channels = stage[2]
        last = blocks.convolution(value, f"features.{len(self.stages) + 1}", (self.width, channels, 1, 1))
        return blocks.writer.finish(
            self.name, blocks.writer.outputs(blocks.writer.hard_swish(last), self.width, signed=True)
        )

    def imagenet_head(self) -> ImagenetHead:
        """The classifier that the network was trained with; it is not linear in the `average`."""
        tensors = self.tensors
        return ImagenetHead(
            tensors.take("classifier.3.weight", 1000, self.hidden),
            tensors.take("classifier.3.bias", 1000),
            tensors.take("classifier.0.weight", self.hidden, self.width),
            tensors.take("classifier.0.bias", self.hidden),
        )


class _Blocks:
    """Writes the network's parts; every one takes and returns the name of a value in the graph."""

    def __init__(self, tensors: Tensors) -> None:
        self.writer, self._tensors = GraphWriter(), tensors

    def convolution(
        self, value: str, name: str, shape: tuple[int, int, int, int], stride: int = 1, group: int = 1
    ) -> str:
        """With the batch norm behind it, padded evenly."""
        kernel, bias = self._tensors.folded(f"{name}.0", f"{name}.1", _EPSILON, *shape)
        return self.writer.convolution(value, name, kernel, bias, stride, group, padding=shape[2] // 2)

    def inverted_residual(self, start: str, prefix: str, channels: int, stage: Stage) -> str:
        """Expands, filters each channel, weighs them, and projects."""
        kernel, hidden, width, excited, swish, stride = stage
        active = self.writer.hard_swish if swish else self.writer.relu
        value, part = start, 0
        if hidden != channels:
            value, part = active(self.convolution(value, f"{prefix}.0", (hidden, channels, 1, 1))), 1
        value = active(self.convolution(value, f"{prefix}.{part}", (hidden, 1, kernel, kernel), stride, hidden))
        if excited:
            part += 1
            value = self._excited(value, f"{prefix}.{part}", hidden)
        value = self.convolution(value, f"{prefix}.{part + 1}", (width, hidden, 1, 1))
        return self.writer.add(start, value) if stride == 1 and channels == width else value

    def _excited(self, value: str, name: str, channels: int) -> str:
        """Weighs each channel by what the whole picture says (Hu et al. 2017, arXiv:1709.01507)."""
        squeezed = _squeezed(channels)
        weights = self.writer.global_average(value, f"{name}.mean")
        for part, shape in (("fc1", (squeezed, channels, 1, 1)), ("fc2", (channels, squeezed, 1, 1))):
            kernel, bias = self._tensors.convolution(f"{name}.{part}", *shape)
            weights = self.writer.convolution(weights, f"{name}.{part}", kernel, bias, 1)
            weights = self.writer.relu(weights) if part == "fc1" else self.writer.hard_sigmoid(weights)
        return self.writer.multiplied(value, weights, name)


def _squeezed(channels: int) -> int:
    """A quarter, to the nearest multiple of 8."""
    quarter = channels // 4
    nearest = max(8, (quarter + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * quarter else nearest + 8
