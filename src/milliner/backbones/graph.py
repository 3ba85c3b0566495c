"""Writes convolutional networks as ONNX graphs, node by node, with batch norms folded into the convolutions."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from milliner.backbones.policy import Triple

OPSET: Final = 17
"""ONNX operator set of everything that is written here (understood since ONNX Runtime 1.12, OpenVINO 2022.3)."""

_IR_VERSION: Final = 8  # the intermediate representation that belongs to opset 17

_LEAST_NORM: Final = 1e-6  # a picture without any feature is then nothing, and not a division by nothing


class GraphWriter:
    """Collects nodes and weights; every method takes and returns the name of a value in the graph."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []

    def weight(self, name: str, value: NDArray[np.float32] | float) -> str:
        """Adds a float32 constant."""
        self._weights.append(numpy_helper.from_array(np.asarray(value, np.float32, order="C"), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds one operator with one output, which also names the node."""
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def normalised(self, image: str, mean: float | Triple, scale: float | Triple) -> str:
        """uint8 [N, H, W, 3] to float [N, 3, H, W] as (x - mean) / scale, of each colour its own where there are 3."""
        value = self.node("Cast", [image], "pixels", to=TensorProto.FLOAT)
        value = self.node("Transpose", [value], "planes", perm=[0, 3, 1, 2])
        value = self.node("Sub", [value, self.weight("mean", _for_planes(mean))], "centred")
        return self.node("Mul", [value, self.weight("scale", np.float32(1) / _for_planes(scale))], "normalised")

    def convolution(
        self,
        value: str,
        name: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
        stride: int,
        group: int = 1,
        *,
        padding: int | None = None,
    ) -> str:
        """A 2-D convolution padded by `padding` on every side; None pads as TensorFlow's "SAME" pads even sides."""
        side = kernel.shape[2]
        before, after = ((side - stride) // 2, (side - stride + 1) // 2) if padding is None else (padding, padding)
        inputs = [value, self.weight(f"{name}.weight", kernel), self.weight(f"{name}.bias", bias)]
        return self.node(
            "Conv",
            inputs,
            name,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=group,
        )

    def maximum(self, value: str, name: str) -> str:
        """The maximum of 3 x 3 cells at every second one; windows that reach over the edge count ("ceil mode")."""
        return self.node("MaxPool", [value], name, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    def relu(self, value: str) -> str:
        """Clips below 0."""
        return self.node("Relu", [value], f"{value}.relu")

    def hard_swish(self, value: str) -> str:
        """The hard swish: x * clip(x / 6 + 1/2, 0, 1)."""
        return self.node("HardSwish", [value], f"{value}.hard_swish")

    def hard_sigmoid(self, value: str) -> str:
        """The hard sigmoid: clip(x / 6 + 1/2, 0, 1)."""
        return self.node("HardSigmoid", [value], f"{value}.hard_sigmoid", alpha=1 / 6, beta=0.5)

    def global_average(self, value: str, name: str) -> str:
        """[N, width, h, w] to [N, width, 1, 1]."""
        return self.node("GlobalAveragePool", [value], name)

    def multiplied(self, first: str, second: str, name: str) -> str:
        """The product, cell by cell."""
        return self.node("Mul", [first, second], name)

    def joined(self, first: str, second: str, name: str) -> str:
        """Two values behind one another along the channels."""
        return self.node("Concat", [first, second], name, axis=1)

    def relu6(self, value: str) -> str:
        """Clips to 0..6."""
        if not any(weight.name == "six" for weight in self._weights):
            self.weight("zero", 0)
            self.weight("six", 6)
        return self.node("Clip", [value, "zero", "six"], f"{value}.relu6")

    def add(self, first: str, second: str) -> str:
        """Sums two values of one shape."""
        return self.node("Add", [first, second], f"{second}.sum")

    def average(self, value: str, output: str) -> str:
        """[N, width, h, w] to its mean over the cells, [N, width]."""
        return self.node("Flatten", [self.node("GlobalAveragePool", [value], f"{output}.pooled")], output)

    def generalised_mean(self, value: str, output: str) -> str:
        """[N, width, h, w], nowhere negative, to the cube root of the mean cube over the cells, [N, width].

        Between the mean and the maximum: a small object's features outlast a large background (GeM pooling with
        p = 3, Radenovic et al. 2018, arXiv:1711.02512).
        """
        if not any(weight.name == "three" for weight in self._weights):
            self.weight("three", 3)
            self.weight("third", 1 / 3)
        cubes = self.node("Pow", [value, "three"], f"{output}.cubes")
        mean = self.average(cubes, f"{output}.of_cubes")
        return self.node("Pow", [mean, "third"], output)

    def scaled(self, pooled: str, width: int, output: str) -> str:
        """[N, width] scaled to a length of sqrt(width), so that no map outweighs another; 0 stays 0.

        What it was divided by is `output`.norm, [N, 1].
        """
        length = self.node("ReduceL2", [pooled], f"{output}.length", axes=[1], keepdims=1)
        share = self.node("Mul", [length, self.weight(f"{output}.root", 1 / math.sqrt(width))], f"{output}.share")
        norm = self.node("Add", [share, self.weight(f"{output}.least", _LEAST_NORM)], f"{output}.norm")
        return self.node("Div", [pooled, norm], f"{output}.scaled")

    def outputs(
        self, features: str, width: int, *, signed: bool = False, detail: tuple[str, int] | None = None
    ) -> dict[str, list[int | str]]:
        """Adds the promised outputs on the last features: `features`, `average` and `embedding`, whose generalised mean
        is of the positive part where they are `signed`; and `detail` where a value and its width are given.

        Returns their shapes.
        """
        named = self.node("Identity", [features], "features")
        self.average(named, "average")
        pooled = self.generalised_mean(self.relu(named) if signed else named, "features.mean")
        parts, shapes = [self.scaled(pooled, width, "features")], {"features": _map(width), "average": _row(width)}
        if detail is not None:
            value, channels = detail
            finer = self.node("Identity", [value], "detail")
            parts.append(self.scaled(self.generalised_mean(finer, "detail.mean"), channels, "detail"))
            shapes["detail"] = ["N", channels, "2h", "2w"]
            width += channels
        self.node("Concat", parts, "embedding", axis=1)
        return shapes | {"embedding": _row(width)}

    def append_to(self, graph: GraphProto) -> None:
        """Adds what was collected to a graph that has the values it begins with."""
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._weights)

    def finish(self, name: str, outputs: Mapping[str, list[int | str]]) -> ModelProto:
        """The checked model: input `image` uint8 [N, H, W, 3], the named float outputs."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
            self._weights,
        )
        return as_model(graph)


def _map(width: int) -> list[int | str]:
    return ["N", width, "h", "w"]


def _row(width: int) -> list[int | str]:
    return ["N", width]


def as_model(graph: GraphProto) -> ModelProto:
    """Wraps a graph with the versions above and checks it."""
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION, producer_name="milliner"
    )
    checker.check_model(model, full_check=True)
    return model


def _for_planes(values: float | Triple) -> NDArray[np.float32]:
    """As they are for one number; [3, 1, 1] for one a colour."""
    return np.asarray(values if isinstance(values, float) else np.reshape(values, (3, 1, 1)), np.float32)
