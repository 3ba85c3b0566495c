"""A backbone's own ONNX graph as a network that torch can train, and back: no architecture is written twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
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
    steps: Sequence["Step"]
    """What the output depends on, in the graph's order."""
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
        for name, array in _arrays(model).items():
            value = torch.from_numpy(array.copy())
            if name in trained:
                order = torch.channels_last if value.dim() == 4 else torch.contiguous_format
                weights[name] = value.to(device).contiguous(memory_format=order).requires_grad_()
            else:  # what is read as a number or a shape stays where it can be read without waiting for the card
                constants[name] = value.to(device) if value.dim() and value.is_floating_point() else value
        return cls(model, output, _steps(nodes, output), weights, constants)

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 RGB [n, height, width, 3] to the output, as the graph's own file would give it."""
        values: dict[str, Tensor] = {**self.constants, **self.weights, self.model.graph.input[0].name: images}
        for step in self.steps:
            inputs = [values[name] if name else None for name in step.inputs]
            values[step.output] = OPERATORS[step.operator](step.attributes, *inputs)
            del inputs
            for name in step.last:
                del values[name]
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


@dataclass(frozen=True)
class Step:
    """One node."""

    operator: str
    attributes: Mapping[str, Any]
    inputs: Sequence[str]
    output: str
    last: Sequence[str]
    """Values that are not needed after it: where no gradient asks for them, their memory is free again."""


def _arrays(model: ModelProto) -> dict[str, NDArray[Any]]:
    """What the graph holds, by name."""
    found = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            found[node.output[0]] = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.array(value)
    return found


def _steps(nodes: Sequence[NodeProto], output: str) -> list[Step]:
    """The nodes, each with the values that none after it reads."""
    read, found = {output}, list[Step]()
    for node in reversed(nodes):
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        last = tuple({name for name in node.input if name} - read)
        read |= set(node.input)
        found.append(Step(node.op_type, attributes, tuple(node.input), node.output[0], last))
    return found[::-1]


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
