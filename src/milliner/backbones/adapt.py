"""Turns any ONNX network that sees pictures into a backbone: pixels in, the map of its last features out.

What the file says (shapes, element types) is believed as far as it goes; the rest is found by running it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from onnx import ModelProto, helper

from milliner.backbones import features
from milliner.backbones.entrance import Entrance, entrances, put_in_front
from milliner.backbones.features import Features
from milliner.backbones.graph import GraphWriter
from milliner.backbones.network import loaded, pruned
from milliner.backbones.policy import IMAGENET_MEAN, IMAGENET_SCALE, InputPolicy, Triple
from milliner.backbones.pooling import Statistic
from milliner.backbones.probing import run
from milliner.core.errors import ModelError

_SIDES: Final = (224, 256, 384, 518, 336, 448, 512, 299, 240, 192, 128, 96, 64, 32)
"""Tried one after the other where the file names none."""

_A_LITTLE: Final = 0.1


@dataclass(frozen=True)
class Hints:
    """What is known of a network from elsewhere."""

    mean: Triple = IMAGENET_MEAN
    scale: Triple = IMAGENET_SCALE
    size: int | None = None
    filter: str = "bilinear"
    prefix: int | None = None
    """Tokens before those of the picture's patches: the class token and registers."""


@dataclass(frozen=True)
class Adapted:
    """The backbone's graph, and what was found out."""

    model: ModelProto
    width: int
    input: InputPolicy
    pooling: Statistic
    parameters: int
    megabytes: float


def adapt(content: bytes, hints: Hints = Hints()) -> Adapted:
    """The backbone of an ONNX file's bytes; raises ModelError, as a fragment, where it cannot be one."""
    model = loaded(content)
    entrance, side = _seen(model, hints)
    put_in_front(model, entrance, hints.mean, hints.scale)
    found = features.found(model, side, hints.prefix)
    features.make_map(model, found)
    pooling = _pooling(model, side)
    _finish(model, found, pooling)
    model = pruned(model)
    if not _runs(model, side, batch=2):
        raise ModelError("it takes one picture at a time only; export it with a free batch axis")
    free = entrance.side is None and _runs(model, side + found.stride, batch=1)
    if not free:
        _say_side(model, side)
    policy = InputPolicy(side, found.stride, hints.mean, hints.scale, fixed=not free, filter=hints.filter)
    return Adapted(model, found.width, policy, pooling, *_size(model))


def _seen(model: ModelProto, hints: Hints) -> tuple[Entrance, int]:
    """How pictures go in, and of which side: the first way that runs."""
    first: ModelError | None = None
    for entrance in entrances(model):
        sides = [entrance.side] if entrance.side else [*([hints.size] if hints.size else []), *_SIDES]
        for side in sides:
            trial = ModelProto()
            trial.CopyFrom(model)
            put_in_front(trial, entrance, hints.mean, hints.scale)
            try:
                run(trial, side, [value.name for value in trial.graph.output])
            except ModelError as error:
                first = first or error
            else:
                return entrance, side
    raise ModelError(f"no picture of {_SIDES[-1]} to {max(_SIDES)} pixels a side goes through it ({first})")


def _say_side(model: ModelProto, side: int) -> None:
    """In the input's shape, which is how a model file tells that it takes no other."""
    for axis in (1, 2):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side


def _runs(model: ModelProto, side: int, batch: int) -> bool:
    try:
        found = run(model, side, ["features", "embedding"], batch)
    except ModelError:
        return False
    return len(found["embedding"]) == batch and bool(np.isfinite(found["embedding"]).all())


def _pooling(model: ModelProto, side: int) -> Statistic:
    """The generalised mean behind a ReLU and its kind, which are a little negative at most."""
    values = run(model, side, ["features"])["features"]
    if not np.isfinite(values).all():
        raise ModelError("it gives numbers that are none")
    return "generalised-mean" if values.min() >= -_A_LITTLE * values.max() else "average"


def _finish(model: ModelProto, found: Features, pooling: Statistic) -> None:
    """Adds `average` and `embedding`, and makes the three the only outputs."""
    writer = GraphWriter(next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))
    writer.average("features", "average")
    writer.embedding((pooling,), found.width, 0, signed=True)
    writer.append_to(model.graph)
    shapes: dict[str, list[Any]] = {
        "features": ["N", found.width, "h", "w"],
        "embedding": ["N", found.width],
        "average": ["N", found.width],
    }
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())


def _size(model: ModelProto) -> tuple[int, float]:
    """Parameters, and millions of bytes that they take."""
    arrays = [tensor for tensor in model.graph.initializer if len(tensor.dims)]
    counts = [int(np.prod(tensor.dims)) for tensor in arrays]
    return sum(counts), sum(tensor.ByteSize() for tensor in arrays) / 1e6
