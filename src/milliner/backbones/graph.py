"""Writes convolutional networks as ONNX graphs, node by node, with batch norms folded into the convolutions."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from milliner.backbones.policy import Triple
from milliner.backbones.pooling import OWN, Statistic, blocks, mark

OPSET: Final = 17
"""ONNX operator set of everything that is written here (understood since ONNX Runtime 1.12, OpenVINO 2022.3)."""

_IR_VERSION: Final = 8  # the intermediate representation that belongs to opset 17

_DETAIL: Final = 3.0
"""How much the finer map is enlarged, so that its numbers vary about as much as those of the last one; chosen by
cross-validation on the helmets' training list from 1, 2 and 3."""

_BELL: Final = 0.7
"""Standard deviation of the cells' weights, in halves of a side: an edge's middle counts a third of the centre. Chosen
by cross-validation on the helmets' training list from flat, 0.4, 0.5 and 0.7, of which the last three are alike."""

_AXES_ARE_INPUTS: Final = 18

_LEAST_NORM: Final = 1e-6  # a picture without any feature is then nothing, and not a division by nothing


class GraphWriter:
    """Collects nodes and weights; every method takes and returns the name of a value in the graph."""

    def __init__(self, opset: int = OPSET, there: Collection[str] = ()) -> None:
        """For a graph of that operator set, `OPSET` or a newer one, which has constants named `there`."""
        self._opset, self._there = opset, frozenset(there)
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

    def reduced(self, operator: str, value: str, axes: list[int], output: str) -> str:
        """Reduces axes to 1; since operator set 18 their numbers are an input."""
        if self._opset < _AXES_ARE_INPUTS:
            return self.node(operator, [value], output, axes=axes, keepdims=1)
        self._weights.append(numpy_helper.from_array(np.array(axes, np.int64), f"{output}.axes"))
        return self.node(operator, [value, f"{output}.axes"], output, keepdims=1)

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
        return self.node("Clip", [value, self.constant("zero", 0), self.constant("six", 6)], f"{value}.relu6")

    def add(self, first: str, second: str) -> str:
        """Sums two values of one shape."""
        return self.node("Add", [first, second], f"{second}.sum")

    def average(self, value: str, output: str) -> str:
        """[N, width, h, w] to its mean over the cells, [N, width]."""
        return self.node("Flatten", [self.node("GlobalAveragePool", [value], f"{output}.pooled")], output)

    def generalised_mean(self, value: str, output: str, weights: str | None = None) -> str:
        """[N, width, h, w], nowhere negative, to the cube root of the mean cube over the cells, [N, width].

        Between the mean and the maximum: a small object's features outlast a large background (GeM pooling with
        p = 3, Radenovic et al. 2018, arXiv:1711.02512). Cells count by `weights` [N, 1, h, w], whose mean is 1.
        """
        cubes = self.node("Pow", [value, self.constant("three", 3)], f"{output}.cubes")
        if weights is not None:
            cubes = self.node("Mul", [cubes, weights], f"{output}.weighted")
        mean = self.average(cubes, f"{output}.of_cubes")
        return self.node("Pow", [mean, self.constant("third", 1 / 3)], output)

    def constant(self, name: str, value: float) -> str:
        """A number that several nodes may share."""
        known = name in self._there or any(weight.name == name for weight in self._weights)
        return name if known else self.weight(name, value)

    def towards_centre(self, value: str) -> str:
        """[N, 1, h, w] how much each cell of a map counts: a bell over the picture, whose mean is 1.

        What a picture is of stands in its middle more often than at its edge, where besides the network sees padding.
        Places are counted by running sums, so that the graph does not depend on the number of cells.
        """
        plane = self.reduced("ReduceMean", value, [1], "centre.plane")
        nothing = self.node("Mul", [plane, self.constant("zero", 0)], "centre.nothing")
        ones = self.node("Add", [nothing, self.constant("unit", 1)], "centre.ones")
        rows, columns = self._squared_place(ones, 2), self._squared_place(ones, 3)
        distance = self.node("Add", [rows, columns], "centre.distance")
        exponent = self.node("Mul", [distance, self.constant("centre.rate", -1 / (2 * _BELL**2))], "centre.exponent")
        bell = self.node("Exp", [exponent], "centre.bell")
        mean = self.reduced("ReduceMean", bell, [2, 3], "centre.mean")
        return self.node("Div", [bell, mean], "centre.weights")

    def _squared_place(self, ones: str, axis: int) -> str:
        """The square of each cell's place along an axis, -1 at one edge of the picture and 1 at the other."""
        name = f"centre.axis{axis}"
        self._weights.append(numpy_helper.from_array(np.array(axis, np.int64), name))
        count = self.node("CumSum", [ones, name], f"{name}.count")
        cells = self.reduced("ReduceMax", count, [2, 3], f"{name}.cells")
        middle = self.node("Sub", [count, self.constant("half", 0.5)], f"{name}.middle")
        share = self.node("Div", [middle, cells], f"{name}.share")
        from_half = self.node("Sub", [share, "half"], f"{name}.from_half")
        place = self.node("Mul", [from_half, self.constant("two", 2)], f"{name}.place")
        return self.node("Mul", [place, place], f"{name}.square")

    def norm(self, pooled: str, width: int, output: str) -> str:
        """[N, 1] the root mean square of [N, width] pooled features, which all parts of an embedding are divided by.

        Pictures of strong and of weak contrast come out alike then, which few pictures teach a head more by.
        """
        length = self.reduced("ReduceL2", pooled, [1], f"{output}.length")
        share = self.node("Mul", [length, self.weight(f"{output}.root", 1 / math.sqrt(width))], f"{output}.share")
        return self.node("Add", [share, self.weight(f"{output}.least", _LEAST_NORM)], output)

    def outputs(
        self, features: str, width: int, *, signed: bool = False, detail: tuple[str, int] | None = None
    ) -> dict[str, list[int | str]]:
        """Adds the promised outputs on the last features: `features`, `average` and `embedding`, whose generalised mean
        is of the positive part where they are `signed`; and `detail` where a value and its width are given.

        Returns their shapes.
        """
        self.average(self.node("Identity", [features], "features"), "average")
        shapes, channels = {"features": _map(width)}, 0
        if detail is not None:
            value, channels = detail
            self.node("Identity", [value], "detail")
            shapes["detail"] = ["N", channels, "2h", "2w"]
        whole = self.embedding(OWN, width, channels, signed=signed)
        return shapes | {"average": _row(width), "embedding": _row(whole)}

    def embedding(self, statistics: Sequence[Statistic], width: int, detail_width: int, *, signed: bool) -> int:
        """Adds `embedding` on the maps `features` and `detail`, of which there need be no second one.

        Each statistic's rows are divided by the norm of its row of the features. Returns how many numbers it has.
        """
        features, details = [], []
        for statistic in statistics:
            end = mark(statistics, statistic)
            pooled = self._pooled("features", statistic, f"features{end}.mean", signed=signed)
            norm = self.norm(pooled, width, f"features{end}.norm")
            features.append(self.node("Div", [pooled, norm], f"features{end}.scaled"))
            if detail_width:
                finer = self._pooled("detail", statistic, f"detail{end}.mean", signed=signed)
                smaller = self.node("Mul", [norm, self.constant("detail.share", 1 / _DETAIL)], f"detail{end}.norm")
                details.append(self.node("Div", [finer, smaller], f"detail{end}.scaled"))
        self.node("Concat", [*features, *details], "embedding", axis=1)
        return sum(block.channels for block in blocks(statistics, width, detail_width))

    def _pooled(self, name: str, statistic: Statistic, output: str, *, signed: bool) -> str:
        """A map's row; a generalised mean is of the positive part where it is `signed`."""
        if statistic == "average":
            return self.average(name, output)
        if statistic == "maximum":
            return self.node("Flatten", [self.node("GlobalMaxPool", [name], f"{output}.pooled")], output)
        weights = self.towards_centre(name) if name == "features" else None
        return self.generalised_mean(self.relu(name) if signed else name, output, weights)

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
