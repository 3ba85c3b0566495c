"""OpenVINO, the one place that talks to it: Intel's runtime, an extra."""

import importlib
import queue
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import ModelError, SettingsError
from milliner.core.parallel import available_cores
from milliner.runtimes.onnx_runtime import OnnxRuntime

_DEVICE: Final = "CPU"
_TELEMETRY: Final = "openvino_telemetry"
_first: Final = Lock()


class OpenvinoRuntime:
    """A `Runtime` (see there) by OpenVINO on the processor, in float32 wherever the graph is."""

    def __init__(self, graph: bytes) -> None:
        """Raises ModelError for what is no ONNX model, SettingsError where OpenVINO is not installed."""
        openvino = _openvino()
        # OpenVINO reads weights from any file beside the working directory that a model names; ONNX Runtime refuses.
        checked = OnnxRuntime(graph)
        self._facts = checked.metadata, checked.inputs, checked.outputs, checked.side
        self._core = openvino.Core()
        try:
            self._model = self._core.read_model(graph)
            self._spread = self._compiled(streams=available_cores())
        except Exception as error:  # it raises plain RuntimeErrors, and others from its reader
            raise ModelError(f"OpenVINO cannot run it ({_last_line(error)})") from error
        self._whole: _Compiled | None = None
        self._whole_is_taken = Lock()

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's custom metadata."""
        return self._facts[0]

    @property
    def inputs(self) -> Mapping[str, str]:
        """Name and element type of every input, such as ``tensor(uint8)``."""
        return self._facts[1]

    @property
    def side(self) -> int | None:
        """The only number of pixels a side that its pictures may have; None where any is taken."""
        return self._facts[3]

    @property
    def outputs(self) -> Mapping[str, Sequence[int | str | None]]:
        """Name and shape of every output; free dimensions are words."""
        return self._facts[2]

    def run(
        self, images: NDArray[np.uint8], outputs: Sequence[str], *, alone: bool = False
    ) -> dict[str, NDArray[np.float32]]:
        """Computes the named outputs for uint8 RGB [n, height, width, 3]; see `Runtime.run`."""
        if alone and self._whole_is_taken.acquire(blocking=False):
            try:
                self._whole = self._whole or self._compiled(streams=1)
                return self._whole.run(images, outputs)
            finally:
                self._whole_is_taken.release()
        return self._spread.run(images, outputs)

    def _compiled(self, streams: int) -> "_Compiled":
        """The graph on all cores, of which every stream has its share."""
        properties = {
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "f32",  # left to itself it may compute in bfloat16, a hundredth off
            "INFERENCE_NUM_THREADS": available_cores(),
            "NUM_STREAMS": streams,
        }
        return _Compiled(self._core.compile_model(self._model, _DEVICE, properties), streams)


class _Compiled:
    """A compiled graph with the requests that are not in use: one request computes one thing at a time."""

    def __init__(self, compiled: Any, requests: int) -> None:
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(requests):
            self._idle.put(compiled.create_infer_request())

    def run(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        request = self._idle.get()
        try:
            request.infer({"image": np.ascontiguousarray(images)})
            return {name: np.array(request.get_tensor(name).data) for name in outputs}  # the tensors are used again
        finally:
            self._idle.put(request)


def open_graph(graph: bytes) -> OpenvinoRuntime:
    """Loads an ONNX file's bytes; see `milliner.runtimes.runtime.open_runtime`."""
    return OpenvinoRuntime(graph)


def _openvino() -> Any:
    """The package, ready for threads.

    The first array that crosses its border makes it look numpy up, once a process. Two threads that do so at once wait
    for each other forever (each has one of Python's lock and the compiler's), so it is done here by one alone.
    """
    try:
        with _first, _unreported():
            openvino = importlib.import_module("openvino")
            _ = openvino.Tensor(np.zeros(1, np.uint8)).data
            return openvino
    except ImportError as error:
        raise SettingsError(
            "The runtime openvino needs the package of its name; install it with: "
            "pip install 'milliner[openvino]', or use the runtime onnxruntime."
        ) from error


@contextmanager
def _unreported() -> Iterator[None]:
    """Importing OpenVINO writes a client id into the user's home and reports to its maker, unless that part is absent.

    A program that has imported the reporting itself is left as it is.
    """
    loaded = cast(dict[str, Any], sys.modules)
    if _TELEMETRY in loaded:
        yield
        return
    loaded[_TELEMETRY] = None  # what makes an import fail; OpenVINO then uses a stand-in that does nothing
    try:
        yield
    finally:
        del loaded[_TELEMETRY]


def _last_line(error: Exception) -> str:
    return str(error).strip().split("\n")[-1][:200]
