"""Which training pictures are of one scene, so that cross-validation leaves them out together."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.curation.compare import SIBLING
from milliner.curation.mislabels import group_numbers

_MOST: Final = 10_000  # pictures: beyond them comparing each with each takes longer than training
_ROWS: Final = 1024  # compared with all others at once


def lookalikes(features: NDArray[np.float32]) -> NDArray[np.int64]:
    """[n] the number of each picture's group, from [n, width] features: the cosine of siblings joins two.

    Of more than 10,000 pictures each is a group of its own.
    """
    if len(features) > _MOST:
        return np.arange(len(features))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    pairs: list[tuple[str, str]] = []
    for start in range(0, len(unit), _ROWS):
        ones, others = np.nonzero(unit[start : start + _ROWS] @ unit.T >= SIBLING)
        later = others > ones + start
        pairs += [(str(one + start), str(other)) for one, other in zip(ones[later], others[later], strict=True)]
    return group_numbers([str(place) for place in range(len(unit))], pairs)
