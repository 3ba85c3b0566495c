"""Which pictures are of the same shoot, and so right or wrong together."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.curation.compare import SIBLING, usual_cosines
from milliner.curation.mislabels import group_numbers
from milliner.curation.nearest import nearest

MAX_PICTURES: Final = 20_000
"""Among more they are not looked for: it takes time that grows with their square."""


def shoots(embeddings: NDArray[np.floating[Any]], labels: list[str]) -> NDArray[np.int64]:
    """[n] group numbers, from 0 without gaps, for [n, width] embeddings and [n] class names.

    Pictures belong together where their cosine is that of siblings, as `check` finds them: at least `SIBLING`, and
    more than their classes' pictures have anyway. Who is linked by way of others belongs together too. Of more than
    `MAX_PICTURES` each is alone.
    """
    if len(embeddings) > MAX_PICTURES:
        return np.arange(len(embeddings))
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = (embeddings / np.maximum(norms, 1e-12)).astype(np.float16)
    usual = usual_cosines(unit, labels)
    least = [max(SIBLING, usual[label]) for label in labels]
    near = (
        (str(first), str(second))
        for block in nearest(np.arange(len(unit)), unit, SIBLING, SIBLING)
        for first, second, cosine in block
        if cosine >= max(least[first], least[second])
    )
    numbers = group_numbers([str(place) for place in range(len(unit))], near)
    return np.asarray(np.unique(numbers, return_inverse=True)[1], np.int64)
