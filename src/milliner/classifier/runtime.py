"""ONNX Runtime, the one place that talks to it."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import ModelError

# Unless told otherwise before it is imported, it writes a device id into the user's cache and looks up a host of its
# maker's, on Linux as well; the call below is for programs that imported it earlier.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

if hasattr(onnxruntime, "disable_telemetry_events"):
    onnxruntime.disable_telemetry_events()

_FATAL_ONLY = 4  # errors come as exceptions


class Runtime:
    """A loaded graph from `image` to named float32 outputs.

    It computes on one core, because pictures are spread over cores instead: two pictures side by side on two cores
    take less time than one after the other on both. `run` may be called from any number of threads.
    """

    def __init__(self, graph: bytes) -> None:
        """Raises ModelError when `graph` is not an ONNX model that this runtime can run."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base
            raise ModelError(f"it is damaged or not an ONNX model ({_first_line(error)})") from error

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's custom metadata."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> Mapping[str, str]:
        """Name and element type of every input, such as ``tensor(uint8)``."""
        return {value.name: value.type for value in self._session.get_inputs()}

    @property
    def outputs(self) -> Mapping[str, Sequence[int | str | None]]:
        """Name and shape of every output; free dimensions are words."""
        return {value.name: value.shape for value in self._session.get_outputs()}

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Computes the named outputs for uint8 RGB [n, height, width, 3]."""
        return dict(zip(outputs, self._session.run(list(outputs), {"image": images}), strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
