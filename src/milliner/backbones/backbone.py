"""What a backbone plug-in is, and how the installed ones are found."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, load_model_from_string

from milliner.core.errors import ModelError, SettingsError
from milliner.core.plugins import find_plugins
from milliner.images.cache import cache_folder
from milliner.images.files import write_atomically

GRAPH_VERSION: Final = 2
"""Raised when the same weights would be written as a different graph, so that cached graphs are made anew."""

STRIDE: Final = 32
"""Input sides must be multiples of this; then the paddings do not depend on the size."""

DEFAULT: Final = "efficientnet_lite0"


@dataclass(frozen=True)
class ImagenetHead:
    """The 1000-class layer of ImageNet-1k, in the order of its sorted WordNet ids."""

    weight: NDArray[np.float32]
    """[1000, width]"""
    bias: NDArray[np.float32]
    """[1000]"""

    def probabilities(self, averages: NDArray[np.float32]) -> NDArray[np.float32]:
        """Softmax over the 1000 classes for [n, width] averages: [n, 1000]."""
        logits = averages @ self.weight.T + self.bias
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


class Backbone(ABC):
    """A pretrained feature extractor. One file of this package defines one, as `BACKBONE`."""

    name: ClassVar[str]
    width: ClassVar[int]
    licence: ClassVar[str]
    origin: ClassVar[str]
    sha256: ClassVar[str]
    """Of the weights file; anything else is refused."""
    imagenet_top1: ClassVar[float]

    @abstractmethod
    def weights_file(self) -> Path:
        """Where the published weights lie on this machine."""

    @abstractmethod
    def build(self) -> ModelProto:
        """The ONNX model: `image` uint8 RGB [N, H, W, 3] to float32 outputs.

        `features` [N, width, H/32, W/32]; `embedding` [N, width], their generalised mean (cube root of the mean
        cube) over the cells; `average` [N, width], their plain mean.
        """

    @abstractmethod
    def imagenet_head(self) -> ImagenetHead:
        """The ImageNet classifier that belongs to the `average`."""

    def checked_weights_file(self) -> Path:
        """`weights_file`, after its SHA-256 was compared; raises ModelError when it differs."""
        path = self.weights_file()
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"The weights of {self.name} cannot be read ({error}); install milliner again.") from error
        if found != self.sha256:
            raise ModelError(
                f"The weights of {self.name} at {path} are not the published ones (sha256 {found[:12]}..., "
                f"expected {self.sha256[:12]}...); reinstall the package that holds them."
            )
        return path

    def onnx_file(self) -> Path:
        """The backbone as an ONNX file in the user's cache, written there the first time."""
        folder = cache_folder() / "backbones"
        path = folder / f"{self.name}-{self.sha256[:12]}-v{GRAPH_VERSION}.onnx"
        try:
            if not path.exists():
                write_atomically(path, self.build().SerializeToString(deterministic=True))
        except OSError as error:
            raise ModelError(
                f"The backbone cannot be written to {folder} ({error.strerror}); "
                "set MILLINER_CACHE to a folder that can be written."
            ) from error
        return path

    def graph(self) -> ModelProto:
        """What `onnx_file` holds."""
        return load_model_from_string(self.onnx_file().read_bytes())


def available() -> dict[str, Backbone]:
    """Every backbone plug-in of this package, by name."""
    return find_plugins("milliner.backbones", "BACKBONE")


def backbone(name: str) -> Backbone:
    """The plug-in of that name; raises SettingsError with the names there are."""
    known = available()
    if name not in known:
        raise SettingsError(f"There is no backbone {name!r}; choose one of: {', '.join(sorted(known))}.")
    return known[name]
