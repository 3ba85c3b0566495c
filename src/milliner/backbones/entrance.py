"""How pictures get into a foreign ONNX network: the layout, element type and side that its input wants."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from milliner.backbones.network import copies
from milliner.backbones.policy import Triple
from milliner.core.errors import ModelError

_FLOATS: Final = {TensorProto.FLOAT, TensorProto.FLOAT16}


@dataclass(frozen=True)
class Entrance:
    """One way to read an input's description."""

    name: str
    element: int
    """Its ONNX element type: uint8 takes pixels as they are, floats take them normalised."""
    channels_first: bool
    side: int | None
    """Pixels a side where the file fixes it."""


def entrances(model: ModelProto) -> Iterator[Entrance]:
    """The ways that fit, likelier ones first; raises ModelError where no picture can go in."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ModelError(f"it takes {len(inputs)} inputs, not one picture")
    value, kind = inputs[0], inputs[0].type.tensor_type
    shape = _dimensions(value)
    if len(shape) != 4 or kind.elem_type not in {*_FLOATS, TensorProto.UINT8}:
        raise ModelError("its input is no picture: that has four axes, of float or uint8")
    ways = [first for first in (True, False) if shape[1 if first else 3] in (3, None)]
    if not ways:
        raise ModelError("its input has no axis of three colours")
    if kind.elem_type == TensorProto.UINT8 and len(ways) == 2:
        ways.reverse()  # pictures as they come out of a decoder
    for first in ways:
        height, width = shape[2:] if first else shape[1:3]
        if height is not None and width is not None and height != width:
            raise ModelError(f"it takes pictures of {height} x {width}, and only squares are given")
        yield Entrance(value.name, kind.elem_type, first, height or width)


def put_in_front(model: ModelProto, entrance: Entrance, mean: Triple, scale: Triple) -> None:
    """Makes `image` uint8 RGB [N, H, W, 3] the model's input, and the old one a value made from it."""
    graph, steps = model.graph, _Steps()
    value = "image"
    if entrance.element in _FLOATS:
        value = steps.add("Cast", [value], "pixels", to=TensorProto.FLOAT)
        graph.initializer.append(numpy_helper.from_array(np.asarray(mean, np.float32), "mean"))
        graph.initializer.append(numpy_helper.from_array(np.float32(1) / np.asarray(scale, np.float32), "scale"))
        value = steps.add("Sub", [value, "mean"], "centred")
        value = steps.add("Mul", [value, "scale"], "normalised")
    if entrance.channels_first:
        value = steps.add("Transpose", [value], "planes", perm=[0, 3, 1, 2])
    if entrance.element == TensorProto.FLOAT16:
        value = steps.add("Cast", [value], "halves", to=TensorProto.FLOAT16)
    steps.add("Identity", [value], entrance.name)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])
    inputs = [image, *copies(value for value in graph.input if value.name != entrance.name)]
    nodes = [*steps.nodes, *copies(graph.node)]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    del graph.value_info[:]  # shapes that may name the old batch and side
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")


class _Steps:
    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output


def _dimensions(value: ValueInfoProto) -> list[int | None]:
    """None for those that are free."""
    shape = value.type.tensor_type.shape.dim
    return [dimension.dim_value if dimension.dim_value > 0 else None for dimension in shape]
