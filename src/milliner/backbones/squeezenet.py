"""The SqueezeNets: fire modules that squeeze their channels before they expand them (Iandola et al. 2016,
arXiv:1602.07360), as torchvision has them, with its weights (BSD-3-Clause).

Their classifier is a 1 x 1 convolution with a ReLU behind it, and the mean over the cells comes last. As a layer on
the features' mean it gives the same logits up to that ReLU: where a class's cells have both signs, the network
averages the positive ones alone. The order of classes with a high logit hardly changes.
"""

from onnx import ModelProto

from milliner.backbones.checkpoint_backbone import DownloadedBackbone
from milliner.backbones.graph import GraphWriter
from milliner.backbones.imagenet_head import ImagenetHead
from milliner.backbones.policy import InputPolicy
from milliner.backbones.tensors import Tensors

WIDTH = 512

Fire = tuple[int, int]
"""Channels that a module squeezes to, and those of each half of what it expands to."""


class SqueezeNet(DownloadedBackbone):
    """Width 512, about one cell for each 16 x 16 pixels; nothing is padded, so that there is one less along a side."""

    width = WIDTH
    licence = "BSD-3-Clause"
    input = InputPolicy(384, stride=16)  # trained at 224, but better at this on training lists as well
    stem: tuple[int, int]
    """Channels and kernel of the first convolution, whose stride is 2."""
    fires: tuple[Fire | None, ...]
    """The modules in their order; None is a maximum pooling."""

    def build(self) -> ModelProto:
        """The network from pixels to `features` [N, 512, h, w], `embedding` and `average` [N, 512]."""
        tensors, writer = self.tensors, GraphWriter()
        channels, side = self.stem
        value = writer.normalised("image", self.input.mean, self.input.scale)
        kernel, bias = tensors.convolution("features.0", channels, 3, side, side)
        value = writer.relu(writer.convolution(value, "features.0", kernel, bias, 2, padding=0))
        for place, fire in enumerate((None, *self.fires), start=2):  # the ReLU was number 1
            name = f"features.{place}"
            if fire is None:
                value = writer.maximum(value, name)
            else:
                value = _fire(writer, tensors, value, name, channels, fire)
                channels = 2 * fire[1]
        return writer.finish(self.name, writer.outputs(value, WIDTH))

    def imagenet_head(self) -> ImagenetHead:
        """The 1000-class convolution as a layer on the `average`; see this module on what it leaves out."""
        weight, bias = self.tensors.convolution("classifier.1", 1000, WIDTH, 1, 1)
        return ImagenetHead(weight[:, :, 0, 0], bias)


def _fire(writer: GraphWriter, tensors: Tensors, value: str, name: str, channels: int, fire: Fire) -> str:
    squeezed, expanded = fire

    def convolution(value: str, part: str, into: int, out: int, side: int) -> str:
        kernel, bias = tensors.convolution(f"{name}.{part}", out, into, side, side)
        return writer.relu(writer.convolution(value, f"{name}.{part}", kernel, bias, 1, padding=side // 2))

    value = convolution(value, "squeeze", channels, squeezed, 1)
    narrow = convolution(value, "expand1x1", squeezed, expanded, 1)
    wide = convolution(value, "expand3x3", squeezed, expanded, 3)
    return writer.joined(narrow, wide, name)
