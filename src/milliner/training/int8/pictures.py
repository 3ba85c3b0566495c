"""Which pictures of the training ranges are taken from, and which the result is measured on."""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.model import Model
from milliner.core.errors import DatasetError, UnreadableImageError
from milliner.core.sample import Dataset

_CALIBRATION: Final = 100  # pictures whose values are counted: more change no range by a hundredth
_MEASURED: Final = 400  # pictures that accuracy is measured on, at most


def training_places(model: Model, samples: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where in the dataset the pictures of the training stand, and their classes."""
    if samples.labels != model.labels:
        raise DatasetError(
            f"{samples.name} has the classes {', '.join(samples.labels)}, the model {', '.join(model.labels)}; "
            "give the dataset that it was trained on."
        )
    known = model.metadata.trained_on
    taken: dict[str, int] = {}
    for place in range(len(samples)):
        try:
            digest = hashlib.sha256(samples[place].encoded).hexdigest()
        except UnreadableImageError:
            continue
        if digest in known:
            taken.setdefault(digest, place)
    places = np.array(sorted(taken.values()), np.int64)
    targets = np.asarray(samples.targets, np.int64)[places] if len(places) else np.zeros(0, np.int64)
    counts = np.bincount(targets, minlength=len(model.labels))
    if counts.min() < 4:
        raise DatasetError(
            f"8 bits need four pictures of each class that the model was trained on, and {samples.name} has "
            f"{counts.min()} of {model.labels[int(counts.argmin())]!r}; give its training dataset, or leave --int8 out."
        )
    return places, targets


def deal(targets: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to count and others to measure, at most half of a class for the first, both in the classes' proportions."""
    random = np.random.default_rng(seed)
    share = min(0.5, _CALIBRATION / len(targets))
    counted, measured = [], []
    for label in range(int(targets.max()) + 1):
        rows = random.permutation(np.flatnonzero(targets == label))
        first = max(1, round(share * len(rows)))
        rest = max(2, round(_MEASURED * len(rows) / len(targets)))
        counted.append(rows[:first])
        measured.append(rows[first:][:rest])
    return np.sort(np.concatenate(counted)), np.sort(np.concatenate(measured))
