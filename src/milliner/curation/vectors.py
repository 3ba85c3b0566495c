"""The embeddings of a dataset's pictures, from the cache that training uses, so that nothing is computed twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from milliner.core.parallel import Spread, ordered_map
from milliner.core.progress import Progress
from milliner.core.sample import Sample
from milliner.curation.compare import Reader
from milliner.images.ledger import PictureRow


@dataclass(frozen=True)
class Rows:
    """Checked pictures as a dataset."""

    rows: Sequence[PictureRow]
    read: Reader
    name: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({row.label for row in self.rows}))

    @property
    def targets(self) -> Sequence[int]:
        """The class number of every picture."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return [numbers[row.label] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> str:
        """The file."""
        return self.rows[index].file

    def __getitem__(self, index: int) -> Sample:
        row = self.rows[index]
        return Sample(row.file, row.label, self.read(row))


def embedding_recipe() -> str:
    """What the embeddings depend on besides the pictures."""
    from milliner.backbones.backbone import DEFAULT, backbone
    from milliner.probe.embed import recipe

    net = backbone(DEFAULT)
    return recipe(net, net.input.resize(None, net.name))


def vectors_of(
    rows: Sequence[PictureRow], read: Reader, cache: Path | None, progress: Progress, spread: Spread = ordered_map
) -> tuple[list[PictureRow], NDArray[np.float32]]:
    """The pictures of different content that can be read, and of their embeddings what is of the features, [n, width].

    Only pictures that the cache does not know are opened; `spread` is the engine that embeds them.
    """
    from milliner.backbones.backbone import DEFAULT, backbone
    from milliner.probe.cache import EmbeddingCache, default_cache
    from milliner.probe.embed import embed

    net, file = backbone(DEFAULT), cache or default_cache()
    known: dict[str, NDArray[np.float32]] = {}
    with EmbeddingCache.open(file, embedding_recipe()) as memory:
        for row in rows:
            vector = memory.get(row.sha256 or "")
            if vector is not None and len(vector) == net.embedding_width:
                known[row.file] = vector[: net.width]
    missing = Rows([row for row in rows if row.file not in known], read)
    if missing.rows:
        found = embed(missing, net, net.input.resize(None, net.name), file, progress, spread)
        places = zip(found.places, found.embeddings, strict=True)
        known |= {missing.key(int(place)): vector[: net.width] for place, vector in places}
    usable = [row for row in rows if row.file in known]
    vectors = np.empty((len(usable), net.width), np.float32)
    for place, row in enumerate(usable):
        vectors[place] = known.pop(row.file)
    return usable, vectors
