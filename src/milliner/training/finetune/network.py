"""A backbone's own ONNX graph as a network that torch can train, and back: no architecture is written twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from torch import Tensor

from milliner.core.errors import ModelError
from milliner.training.finetune.operators import OPERATORS

_FIRST_LAYERS: Final = {"Conv", "Gemm", "MatMul"}
_FROZEN_INPUTS: Final = {"BatchNormalization": (3, 4)}  # its running mean and variance


@dataclass(frozen=True)
class Network:
    """Runs a graph node by node; what is trained are the graph's initializers themselves.

    From the first layer on every float initializer of more than one value is trained; the normalisation of pixels
    before it, clip bounds, exponents and the statistics of batch norms are constants.
    """

    model: ModelProto
    output: str
    nodes: Sequence[NodeProto]
    """Those that the output depends on, in the graph's order."""
    weights: dict[str, Tensor]
    """By initializer, those that are trained; float32, kernels in channels-last order."""
    constants: dict[str, Tensor]

    @classmethod
    def of(cls, model: ModelProto, output: str, device: str = "cpu") -> "Network":
        """As far as an output asks; raises ModelError where that needs an operator that cannot be trained here."""
        nodes = _needed(model, output)
        strange = sorted({node.op_type for node in nodes} - OPERATORS.keys())
        if strange:
            raise ModelError(
                f"The backbone {model.graph.name} cannot be fine-tuned: its graph has {', '.join(strange)}, which "
                "is not known here; leave --fine-tune out, or choose another backbone."
            )
        trained = _trained(model, nodes)
        weights, constants = {}, {}
        for initializer in model.graph.initializer:
            value = torch.from_numpy(numpy_helper.to_array(initializer).copy()).to(device)
            if initializer.name in trained:
                order = torch.channels_last if value.dim() == 4 else torch.contiguous_format
                weights[initializer.name] = value.contiguous(memory_format=order).requires_grad_()
            else:
                constants[initializer.name] = value
        for node in model.graph.node:
            if node.op_type == "Constant":
                values = numpy_helper.to_array(helper.get_node_attr_value(node, "value"))
                constants[node.output[0]] = torch.from_numpy(values.copy()).to(device)
        return cls(model, output, nodes, weights, constants)

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 RGB [n, height, width, 3] to the output, as the graph's own file would give it."""
        values: dict[str, Tensor] = {**self.constants, **self.weights, self.model.graph.input[0].name: images}
        for node in self.nodes:
            inputs = [values[name] if name else None for name in node.input]
            values[node.output[0]] = OPERATORS[node.op_type](_attributes(node), *inputs)
        return values[self.output]

    def with_weights(self, weights: Mapping[str, Tensor]) -> "Network":
        """The same graph with other values of the weights; those that it does not have are left out."""
        device = next(iter(self.weights.values())).device
        return replace(self, weights={name: weights[name].detach().to(device) for name in self.weights})

    def look(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The same without a gradient, from and to numpy."""
        with torch.inference_mode():
            images = torch.from_numpy(pixels).to(next(iter(self.weights.values())).device)
            return np.asarray(self(images).cpu().numpy(), np.float32)

    def written(self) -> ModelProto:
        """The graph with the values that the weights have now."""
        model = ModelProto()
        model.CopyFrom(self.model)
        for initializer in model.graph.initializer:
            if initializer.name in self.weights:
                value = self.weights[initializer.name].detach().cpu().contiguous().numpy()
                initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))
        return model


def _trained(model: ModelProto, nodes: Sequence[NodeProto]) -> set[str]:
    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    floats = {name for name, array in arrays.items() if array.dtype == np.float32 and array.size > 1}
    found: set[str] = set()
    reached = False
    for node in nodes:
        reached = reached or node.op_type in _FIRST_LAYERS
        frozen = _FROZEN_INPUTS.get(node.op_type, ())
        if reached:
            found |= {name for place, name in enumerate(node.input) if name in floats and place not in frozen}
    return found


def _needed(model: ModelProto, output: str) -> list[NodeProto]:
    """The nodes that an output depends on, in the graph's order; constants are known already."""
    wanted, found = {output}, []
    for node in reversed(model.graph.node):
        if node.op_type != "Constant" and wanted & set(node.output):
            found.append(node)
            wanted |= set(node.input)
    return found[::-1]


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
