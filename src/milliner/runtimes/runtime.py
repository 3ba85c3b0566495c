"""What a runtime is: it computes a model file's graph. One file of this package implements each."""

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, cast

from milliner.core.errors import SettingsError

if TYPE_CHECKING:  # the command line asks for the names alone
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_RUNTIME: Final = "onnxruntime"

RUNTIMES: Final = {
    "onnxruntime": "milliner.runtimes.onnx_runtime",
    "openvino": "milliner.runtimes.openvino_runtime",
}
"""The runtimes there are, each with the module whose `open_graph` loads a file; imported only when asked for."""


class Runtime(Protocol):
    """A loaded graph from `image` to named float32 outputs. `run` may be called from any number of threads."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's custom metadata."""
        ...

    @property
    def inputs(self) -> Mapping[str, str]:
        """Name and element type of every input, such as ``tensor(uint8)``."""
        ...

    @property
    def side(self) -> int | None:
        """The only number of pixels a side that its pictures may have; None where any is taken."""
        ...

    @property
    def outputs(self) -> Mapping[str, Sequence[int | str | None]]:
        """Name and shape of every output; free dimensions are words or None."""
        ...

    def run(
        self, images: "NDArray[np.uint8]", outputs: Sequence[str], *, alone: bool = False
    ) -> "dict[str, NDArray[np.float32]]":
        """Computes the named outputs for uint8 RGB [n, height, width, 3].

        On one core, because pictures are spread over cores: side by side on two cores two pictures take less time
        than one after the other on both. With `alone` on all cores, where no other picture waits; several threads
        that say so share them.
        """
        ...


def open_runtime(graph: bytes, name: str = DEFAULT_RUNTIME) -> Runtime:
    """Loads an ONNX file's bytes.

    Raises ModelError when `graph` is not an ONNX model that the runtime can run, and SettingsError when there is no
    runtime of that name or its package is not installed.
    """
    if name not in RUNTIMES:
        raise SettingsError(f"There is no runtime {name!r}; choose one of: {', '.join(RUNTIMES)}.")
    return cast(Runtime, importlib.import_module(RUNTIMES[name]).open_graph(graph))
