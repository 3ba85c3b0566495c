"""ONNX operators as torch computes them, differentiably; ``onnx.ai/onnx/operators`` says what each one means.

Statistics of batch norms stay as they are: a few hundred pictures are too few to estimate them anew.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from onnx import helper
from torch import Tensor
from torch.nn import functional

Attributes = Mapping[str, Any]
Operator = Callable[..., Tensor]
"""Takes the node's attributes and its inputs; an input that is left out is None."""

_LEAST: Final = 1e-20  # a root's slope at 0 is infinite, and times 0 no number


def _cast(has: Attributes, value: Tensor) -> Tensor:
    return value.to(getattr(torch, np.dtype(helper.tensor_dtype_to_np_dtype(has["to"])).name))


def _convolution(has: Attributes, value: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    strides, dilations = has.get("strides", [1, 1]), has.get("dilations", [1, 1])
    value, padding = _padded(has, value, kernel.shape[2:], strides, dilations, 0.0)
    return functional.conv2d(value, kernel, bias, strides, padding, dilations, has.get("group", 1))


def _max_pool(has: Attributes, value: Tensor) -> Tensor:
    kernel, strides, dilations = has["kernel_shape"], has.get("strides", [1, 1]), has.get("dilations", [1, 1])
    value, padding = _padded(has, value, kernel, strides, dilations, -torch.inf)
    return functional.max_pool2d(value, kernel, strides, padding, dilations, bool(has.get("ceil_mode", 0)))


def _average_pool(has: Attributes, value: Tensor) -> Tensor:
    kernel, strides = has["kernel_shape"], has.get("strides", [1, 1])
    value, padding = _padded(has, value, kernel, strides, [1, 1], 0.0)
    counted = bool(has.get("count_include_pad", 0))
    return functional.avg_pool2d(value, kernel, strides, padding, bool(has.get("ceil_mode", 0)), counted)


def _padded(
    has: Attributes, value: Tensor, kernel: Any, strides: Any, dilations: Any, fill: float
) -> tuple[Tensor, list[int]]:
    """The value, padded where its two sides differ, and the padding that is left to the operator itself."""
    policy = has.get("auto_pad", b"NOTSET")
    top, left, bottom, right = has.get("pads", [0, 0, 0, 0])
    if policy in (b"SAME_UPPER", b"SAME_LOWER"):
        more = [
            max((-(-side // stride) - 1) * stride + (length - 1) * dilation + 1 - side, 0)
            for side, length, stride, dilation in zip(value.shape[2:], kernel, strides, dilations, strict=True)
        ]
        halves = [each // 2 for each in more] if policy == b"SAME_UPPER" else [(each + 1) // 2 for each in more]
        top, left, bottom, right = *halves, *(each - half for each, half in zip(more, halves, strict=True))
    if (top, left) == (bottom, right):
        return value, [top, left]
    return functional.pad(value, (left, right, top, bottom), value=fill), [0, 0]


def _clip(has: Attributes, value: Tensor, least: Tensor | None = None, most: Tensor | None = None) -> Tensor:
    low = has.get("min") if least is None else float(least)
    high = has.get("max") if most is None else float(most)
    return functional.hardtanh(value, -torch.inf if low is None else low, torch.inf if high is None else high)


def _power(has: Attributes, value: Tensor, exponent: Tensor) -> Tensor:
    power = float(exponent)
    return (value.clamp_min(_LEAST) if power < 1 else value).pow(power)


def _gemm(has: Attributes, first: Tensor, second: Tensor, bias: Tensor | None = None) -> Tensor:
    first = first.T if has.get("transA") else first
    second = second.T if has.get("transB") else second
    product = has.get("alpha", 1.0) * (first @ second)
    return product if bias is None else product + has.get("beta", 1.0) * bias


def _reduce_mean(has: Attributes, value: Tensor, axes: Tensor | None = None) -> Tensor:
    found = has.get("axes") if axes is None else axes.tolist()
    return value.mean(list(range(value.dim())) if found is None else found, keepdim=bool(has.get("keepdims", 1)))


def _reduce_length(has: Attributes, value: Tensor, axes: Tensor | None = None) -> Tensor:
    found = has.get("axes") if axes is None else axes.tolist()
    return torch.linalg.vector_norm(value, dim=found, keepdim=bool(has.get("keepdims", 1)))


def _reshape(has: Attributes, value: Tensor, shape: Tensor) -> Tensor:
    sides = shape.tolist()
    return value.reshape([value.shape[place] if side == 0 else side for place, side in enumerate(sides)])


def _squeeze(has: Attributes, value: Tensor, axes: Tensor | None = None) -> Tensor:
    found = has.get("axes") if axes is None else axes.tolist()
    return value.squeeze() if found is None else value.squeeze(tuple(found))


def _unsqueeze(has: Attributes, value: Tensor, axes: Tensor | None = None) -> Tensor:
    found = has["axes"] if axes is None else axes.tolist()
    for axis in sorted(axis % (value.dim() + len(found)) for axis in found):
        value = value.unsqueeze(axis)
    return value


def _batch_norm(has: Attributes, value: Tensor, gain: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return functional.batch_norm(value, mean, variance, gain, bias, training=False, eps=has.get("epsilon", 1e-5))


def _layer_norm(has: Attributes, value: Tensor, gain: Tensor, bias: Tensor | None = None) -> Tensor:
    sides = value.shape[has.get("axis", -1) :]
    return functional.layer_norm(value, sides, gain.reshape(sides), bias, has.get("epsilon", 1e-5))


OPERATORS: Final[Mapping[str, Operator]] = {
    "Add": lambda has, first, second: first + second,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda has, *values: torch.cat(values, has["axis"]),
    "Conv": _convolution,
    "Div": lambda has, first, second: first / second,
    "CumSum": lambda has, value, axis: value.cumsum(int(axis)),
    "Erf": lambda has, value: value.erf(),
    "Exp": lambda has, value: value.exp(),
    "Flatten": lambda has, value: value.flatten(has.get("axis", 1)),
    "Gelu": lambda has, value: functional.gelu(value, approximate=has.get("approximate", b"none").decode()),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda has, value: value.mean((2, 3), keepdim=True),
    "GlobalMaxPool": lambda has, value: value.amax((2, 3), keepdim=True),
    "HardSigmoid": lambda has, value: (has.get("alpha", 0.2) * value + has.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda has, value: functional.hardswish(value),
    "Identity": lambda has, value: value,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda has, value: functional.leaky_relu(value, has.get("alpha", 0.01)),
    "MatMul": lambda has, first, second: first @ second,
    "MaxPool": _max_pool,
    "Mul": lambda has, first, second: first * second,
    "Pow": _power,
    "ReduceL2": _reduce_length,
    "ReduceMax": lambda has, value: value.amax(tuple(has["axes"]), keepdim=bool(has.get("keepdims", 1))),
    "ReduceMean": _reduce_mean,
    "Relu": lambda has, value: functional.relu(value),
    "Reshape": _reshape,
    "Sigmoid": lambda has, value: value.sigmoid(),
    "Softmax": lambda has, value: value.softmax(has.get("axis", -1)),
    "Sqrt": lambda has, value: value.sqrt(),
    "Squeeze": _squeeze,
    "Sub": lambda has, first, second: first - second,
    "Tanh": lambda has, value: value.tanh(),
    "Transpose": lambda has, value: value.permute(has["perm"]),
    "Unsqueeze": _unsqueeze,
}
