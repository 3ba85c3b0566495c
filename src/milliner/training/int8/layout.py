"""Which values of a network can be kept in 8 bits: the plan that calibration and rewriting share."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, numpy_helper

from milliner.core.errors import ModelError

_SHARED: Final = ("Add", "MaxPool", "Concat")
"""Computed in 8 bits where all that they read is."""

HEAD: Final = "head."
"""What the names of the head's values begin with, as `export` writes them. The head stays in float32: it is small, and
has the last word."""


@dataclass(frozen=True)
class Convolution:
    """A convolution together with the clipping behind it, which saturation to 8 bits does for nothing."""

    node: NodeProto
    result: str
    """The value after the clipping, whose range is found from what came through it."""


@dataclass(frozen=True)
class Layout:
    """The values that are kept in 8 bits and the nodes that compute with them."""

    convolutions: Mapping[str, Convolution]
    """By the name of what the node gives; nodes themselves need no name."""
    clipped: frozenset[str]
    """What the clipping nodes give that are left out."""
    shared: frozenset[str]
    """What the other nodes give that compute in 8 bits."""
    values: tuple[str, ...]
    """Every value that is quantised, in the order of the graph."""
    aliases: Mapping[str, str]
    """A pooled value to the one whose range it shares."""


def constants(graph: GraphProto) -> dict[str, NDArray[np.float32]]:
    """The weights of a graph by name."""
    return {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}


def lay_out(graph: GraphProto) -> Layout:
    """Finds the convolutions of `graph` whose weights are constant, save the head's, and what joins them.

    Raises ModelError when there is none.
    """
    weights = constants(graph)
    readers = Counter(name for node in graph.node for name in node.input)
    outputs = {value.name for value in graph.output}
    alone = {
        node.input[0]: node
        for node in graph.node
        if _saturates(node, weights) and readers[node.input[0]] == 1 and not {node.input[0], node.output[0]} & outputs
    }
    convolutions: dict[str, Convolution] = {}
    clipped: set[str] = set()
    shared: set[str] = set()
    values: dict[str, None] = {}
    aliases: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Conv" and _plain(node, weights) and not node.output[0].startswith(HEAD):
            clipping = alone.get(node.output[0])
            if clipping is not None:
                clipped.add(clipping.output[0])
            result = node.output[0] if clipping is None else clipping.output[0]
            convolutions[node.output[0]] = Convolution(node, result)
            values |= {node.input[0]: None, result: None}
        elif node.op_type in _SHARED and all(name in values for name in node.input):
            shared.add(node.output[0])
            values[node.output[0]] = None
            if node.op_type == "MaxPool":
                aliases[node.output[0]] = aliases.get(node.input[0], node.input[0])
    if not convolutions:
        raise ModelError("The network has no convolution that could be quantised; use the model as it is.")
    return Layout(convolutions, frozenset(clipped), frozenset(shared), tuple(values), aliases)


def _plain(node: NodeProto, weights: Mapping[str, NDArray[np.float32]]) -> bool:
    """Whether a convolution's weights are known float32 numbers."""
    return all(name in weights and weights[name].dtype == np.float32 for name in node.input[1:] if name)


def _saturates(node: NodeProto, weights: Mapping[str, NDArray[np.float32]]) -> bool:
    """Whether a node cuts to a known range around 0, which the range of 8 bits then does as well."""
    if node.op_type == "Relu":
        return True
    limits = [name for name in node.input[1:] if name]
    if node.op_type != "Clip" or not all(name in weights for name in limits):
        return False
    lowest, highest = (node.input[place] if place < len(node.input) else "" for place in (1, 2))
    return not (lowest and weights[lowest] > 0) and not (highest and weights[highest] < 0)
