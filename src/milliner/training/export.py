"""Writes a trained head and its backbone as one ``.onnx`` file, and proves that the file does what was trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from milliner.backbones.pooling import Block
from milliner.classifier.metadata import METADATA_KEY, Metadata
from milliner.classifier.model import Model
from milliner.core.errors import ModelError
from milliner.core.parallel import ordered_map
from milliner.images.files import atomic_file
from milliner.probe.head import Head, log_softmax
from milliner.probe.views import NO_VIEWS, OtherViews
from milliner.training.distance import Distance
from milliner.training.distance_graph import append_distance

TOLERANCE: Final = 1e-4
"""How far probabilities, logits, embeddings and distances of the written file may be from what was trained."""


class Body(Protocol):
    """What a head is put on: a backbone as it is published, or with weights that were trained on."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Which of the embedding's numbers are of which map."""
        ...

    def graph(self) -> ModelProto:
        """From `image` to what `Backbone.build` promises; a copy that may be changed."""
        ...


def export(
    path: Path,
    backbone: Body,
    head: Head,
    metadata: Metadata,
    pictures: Sequence[bytes],
    embeddings: NDArray[np.float32],
    distance: Distance | None = None,
    views: OtherViews = NO_VIEWS,
) -> float:
    """Writes the model file under a temporary name, loads it back, compares, and only then gives it its name.

    `pictures` are encoded samples, `embeddings` [n, width] and `views` what training saw of them. Returns the largest
    difference over probabilities, logits, embeddings and distances. Raises ModelError when it exceeds `TOLERANCE`.
    """
    content = assemble(backbone, head, metadata, distance).SerializeToString(deterministic=True)
    with atomic_file(path) as file:
        file.write(content)
        file.seek(0)
        written = Model(path, file.read())
        difference = _largest_difference(written, head, pictures, embeddings, distance, views)
        if not difference <= TOLERANCE:
            raise ModelError(
                f"{path} was not written: its outputs differ by {difference:.1e} from what was trained "
                f"(allowed: {TOLERANCE:g}); please report this."
            )
    return difference


def assemble(backbone: Body, head: Head, metadata: Metadata, distance: Distance | None = None) -> ModelProto:
    """The backbone's graph with the head on it.

    `logits` and `probabilities` [N, classes] come from the embedding; `heatmap` [N, classes, h, w] is the same head
    applied to every cell of the maps that the embedding is pooled from, each divided by what its pooled row is divided
    by (class activation map, Zhou et al. 2016, arXiv:1512.04150); `distance` [N] where one is given.
    """
    model = backbone.graph()
    graph, classes = model.graph, len(metadata.labels)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.ascontiguousarray(head.weight.T), "head.weight"),
            numpy_helper.from_array(head.bias, "head.bias"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Gemm", ["embedding", "head.weight", "head.bias"], ["logits"], name="logits"),
            helper.make_node("Softmax", ["logits"], ["probabilities"], name="probabilities", axis=1),
        ]
    )
    _add_heatmap(graph, backbone, head)
    kept = [value for value in graph.output if value.name not in ("features", "detail")]
    shapes: dict[str, list[str | int]] = {
        "probabilities": ["N", classes],
        "logits": ["N", classes],
        "heatmap": ["N", classes, "h", "w"],
    }
    del graph.output[:]
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in shapes.items())
    graph.output.extend(kept)
    if distance is not None:
        append_distance(graph, distance)
    graph.name = "milliner"
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    return model


def _add_heatmap(graph: GraphProto, backbone: Body, head: Head) -> None:
    """`heatmap` in as many cells as the finest map has of which the head makes use."""
    bias = numpy_helper.from_array(np.ascontiguousarray(head.bias[None, :, None, None]), "head.map_bias")
    graph.initializer.append(bias)
    parts = np.split(head.weight, np.cumsum([block.channels for block in backbone.blocks])[:-1], axis=1)
    weights = list(zip(backbone.blocks, parts, strict=True))
    evidence = _summed(graph, "features", weights)
    if any(weight.any() for block, weight in weights if block.map == "detail"):
        finer = _summed(graph, "detail", weights)
        graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "head.twice"))
        enlarged = helper.make_node("Resize", [evidence, "", "head.twice"], ["head.enlarged"], name="head.enlarged")
        enlarged.attribute.extend(
            [
                helper.make_attribute("mode", "linear"),
                helper.make_attribute("coordinate_transformation_mode", "half_pixel"),
            ]
        )
        graph.node.extend(
            [enlarged, helper.make_node("Add", ["head.enlarged", finer], ["head.both"], name="head.both")]
        )
        evidence = "head.both"
    graph.node.append(helper.make_node("Add", [evidence, "head.map_bias"], ["heatmap"], name="heatmap"))


def _summed(graph: GraphProto, name: str, weights: Sequence[tuple[Block, NDArray[np.float32]]]) -> str:
    """[N, classes, h, w] what each cell of a map adds, by all that is pooled from it."""
    found = [_evidence(graph, block, weight) for block, weight in weights if block.map == name]
    if len(found) == 1:
        return found[0]
    summed = f"head.{name}"
    graph.node.append(helper.make_node("Sum", found, [summed], name=summed))
    return summed


def _evidence(graph: GraphProto, block: Block, weight: NDArray[np.float32]) -> str:
    """[N, classes, h, w] what each cell adds by one block of the embedding, whose head has [classes, channels]."""
    summed = f"head.{block.norm.removesuffix('.norm')}"
    kernel, axes = f"{summed}.kernel", f"{summed}.axes"
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(weight[:, :, None, None]), kernel))
    graph.initializer.append(numpy_helper.from_array(np.array([2, 3], np.int64), axes))
    graph.node.extend(
        [
            helper.make_node("Conv", [block.map, kernel], [f"{summed}.sum"], name=f"{summed}.sum"),
            helper.make_node("Unsqueeze", [block.norm, axes], [f"{summed}.norm"], name=f"{summed}.norm"),
            helper.make_node("Div", [f"{summed}.sum", f"{summed}.norm"], [summed], name=summed),
        ]
    )
    return summed


def _largest_difference(
    written: Model,
    head: Head,
    pictures: Sequence[bytes],
    embeddings: NDArray[np.float32],
    distance: Distance | None,
    views: OtherViews,
) -> float:
    logits = views.logits(head, embeddings)
    trained = {"embedding": embeddings, "logits": logits, "probabilities": np.exp(log_softmax(logits))}
    if distance is not None:
        trained["distance"] = distance(embeddings)
    found = list(ordered_map(lambda picture: written.look(picture, list(trained)), pictures))
    differences = [
        np.abs(outputs[name] - values[row]).max()
        for row, outputs in enumerate(found)
        for name, values in trained.items()
    ]
    return float(np.max(differences))  # a NaN anywhere comes out as NaN, which no tolerance admits
