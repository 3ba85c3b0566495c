"""The pictures of a training: what a model file says of them, and which of them it is compared over."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.sample import Dataset
from milliner.probe.embed import Embedded

_COMPARED: Final = 4  # real samples that the written file is compared over; a wrong graph is wrong on each of them


def describe(samples: Dataset, embedded: Embedded) -> dict[str, Any]:
    """`name`, `fingerprint`, `samples` and `per_class`, as they stand in a model's metadata."""
    counts = np.bincount(embedded.targets, minlength=len(samples.labels))
    return {
        "name": Path(samples.name).name.encode(errors="replace").decode(),  # not every file name is UTF-8
        "fingerprint": embedded.fingerprint,
        "samples": len(embedded.targets),
        "per_class": {label: int(count) for label, count in zip(samples.labels, counts, strict=True)},
    }


def compared_rows(embedded: Embedded) -> NDArray[np.int64]:
    """Rows to compare over: evenly spread over the samples in the order of their classes."""
    by_class = np.argsort(embedded.targets, kind="stable")
    chosen = np.linspace(0, len(by_class) - 1, min(_COMPARED, len(by_class))).round().astype(np.int64)
    return np.asarray(by_class[chosen], np.int64)
