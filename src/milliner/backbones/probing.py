"""Runs a network to see what it does."""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from milliner.classifier.runtime import Runtime
from milliner.core.errors import ModelError


def run(model: ModelProto, side: int, values: list[str], batch: int = 1) -> dict[str, NDArray[np.float32]]:
    """Any values of a model that takes `image`, for noise; raises ModelError where it does not run."""
    trial = ModelProto()
    trial.CopyFrom(model)
    del trial.graph.output[:]
    trial.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in values)
    images = np.random.default_rng(side).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    runtime = Runtime(trial.SerializeToString())
    try:
        return runtime.run(images, values)
    except Exception as error:  # its exceptions have no common base
        raise ModelError(str(error).strip().split("\n")[0][:200]) from error
