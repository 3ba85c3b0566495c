"""All that an interrupted fine-tuning needs to go on as if nothing had happened: arrays and figures in one file."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import MillinerError
from milliner.images.files import atomic_file

MAX_BYTES: Final = 2**34
_PLACE: Final = "arr_{}"  # as numpy names what is saved without a name; the first is the JSON

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A file beside the model, written anew after every epoch and gone once the model is there."""

    path: Path
    identity: Mapping[str, Any]
    """JSON values: everything that the training depends on. A file of another training is left unread."""

    @classmethod
    def of(cls, model: Path, identity: Mapping[str, Any]) -> "Checkpoint":
        """The one of a model file."""
        return cls(model.with_name(f".{model.name}.checkpoint"), identity)

    def save(self, arrays: Arrays, figures: Mapping[str, Any]) -> None:
        """Writes both, whole or not at all; raises MillinerError where that cannot be done."""
        document = json.dumps({"identity": self.identity, "figures": figures, "names": list(arrays)}).encode()
        try:
            with atomic_file(self.path) as file:
                np.savez(file, np.frombuffer(document, np.uint8), *arrays.values())
        except OSError as error:
            raise MillinerError(
                f"{self.path} cannot be written ({error.strerror}); make room or check its folder."
            ) from error

    def load(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """The arrays and figures; None where there are none, or those of another training, or damaged ones."""
        try:
            if self.path.stat().st_size > MAX_BYTES:
                return None
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                document = json.loads(saved[_PLACE.format(0)].tobytes())
                if document["identity"] != json.loads(json.dumps(self.identity)):
                    return None
                arrays = {name: saved[_PLACE.format(place)] for place, name in enumerate(document["names"], 1)}
                return arrays, document["figures"]
        except (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile):
            return None

    def forget(self) -> None:
        """Removes the file."""
        self.path.unlink(missing_ok=True)
