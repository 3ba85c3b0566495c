"""ONNX files of others: read within bounds, brought to one form, and cut to what is needed."""

from collections.abc import Iterable
from typing import Final, TypeVar

from google.protobuf.message import DecodeError
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    compose,
    inliner,
    load_model_from_string,
    version_converter,
)

from milliner.backbones.graph import OPSET
from milliner.core.errors import ModelError

MAX_BYTES: Final = 2**30
PREFIX: Final = "network/"
"""Before every name of the foreign network, so that none is one of ours."""


Part = TypeVar("Part", NodeProto, TensorProto, ValueInfoProto)


def metadata(content: bytes) -> dict[str, str]:
    """What the file says of itself by name; raises ModelError, as a fragment of a sentence."""
    return {entry.key: entry.value for entry in _parsed(content).metadata_props}


def loaded(content: bytes) -> ModelProto:
    """The model with prefixed names, without functions, at our operator set or a newer one.

    Raises ModelError, as a fragment of a sentence.
    """
    model = _parsed(content)
    if not model.graph.node or not model.graph.output:
        raise ModelError("it is damaged or not an ONNX file")
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError("its weights are in another file; save it as one file")
    if model.functions:
        model = inliner.inline_local_functions(model)
    return _prefixed(_converted(model))


def _parsed(content: bytes) -> ModelProto:
    try:
        return load_model_from_string(content)
    except (DecodeError, ValueError, TypeError) as error:
        raise ModelError("it is damaged or not an ONNX file") from error


def _converted(model: ModelProto) -> ModelProto:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if version >= OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # its exceptions have no common base
        raise ModelError(
            f"its operators are those of opset {version} and cannot be brought to {OPSET}; export it with that"
        ) from error


def _prefixed(model: ModelProto) -> ModelProto:
    try:
        return compose.add_prefix(model, PREFIX)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError("its graph does not hold together") from error


def ancestors(model: ModelProto, values: Iterable[str], without: str | None = None) -> list[NodeProto]:
    """The nodes that the values depend on, in the graph's order; `without` is a value that nothing is made of."""
    wanted, kept = set(values) - {without}, []
    for node in reversed(model.graph.node):
        if wanted & {name for name in node.output if name}:
            kept.append(node)
            wanted |= set(_inputs(node)) - {without}
    return kept[::-1]


def _inputs(node: NodeProto) -> Iterable[str]:
    """Values that a node takes, those of the graphs inside it included."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _inputs(inner)
            yield from (value.name for value in graph.output)


def copies(messages: Iterable[Part]) -> list[Part]:
    """The same of their own: those in a list go with it."""
    return [type(message).FromString(message.SerializeToString()) for message in messages]


def pruned(model: ModelProto) -> ModelProto:
    """The model with only what its outputs depend on."""
    nodes = ancestors(model, [value.name for value in model.graph.output])
    used = {name for node in nodes for name in _inputs(node)}
    weights = [tensor for tensor in model.graph.initializer if tensor.name in used]
    sparse = [tensor for tensor in model.graph.sparse_initializer if tensor.values.name in used]
    nodes, weights = copies(nodes), copies(weights)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(weights)
    if len(sparse) != len(model.graph.sparse_initializer):
        raise ModelError("it has sparse weights, which are not understood")
    del model.graph.value_info[:]
    del model.metadata_props[:]
    return model
