"""What a network costs, counted instead of timed."""

from math import prod
from typing import Any

from onnx import ModelProto, shape_inference

_MATRICES = {"MatMul", "Gemm"}


def multiplications(model: ModelProto, size: int) -> int:
    """How often it multiplies for one picture of `size` pixels a side: convolutions and matrix products."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    for dimension, length in zip(fixed.graph.input[0].type.tensor_type.shape.dim, (1, size, size, 3), strict=True):
        dimension.dim_value = length
    graph = shape_inference.infer_shapes(fixed, data_prop=True).graph
    shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.input, *graph.output)}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += prod(shapes.get(node.output[0], ())) * prod(shapes.get(node.input[1], ())[1:])
        elif node.op_type in _MATRICES:
            total += prod(shapes.get(node.output[0], ())) * (shapes.get(node.input[0], ()) or (0,))[-1]
    return total


def _shape(value: Any) -> tuple[int, ...]:
    """Dimensions that are not known count as one."""
    return tuple(dimension.dim_value or 1 for dimension in value.type.tensor_type.shape.dim)
