"""Runs a dataset through the frozen backbone, or takes from the cache what went through it before."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.backbones.backbone import GRAPH_VERSION, Backbone, Reference
from milliner.core.errors import DatasetError, UnreadableImageError
from milliner.core.parallel import Spread, ordered_map
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset, fingerprint
from milliner.images.decode import DECODER
from milliner.images.resize import ResizePolicy
from milliner.images.views import WHOLE, View
from milliner.probe.cache import EmbeddingCache
from milliner.runtimes.runtime import Runtime, open_runtime


@dataclass(frozen=True)
class Embedded:
    """What training sees of a dataset: one row for each readable picture that is not a copy."""

    embeddings: NDArray[np.float32]
    """[n, width]"""
    targets: NDArray[np.int64]
    """[n] class numbers."""
    places: NDArray[np.int64]
    """[n] where each picture stands in the dataset."""
    set_aside: Mapping[str, str]
    """Key of each unreadable picture and each exact copy to the reason."""
    sha256: tuple[str, ...]
    """[n] of each picture file."""
    fingerprint: str
    """SHA-256 over the pictures' contents and labels, whatever their order and names."""
    hits: int
    misses: int


@dataclass(frozen=True)
class _Row:
    key: str
    sha256: str = ""
    embedding: NDArray[np.float32] | None = None
    cached: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Embedder:
    """The work on one picture: from its file's bytes to its SHA-256 and embedding, or to why there is none.

    Another process can be sent it; each opens the backbone once, when the first picture comes.
    """

    backbone: Reference
    policy: ResizePolicy
    view: View = WHOLE

    def __call__(self, encoded: bytes) -> tuple[str, NDArray[np.float32] | str]:
        """The embedding, [width], or the reason of an unreadable picture."""
        sha256 = hashlib.sha256(encoded).hexdigest()
        try:
            square = self.policy.load(encoded, self.view)
        except UnreadableImageError as error:
            return sha256, error.reason
        return sha256, _runtime(self.backbone).run(square[None], ["embedding"])["embedding"][0]


_opening: Final = Lock()


@lru_cache(maxsize=1)
def _opened(backbone: Reference) -> Runtime:
    return open_runtime(backbone.open().onnx_file().read_bytes())


def _runtime(backbone: Reference) -> Runtime:
    with _opening:  # threads that begin together would each load it
        return _opened(backbone)


def embed(
    dataset: Dataset,
    backbone: Backbone,
    policy: ResizePolicy,
    cache_file: Path,
    progress: Progress = silent,
    spread: Spread = ordered_map,
    view: View = WHOLE,
) -> Embedded:
    """Embeds every picture of a dataset, or a view of each, a few in memory at a time, spread over this machine's cores
    or by `spread`.

    Other machines are sent the pictures' bytes, so they need not reach the dataset; the cache is read and written here.
    Unreadable pictures and exact copies are left out and named. Raises MillinerError when the cache cannot be used.
    """
    task = "embed" if view == WHOLE else f"embed ({view.name})"
    with (
        EmbeddingCache.open(cache_file, recipe(backbone, policy, view)) as cache,
        progress(task, len(dataset)) as advance,
    ):
        rows: dict[int, _Row] = {}
        for place in range(len(dataset)):
            known = _remembered(dataset, place, cache, backbone.embedding_width)
            if known is not None:
                rows[place] = known
                advance()
        missing = [place for place in range(len(dataset)) if place not in rows]
        embedder = Embedder(backbone.reference, policy, view)
        pictures = (_encoded(dataset, place) for place in missing)
        for place, (sha256, found) in zip(missing, spread(embedder, pictures), strict=True):
            if isinstance(found, str):
                rows[place] = _Row(dataset.key(place), reason=found)
            else:
                cache.put(sha256, found)
                rows[place] = _Row(dataset.key(place), sha256, found)
            advance()
    return _gather([rows[place] for place in range(len(dataset))], dataset, backbone.embedding_width)


def embed_views(
    dataset: Dataset,
    backbone: Backbone,
    policy: ResizePolicy,
    cache_file: Path,
    views: Sequence[View],
    progress: Progress = silent,
    spread: Spread = ordered_map,
) -> tuple[Embedded, list[Embedded]]:
    """The whole pictures and other views of the same ones; raises DatasetError where they changed in between."""
    whole, *others = (embed(dataset, backbone, policy, cache_file, progress, spread, view) for view in (WHOLE, *views))
    if any(each.sha256 != whole.sha256 for each in others):
        raise DatasetError(f"{dataset.name} changed while it was read; run the same again.")
    return whole, others


def _remembered(dataset: Dataset, place: int, cache: EmbeddingCache, width: int) -> _Row | None:
    try:
        sample = dataset[place]
    except UnreadableImageError as error:
        return _Row(dataset.key(place), reason=error.reason)
    known = cache.get(sample.sha256)
    return _Row(sample.key, sample.sha256, known, cached=True) if known is not None and len(known) == width else None


def _encoded(dataset: Dataset, place: int) -> bytes:
    """A picture's bytes; none of one that became unreadable since it was looked up, which is found again as damaged."""
    try:
        return dataset[place].encoded
    except UnreadableImageError:
        return b""


def recipe(backbone: Backbone, policy: ResizePolicy, view: View = WHOLE) -> str:
    """Everything that an embedding depends on besides the picture."""
    part = "" if view == WHOLE else f" {view.margin} {view.mirrored}"
    sizes = f"{policy.size} {policy.enlarge} {policy.least} {policy.multiple}"
    return f"{backbone.identity} v{GRAPH_VERSION} {policy.filter} {sizes} {DECODER}{part}"


def _gather(rows: list[_Row], dataset: Dataset, width: int) -> Embedded:
    labels = [dataset.labels[target] for target in dataset.targets]
    set_aside = {row.key: row.reason for row in rows if row.embedding is None} | _copies(rows, labels)
    places = [place for place, row in enumerate(rows) if row.key not in set_aside]
    embeddings = np.empty((len(places), width), np.float32)
    for target, place in enumerate(places):
        embeddings[target] = rows[place].embedding
    return Embedded(
        embeddings=embeddings,
        targets=np.asarray(dataset.targets, np.int64)[places],
        places=np.asarray(places, np.int64),
        set_aside=set_aside,
        sha256=tuple(rows[place].sha256 for place in places),
        fingerprint=fingerprint((rows[place].sha256, labels[place]) for place in places),
        hits=sum(row.cached for row in rows),
        misses=sum(row.embedding is not None and not row.cached for row in rows),
    )


def _copies(rows: list[_Row], labels: list[str]) -> dict[str, str]:
    """Exact copies, which would stand on both sides of a cross-validation; of copies in two classes none is left."""
    twins: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row.embedding is not None:
            twins.setdefault(row.sha256, []).append(place)
    found: dict[str, str] = {}
    for first, *others in twins.values():
        torn = any(labels[place] != labels[first] for place in others)
        found |= {rows[place].key: f"equals {rows[first].key}" for place in others}
        if torn:
            found[rows[first].key] = f"equals {rows[others[0]].key}"
    return found
