"""The distance as nodes of a model's graph, so that every runtime gives it."""

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, TensorProto, helper, numpy_helper

from milliner.training.distance import Distance


def append_distance(graph: GraphProto, distance: Distance) -> None:
    """Adds the output `distance` [N], computed from `embedding` by operators that are the same in every opset since 11.

    Its nodes' names begin with "distance", for those who must not round them.
    """
    values: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {
        "centre": distance.centre,
        "weight": np.full((len(distance.linear), 1), distance.weight, np.float32),
        "directions": distance.directions,
        "ones": np.ones((distance.directions.shape[1], 1), np.float32),
        "linear": distance.linear,
        "constant": distance.constant,
        "one": np.array([1], np.int64),
        "begin": np.array([0], np.int64),
        "end": np.array([len(distance.linear)], np.int64),
        "flat": np.array([-1], np.int64),
    }
    nodes: list[tuple[str, list[str], list[str], dict[str, int]]] = [
        ("Slice", ["embedding", "begin", "end", "one"], ["seen"], {}),
        ("LpNormalization", ["seen"], ["units"], {"axis": 1, "p": 2}),
        ("Sub", ["units", "centre"], ["moved"], {}),
        ("Mul", ["moved", "moved"], ["all_squares"], {}),
        ("MatMul", ["all_squares", "weight"], ["own"], {}),
        ("Gemm", ["moved", "linear", "constant"], ["to_classes"], {}),
        ("TopK", ["to_classes", "one"], ["nearest", "which"], {"axis": 1, "largest": 0}),
        ("Add", ["nearest", "own"], ["to_nearest"], {}),
        ("MatMul", ["moved", "directions"], ["along"], {}),
        ("Mul", ["along", "along"], ["squares"], {}),
        ("MatMul", ["squares", "ones"], ["discount"], {}),
        ("Sub", ["to_nearest", "discount"], ["difference"], {}),
        ("Relu", ["difference"], ["square"], {}),
        ("Sqrt", ["square"], ["root"], {}),
        ("Reshape", ["root", "flat"], ["distance"], {}),
    ]
    own = {"embedding": "embedding", "distance": "distance"}
    graph.initializer.extend(numpy_helper.from_array(value, f"distance.{name}") for name, value in values.items())
    for kind, inputs, outputs, attributes in nodes:
        taken, given = ([own.get(name, f"distance.{name}") for name in names] for names in (inputs, outputs))
        node = helper.make_node(kind, taken, given, name=f"distance.{outputs[0]}")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        graph.node.append(node)
    graph.output.append(helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["N"]))
