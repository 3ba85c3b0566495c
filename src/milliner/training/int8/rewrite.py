"""Rewrites a network so that its convolutions compute in 8-bit integers (ONNX's QDQ form).

Around every quantised value stand a QuantizeLinear and a DequantizeLinear, which runtimes merge with the operators
between them. Activations are uint8 with one scale and zero point a value, weights int8 with a scale a channel, biases
int32: the scheme of Jacob et al. 2018 (arXiv:1712.05877) and Krishnamoorthi 2018 (arXiv:1806.08342).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from milliner.core.errors import ModelError
from milliner.training.int8.layout import Convolution, Layout, constants

LEVELS: Final = 255
"""Steps of an unsigned byte."""

_WEIGHT_LEVELS: Final = 127
_LEAST_OPSET: Final = 13


@dataclass(frozen=True)
class Grid:
    """uint8 `q` stands for ``scale * (q - zero)``."""

    scale: np.float32
    zero: np.uint8

    @classmethod
    def of(cls, low: float, high: float) -> Self:
        """The grid from `low` to `high`, widened to hold 0 exactly, since padding writes zeros."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max((high - low) / LEVELS, 1e-8)
        return cls(np.float32(scale), np.uint8(round(-low / scale)))


def quantise_weights(kernel: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """[out, ...] to int8 of the same shape and scales [out], symmetric for each output channel."""
    tops = np.abs(kernel).reshape(len(kernel), -1).max(axis=1)
    scales = np.maximum(tops / _WEIGHT_LEVELS, 1e-8).astype(np.float32)
    shape = (-1,) + (1,) * (kernel.ndim - 1)
    return np.rint(kernel / scales.reshape(shape)).clip(-_WEIGHT_LEVELS, _WEIGHT_LEVELS).astype(np.int8), scales


class Rewriter:
    """Writes one network anew; `rewrite` is the way in."""

    def __init__(self, model: ModelProto, layout: Layout, grids: Mapping[str, Grid]) -> None:
        self._model, self._layout, self._grids = model, layout, grids
        self._weights = constants(model.graph)
        self._nodes: list[NodeProto] = []
        self._added: list[TensorProto] = []

    def run(self) -> ModelProto:
        """The quantised copy."""
        graph, layout = self._model.graph, self._layout
        ready = set(layout.values)
        for value in graph.input:
            if value.name in ready:
                self._stand_in(value.name)
        for node in graph.node:
            if node.output[0] in layout.clipped:
                continue
            found = layout.convolutions.get(node.output[0])
            copy = self._convolution(found) if found else self._reader(node)
            self._nodes.append(copy)
            for name in copy.output:
                if name in ready:
                    self._stand_in(name)
        return self._finished()

    def _reader(self, node: NodeProto) -> NodeProto:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [self._source(name) for name in node.input]
        return copy

    def _convolution(self, found: Convolution) -> NodeProto:
        node = found.node
        kernel, scales = quantise_weights(self._weights[node.input[1]])
        weight = self._dequantised(f"{node.output[0]}.kernel", kernel, scales)
        copy = self._reader(node)
        copy.input[1] = weight
        if len(node.input) == 3 and node.input[2]:
            steps = scales * self._grids[node.input[0]].scale
            limit = float(2**31 - 129)
            bias = np.rint(self._weights[node.input[2]] / steps.astype(np.float64)).clip(-limit, limit)
            copy.input[2] = self._dequantised(f"{node.output[0]}.offset", bias.astype(np.int32), steps)
        copy.output[0] = found.result
        return copy

    def _dequantised(self, name: str, values: NDArray[np.generic], scales: NDArray[np.float32]) -> str:
        self._constant(f"{name}.int", values)
        self._constant(f"{name}.scales", scales)
        self._constant(f"{name}.zeros", np.zeros(len(scales), values.dtype))
        self._nodes.append(
            helper.make_node(
                "DequantizeLinear", [f"{name}.int", f"{name}.scales", f"{name}.zeros"], [f"{name}.real"],
                name=f"{name}.real", axis=0,
            )
        )  # fmt: skip
        return f"{name}.real"

    def _stand_in(self, name: str) -> None:
        """`name` rounded to its grid, which every reader gets in its place."""
        grid = self._grids[name]
        self._constant(f"{name}.scale", np.asarray(grid.scale, np.float32))
        self._constant(f"{name}.zero", np.asarray(grid.zero, np.uint8))
        steps = [f"{name}.scale", f"{name}.zero"]
        self._nodes += [
            helper.make_node("QuantizeLinear", [name, *steps], [f"{name}.uint8"], name=f"{name}.uint8"),
            helper.make_node("DequantizeLinear", [f"{name}.uint8", *steps], [f"{name}.real"], name=f"{name}.real"),
        ]

    def _source(self, name: str) -> str:
        return f"{name}.real" if name in self._grids else name

    def _constant(self, name: str, values: NDArray[np.generic]) -> None:
        self._added.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name))

    def _finished(self) -> ModelProto:
        model = ModelProto()
        model.CopyFrom(self._model)
        del model.graph.node[:]
        model.graph.node.extend(self._nodes)
        read = {name for node in self._nodes for name in node.input}
        kept = [entry for entry in [*self._model.graph.initializer, *self._added] if entry.name in read]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        return model


def rewrite(model: ModelProto, layout: Layout, grids: Mapping[str, Grid]) -> ModelProto:
    """A copy of `model` that computes as `layout` says; `grids` has every one of its values.

    Raises ModelError where the model is of an operator set that has no scale for each channel.
    """
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < _LEAST_OPSET:
        raise ModelError(
            f"8 bits need ONNX's operator set {_LEAST_OPSET}, and this model has {opset}; leave --int8 out."
        )
    return Rewriter(model, layout, grids).run()
