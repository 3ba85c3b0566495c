"""Backbones that are ONNX networks of others: found out about once, wrapped to take pictures, and remembered."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onnx import ModelProto, load_model

from milliner.backbones.adapt import Adapted
from milliner.backbones.backbone import GRAPH_VERSION, Backbone, Readiness, Reference
from milliner.backbones.policy import InputPolicy
from milliner.backbones.pooling import OWN
from milliner.core.errors import ModelError
from milliner.images.cache import cache_folder
from milliner.images.files import read_at_most, write_atomically

_MAX_FACTS: Final = 2**16


@dataclass(frozen=True)
class Source:
    """Where a network's file is from."""

    name: str
    """The backbone's, as models say it."""
    sha256: str
    """Of the weights."""
    licence: str
    origin: str


class ForeignBackbone(Backbone):
    """A wrapped network in the user's cache."""

    def __init__(self, graph: Path, facts: dict[str, Any], reference: Reference) -> None:
        """Raises ValueError, TypeError or KeyError where the facts are not those that `to_json` wrote."""
        self._graph, self._reference = graph, reference
        self.name = str(facts["name"])
        self.published = self._sha256 = str(facts["sha256"])
        self.licence, self.origin = str(facts["licence"]), str(facts["origin"])
        self.width, self.parameters = int(facts["width"]), int(facts["parameters"])
        self.megabytes = float(facts["megabytes"])
        self.input = InputPolicy.from_json(facts["input"])
        self.statistics = ("average",) if facts["pooling"] == "average" else OWN

    @property
    def sha256(self) -> str:
        """Of the network's weights."""
        return self._sha256

    @property
    def identity(self) -> str:
        """With what its pixels become, which is not in the weights."""
        taken = hashlib.sha256(json.dumps(self.input.to_json(), sort_keys=True).encode()).hexdigest()
        return f"{self.name} {self.sha256} {taken[:12]}"

    @property
    def reference(self) -> Reference:
        """By the name that it was asked for."""
        return self._reference

    @property
    def _cached(self) -> Path:
        return self._graph

    def build(self) -> ModelProto:
        """The wrapped graph."""
        return load_model(self._graph)

    def readiness(self) -> Readiness:
        """It was brought here when it was opened."""
        return Readiness(True, "in the cache")


def remembered(key: str, reference: Reference) -> ForeignBackbone | None:
    """The backbone that was wrapped under that key before; None where there is none, or only a part of it."""
    facts_file, graph = _files(key)
    if not graph.is_file():
        return None
    try:
        facts = json.loads(read_at_most(facts_file, _MAX_FACTS))
        return ForeignBackbone(graph, facts, reference)
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None


def remember(key: str, source: Source, adapt: Callable[[], Adapted], reference: Reference) -> ForeignBackbone:
    """Wraps a network and keeps it under a key, which must say everything that it depends on."""
    found = adapt()
    facts = {
        "name": source.name,
        "sha256": source.sha256,
        "licence": source.licence,
        "origin": source.origin,
        "width": found.width,
        "parameters": found.parameters,
        "megabytes": round(found.megabytes, 1),
        "input": found.input.to_json(),
        "pooling": found.pooling,
    }
    facts_file, graph = _files(key)
    try:
        write_atomically(graph, found.model.SerializeToString(deterministic=True))
        write_atomically(facts_file, json.dumps(facts).encode())
    except OSError as error:
        raise ModelError(
            f"The backbone cannot be written to {graph.parent} ({error.strerror}); "
            "set MILLINER_CACHE to a folder that can be written."
        ) from error
    return ForeignBackbone(graph, facts, reference)


def _files(key: str) -> tuple[Path, Path]:
    digest = hashlib.sha256(f"v{GRAPH_VERSION} {key}".encode()).hexdigest()
    stem = cache_folder() / "backbones" / f"{key.partition(':')[0]}-{digest[:24]}"
    return stem.with_suffix(".json"), stem.with_suffix(".onnx")
