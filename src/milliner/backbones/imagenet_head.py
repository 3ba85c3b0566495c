"""The 1000-class layer that a network was trained with, and where it is remembered."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.images.files import write_atomically

_CLASSES: Final = 1000
_FIELDS: Final = ("weight", "bias", "hidden_weight", "hidden_bias")


@dataclass(frozen=True)
class ImagenetHead:
    """ImageNet-1k's classifier on a backbone's `average`, in the order of its sorted WordNet ids."""

    weight: NDArray[np.float32]
    """[1000, width]; [1000, hidden] where there is a hidden layer."""
    bias: NDArray[np.float32]
    """[1000]"""
    hidden_weight: NDArray[np.float32] | None = None
    """[hidden, width] of a layer between with a hard swish behind it, as the MobileNets have it."""
    hidden_bias: NDArray[np.float32] | None = None
    """[hidden]"""

    @property
    def linear(self) -> bool:
        """Whether a row of `weight` and `bias` is a linear classifier on the average."""
        return self.hidden_weight is None

    def logits(self, averages: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, width] averages to [n, 1000]."""
        values = averages
        if self.hidden_weight is not None and self.hidden_bias is not None:
            values = values @ self.hidden_weight.T + self.hidden_bias
            values = values * np.clip(values / 6 + 0.5, 0, 1)
        return np.asarray(values @ self.weight.T + self.bias, np.float32)

    def probabilities(self, averages: NDArray[np.float32]) -> NDArray[np.float32]:
        """Softmax over the 1000 classes for [n, width] averages: [n, 1000]."""
        logits = self.logits(averages)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)

    def save(self, path: Path) -> None:
        """Writes it as an ``.npz`` file."""
        buffer = io.BytesIO()
        parts = {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}
        np.savez(buffer, **parts)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "ImagenetHead | None":
        """Reads what `save` wrote; None where there is nothing of the kind."""
        try:
            with np.load(path, allow_pickle=False) as parts:
                found = cls(**{name: np.asarray(parts[name], np.float32) for name in _FIELDS if name in parts})
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, EOFError):
            return None
        return found if found.weight.ndim == 2 and len(found.weight) == len(found.bias) == _CLASSES else None
