"""Runs a dataset through the frozen backbone, or takes from the cache what went through it before."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from milliner.backbones.backbone import GRAPH_VERSION, Backbone
from milliner.classifier.runtime import Runtime
from milliner.core.errors import UnreadableImageError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset
from milliner.images.decode import DECODER
from milliner.images.resize import ResizePolicy
from milliner.training.cache import EmbeddingCache


@dataclass(frozen=True)
class Embedded:
    """What training sees of a dataset: one row for each readable picture."""

    embeddings: NDArray[np.float32]
    """[n, width]"""
    targets: NDArray[np.int64]
    """[n] class numbers."""
    places: NDArray[np.int64]
    """[n] where each picture stands in the dataset."""
    set_aside: Mapping[str, str]
    """Key of each unreadable picture to the reason."""
    fingerprint: str
    """SHA-256 over the pictures' contents and labels, whatever their order and names."""
    hits: int
    misses: int


class _Embedder:
    """One picture to its embedding. The backbone is loaded only when the cache lacks something."""

    def __init__(self, backbone: Backbone, policy: ResizePolicy, cache: EmbeddingCache) -> None:
        self._backbone, self._policy, self._cache = backbone, policy, cache
        self._loading = Lock()

    @cached_property
    def _runtime(self) -> Runtime:
        return Runtime(self._backbone.onnx_file().read_bytes())

    def embed(self, sha256: str, encoded: bytes) -> tuple[NDArray[np.float32], bool]:
        """The embedding, and whether the cache had it; raises UnreadableImageError."""
        known = self._cache.get(sha256)
        if known is not None and len(known) == self._backbone.width:
            return known, True
        square = self._policy.load(encoded)
        with self._loading:
            runtime = self._runtime
        embedding = runtime.run(square[None], ["embedding"])["embedding"][0]
        self._cache.put(sha256, embedding)
        return embedding, False


@dataclass(frozen=True)
class _Row:
    key: str
    sha256: str = ""
    embedding: NDArray[np.float32] | None = None
    cached: bool = False
    reason: str = ""


def embed(
    dataset: Dataset, backbone: Backbone, policy: ResizePolicy, cache_file: Path, progress: Progress = silent
) -> Embedded:
    """Embeds every picture of a dataset, spread over the cores, a few in memory at a time.

    Unreadable pictures are left out and named. Raises MillinerError when the cache cannot be used.
    """
    with EmbeddingCache.open(cache_file, recipe(backbone, policy)) as cache:
        embedder = _Embedder(backbone, policy, cache)

        def look(place: int) -> _Row:
            try:
                sample = dataset[place]
                embedding, cached = embedder.embed(sample.sha256, sample.encoded)
            except UnreadableImageError as error:
                return _Row(dataset.key(place), reason=error.reason)
            return _Row(sample.key, sample.sha256, embedding, cached)

        rows = []
        with progress("embed", len(dataset)) as advance:
            for row in ordered_map(look, range(len(dataset))):
                rows.append(row)
                advance()
    return _gather(rows, dataset, backbone.width)


def _gather(rows: list[_Row], dataset: Dataset, width: int) -> Embedded:
    places = [place for place, row in enumerate(rows) if row.embedding is not None]
    embeddings = np.empty((len(places), width), np.float32)
    for target, place in enumerate(places):
        embeddings[target] = rows[place].embedding
    targets = np.asarray(dataset.targets, np.int64)[places]
    lines = sorted(
        f"{rows[place].sha256}\t{dataset.labels[target]}\n" for place, target in zip(places, targets, strict=True)
    )
    return Embedded(
        embeddings=embeddings,
        targets=targets,
        places=np.asarray(places, np.int64),
        set_aside={row.key: row.reason for row in rows if row.embedding is None},
        fingerprint=hashlib.sha256("".join(lines).encode()).hexdigest(),
        hits=sum(row.cached for row in rows),
        misses=len(places) - sum(row.cached for row in rows),
    )


def recipe(backbone: Backbone, policy: ResizePolicy) -> str:
    """Everything that an embedding depends on besides the picture."""
    return f"{backbone.name} {backbone.sha256} v{GRAPH_VERSION} {policy.filter} {policy.size} {DECODER}"
