"""Writes convolutional networks as ONNX graphs, node by node, with batch norms folded into the convolutions."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

OPSET: Final = 17
"""ONNX operator set of everything that is written here (understood since ONNX Runtime 1.12, OpenVINO 2022.3)."""

_IR_VERSION: Final = 8  # the intermediate representation that belongs to opset 17

Weights = Mapping[str, NDArray[Any]]


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

    def normalised(self, image: str, mean: float, scale: float) -> str:
        """uint8 [N, H, W, 3] to float [N, 3, H, W] as (x - mean) / scale."""
        value = self.node("Cast", [image], "pixels", to=TensorProto.FLOAT)
        value = self.node("Transpose", [value], "planes", perm=[0, 3, 1, 2])
        value = self.node("Sub", [value, self.weight("mean", mean)], "centred")
        return self.node("Mul", [value, self.weight("scale", 1 / scale)], "normalised")

    def convolution(
        self, value: str, name: str, kernel: NDArray[np.float32], bias: NDArray[np.float32], stride: int, group: int = 1
    ) -> str:
        """A 2-D convolution padded as TensorFlow's "SAME" pads inputs of even sides."""
        side = kernel.shape[2]
        before, after = (side - stride) // 2, (side - stride + 1) // 2
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
        cubes = self.node("Pow", [value, self.weight("three", 3)], f"{output}.cubes")
        mean = self.average(cubes, f"{output}.mean")
        return self.node("Pow", [mean, self.weight("third", 1 / 3)], output)

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


def as_model(graph: GraphProto) -> ModelProto:
    """Wraps a graph with the versions above and checks it."""
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION, producer_name="milliner"
    )
    checker.check_model(model, full_check=True)
    return model


def fold_batch_norm(
    weights: Weights, convolution: str, norm: str, epsilon: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A bias-free convolution and the batch norm behind it as one kernel and bias."""
    gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"].astype(np.float64) + epsilon)
    kernel = weights[f"{convolution}.weight"] * gain[:, None, None, None]
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return kernel.astype(np.float32), bias.astype(np.float32)
