"""A checkpoint's tensors, taken one by one by the network that they should belong to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import ModelError

Floats = NDArray[np.float32]


class Tensors:
    """Gives out tensors of expected shapes; what does not fit is said in the words of the file and the network."""

    def __init__(self, values: Mapping[str, NDArray[Any]], network: str, path: Path) -> None:
        self._values, self._network, self._path = values, network, path

    def take(self, name: str, *shape: int) -> Floats:
        """The tensor as float32; raises ModelError where it is missing, of another shape or not finite."""
        found = self._values.get(name)
        if found is None:
            raise self._foreign(f"it has no {name}")
        if found.shape != shape:
            raise self._foreign(f"its {name} is {list(found.shape)}, not {list(shape)}")
        value = np.asarray(found, np.float32)
        if not np.isfinite(value).all():
            raise ModelError(f"{self._path} cannot be used: its {name} has values that are no numbers; take another.")
        return value

    def _foreign(self, what: str) -> ModelError:
        return ModelError(
            f"{self._path} does not hold the weights of {self._network}: {what}; name the backbone that it belongs to."
        )

    def convolution(self, name: str, *shape: int) -> tuple[Floats, Floats]:
        """Kernel [out, in, k, k] and bias of a convolution that has one."""
        return self.take(f"{name}.weight", *shape), self.take(f"{name}.bias", shape[0])

    def folded(self, name: str, norm: str, epsilon: float, *shape: int) -> tuple[Floats, Floats]:
        """A bias-free convolution and the batch norm behind it as one kernel [out, in, k, k] and bias."""
        width = shape[0]
        variance = self.take(f"{norm}.running_var", width).astype(np.float64)
        if variance.min() < 0:
            raise ModelError(f"{self._path} cannot be used: a variance in {norm} is negative; take another.")
        gain = self.take(f"{norm}.weight", width) / np.sqrt(variance + epsilon)
        kernel = self.take(f"{name}.weight", *shape) * gain[:, None, None, None]
        bias = self.take(f"{norm}.bias", width) - self.take(f"{norm}.running_mean", width) * gain
        return kernel.astype(np.float32), bias.astype(np.float32)
