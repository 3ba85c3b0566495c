"""Finds the last map of features in a foreign ONNX network.

It is an output with two axes of cells; or tokens of patches, in the order of the rows, behind a class token and
registers; or, of a network whose outputs are pooled or classes, what its last pooling takes. A network that has none
of these has its output itself as a map of one cell.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from milliner.backbones.network import ancestors
from milliner.backbones.probing import run
from milliner.core.errors import ModelError

_STRIDES: Final = (4, 7, 8, 14, 16, 28, 32, 64)
_POOLS: Final = {"GlobalAveragePool", "ReduceMean", "AveragePool", "GlobalMaxPool", "Gather", "Slice"}
"""The last two take the class token."""

_MOST_PREFIXED: Final = 8
_TRIED: Final = 32  # poolings, from the last one


@dataclass(frozen=True)
class Features:
    """Where they are and how they lie."""

    value: str
    form: str
    """`map` [N, C, h, w], `map of channels last` [N, h, w, C], `tokens` [N, T, C] or `vector` [N, C]."""
    width: int
    stride: int
    prefix: int = 0
    """Tokens that are not of patches."""


def found(model: ModelProto, side: int, prefix: int | None) -> Features:
    """Looks at the outputs of a model that takes `image`; raises ModelError where nothing of it are features."""
    outputs = [value.name for value in model.graph.output]
    shapes = _shapes(model, side, outputs)
    for rank in (4, 3):
        ranked = [name for name in outputs if len(shapes[name]) == rank and min(shapes[name]) > 0]
        for name in sorted(ranked, key=lambda name: -max(shapes[name][1], shapes[name][-1])):
            features = _of_map(name, shapes[name], side) if rank == 4 else _of_tokens(name, shapes[name], side, prefix)
            if features is not None:
                return features
    vectors = [name for name in outputs if len(shapes[name]) == 2 and shapes[name][1] > 1]
    if not vectors:
        raise ModelError("it has no output of features: a map, tokens of patches, or a vector")
    widest = max(vectors, key=lambda name: shapes[name][1])  # the first of them; classes are mostly fewer
    return _before_pooling(model, widest, side) or Features(widest, "vector", shapes[widest][1], 32)


def _shapes(model: ModelProto, side: int, names: list[str]) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(value) for name, value in run(model, side, names).items()}


def _of_map(name: str, shape: tuple[int, ...], side: int) -> Features | None:
    _, first, second, third = shape
    if second == third:
        return Features(name, "map", first, _stride(side, second))
    return Features(name, "map of channels last", third, _stride(side, first)) if first == second else None


def _stride(side: int, cells: int) -> int:
    """Of those that networks have the nearest one: without padding there are fewer cells than side / stride."""
    return 32 if cells == 1 else min(_STRIDES, key=lambda stride: abs(stride - side / cells))


def _of_tokens(name: str, shape: tuple[int, ...], side: int, prefix: int | None) -> Features | None:
    _, tokens, width = shape
    cells = isqrt(tokens if prefix is None else max(0, tokens - prefix))
    before = tokens - cells * cells if prefix is None else prefix
    whole = cells > 0 and before + cells * cells == tokens and before <= _MOST_PREFIXED and side % cells == 0
    return Features(name, "tokens", width, side // cells, before) if whole else None


def _before_pooling(model: ModelProto, output: str, side: int) -> Features | None:
    """What the last pooling takes that everything in the output goes through."""
    pools = [node for node in ancestors(model, [output]) if node.op_type in _POOLS]
    for node in pools[: -_TRIED - 1 : -1]:
        if _all_goes_through(model, node, output):
            shape = _shapes(model, side, [node.input[0]])[node.input[0]]
            if len(shape) == 4 and shape[2] == shape[3] > 1:
                return _of_map(node.input[0], shape, side)
            if len(shape) == 3:
                return _of_tokens(node.input[0], shape, side, None)
    return None


def _all_goes_through(model: ModelProto, node: NodeProto, output: str) -> bool:
    """Not so of a pooling inside a network that weighs its channels: there the map itself goes on as well."""
    rest = ancestors(model, [output], without=node.output[0])
    return not any("image" in other.input for other in rest)


def make_map(model: ModelProto, features: Features) -> None:
    """Adds `features` float32 [N, C, h, w]."""
    graph, value = model.graph, features.value

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def numbers(name: str, *values: int) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    if features.form == "map of channels last":
        value = add("Transpose", [value], "map", perm=[0, 3, 1, 2])
    elif features.form == "vector":
        value = add("Reshape", [value, numbers("one_cell", 0, features.width, 1, 1)], "map")
    elif features.form == "tokens":
        span = [numbers("first_patch", features.prefix), numbers("last_patch", 2**31), numbers("token_axis", 1)]
        value = add("Slice", [value, *span], "patches")
        value = add("Transpose", [value], "channels", perm=[0, 2, 1])
        height = add("Gather", [add("Shape", ["image"], "sides"), numbers("height_axis", 1)], "height", axis=0)
        rows = add("Div", [height, numbers("pixels_a_row", features.stride)], "rows")
        shape = [numbers("as_they_are", 0, features.width), rows, numbers("the_rest", -1)]
        value = add("Reshape", [value, add("Concat", shape, "map_shape", axis=0)], "map")
    add("Cast", [value], "features", to=TensorProto.FLOAT)
