"""``onnx:FILE``: any ONNX network that sees pictures.

A network that takes floats is given ImageNet's mean and standard deviation, or those of a ``preprocessor_config.json``
beside the file; one that takes uint8 is given the pixels.
"""

import hashlib
from pathlib import Path
from typing import Final

from milliner.backbones.adapt import Adapted, Hints, adapt
from milliner.backbones.backbone import Backbone, Readiness, Reference
from milliner.backbones.foreign import Source, remember, remembered
from milliner.backbones.network import MAX_BYTES, metadata
from milliner.backbones.preprocessing import CONFIG_NAME, read_preprocessing
from milliner.core.errors import DatasetError, ModelError, SettingsError
from milliner.images.files import read_at_most

_OURS: Final = "milliner"
"""The key of the metadata that a trained model carries."""


class OnnxFile:
    """Opens a file."""

    name = "onnx"
    usage = "onnx:FILE"
    about = "any ONNX network of pictures"

    def open(self, argument: str, weights: Path | None) -> Backbone:
        """Finds out what the file is, or remembers it; raises ModelError or SettingsError."""
        path = Path(argument).expanduser().absolute()
        if weights is not None:
            raise SettingsError(f"{path.name} holds its own weights; leave --weights out.")
        try:
            content = read_at_most(path, MAX_BYTES)
        except DatasetError as error:
            raise ModelError(str(error)) from error
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror}); check the path.") from error
        config = path.with_name(CONFIG_NAME)
        hints = read_preprocessing(config) if config.is_file() else Hints()
        sha256 = hashlib.sha256(content).hexdigest()
        key, reference = f"onnx:2 {sha256} {hints}", Reference(f"onnx:{path}", None, sha256)
        source = Source(f"onnx:{path.name}", sha256, "not stated", "a file")
        try:
            return remembered(key, reference) or remember(key, source, lambda: _adapted(content, hints), reference)
        except ModelError as error:
            raise ModelError(f"{path} cannot be a backbone: {str(error).rstrip('.')}.") from error

    def readiness(self) -> Readiness:
        """Needs nothing more."""
        return Readiness(True, "needs nothing more")


def _adapted(content: bytes, hints: Hints) -> Adapted:
    """Not of a trained model: its outputs were fitted to pictures, and would be judged on the same ones again."""
    if _OURS in metadata(content):
        raise ModelError("it is a model that Milliner trained; name the backbone that it was trained on instead")
    return adapt(content, hints)


FAMILY = OnnxFile()
