"""ONNX Runtime, the one place that talks to it."""

import os
from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import ModelError
from milliner.core.parallel import available_cores

# Unless told otherwise before it is imported, it writes a device id into the user's cache and looks up a host of its
# maker's, on Linux as well; the call below is for programs that imported it earlier.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

if hasattr(onnxruntime, "disable_telemetry_events"):
    onnxruntime.disable_telemetry_events()

_FATAL_ONLY = 4  # errors come as exceptions


class OnnxRuntime:
    """A `Runtime` (see there) by ONNX Runtime on the processor."""

    def __init__(self, graph: bytes) -> None:
        """Raises ModelError when `graph` is not an ONNX model that this runtime can run."""
        self._graph = graph
        self._session = _session(graph, 1)
        self._whole: onnxruntime.InferenceSession | None = None
        self._whole_is_taken = Lock()

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's custom metadata."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> Mapping[str, str]:
        """Name and element type of every input, such as ``tensor(uint8)``."""
        return {value.name: value.type for value in self._session.get_inputs()}

    @property
    def side(self) -> int | None:
        """The only number of pixels a side that its pictures may have; None where any is taken."""
        shapes = [value.shape for value in self._session.get_inputs() if value.name == "image"]
        sides = [shape[1] for shape in shapes if len(shape) == 4 and isinstance(shape[1], int)]
        return sides[0] if sides else None

    @property
    def outputs(self) -> Mapping[str, Sequence[int | str | None]]:
        """Name and shape of every output; free dimensions are words."""
        return {value.name: value.shape for value in self._session.get_outputs()}

    def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str], *, alone: bool = False
    ) -> dict[str, NDArray[np.float32]]:
        """Computes the named outputs for uint8 RGB [n, height, width, 3]; see `Runtime.run`."""
        if alone and self._whole_is_taken.acquire(blocking=False):
            try:
                return _run(self._on_all_cores(), images, outputs)
            finally:
                self._whole_is_taken.release()
        return _run(self._session, images, outputs)

    def _on_all_cores(self) -> onnxruntime.InferenceSession:
        """The same graph on all cores, loaded when it is first asked for."""
        if self._whole is None:
            cores = available_cores()
            self._whole = self._session if cores == 1 else _session(self._graph, cores)
        return self._whole


def open_graph(graph: bytes) -> OnnxRuntime:
    """Loads an ONNX file's bytes; see `milliner.runtimes.runtime.open_runtime`."""
    return OnnxRuntime(graph)


def _session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise ModelError(f"it is damaged or not an ONNX model ({_first_line(error)})") from error


def _run(
    session: onnxruntime.InferenceSession, images: NDArray[np.uint8], outputs: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    return dict(zip(outputs, session.run(list(outputs), {"image": images}), strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
