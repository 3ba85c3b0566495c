"""How close the outputs of two files are on the same pictures, and what each is worth in cross-validation."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.probe.choose import MAX_FOLDS
from milliner.probe.folds import stratified_folds
from milliner.probe.head import Problem, log_softmax

OUTPUTS: Final = ("logits", "embedding", "heatmap")
_TOLERANCE: Final = 1e-4

Floats = NDArray[np.float32]
Look = dict[str, Floats]


@dataclass(frozen=True)
class Worth:
    """Figures on pictures that the head did not see."""

    accuracy: float
    log_loss: float

    def to_json(self) -> dict[str, float]:
        """As it stands in a model's metadata."""
        return {"accuracy": self.accuracy, "log_loss": self.log_loss}


class Trial:
    """Heads fitted to the float32 embeddings of some of the measured pictures, asked about the others.

    The head in the file has seen every training picture, and says the right thing of them whatever happens to the
    network; heads of a cross-validation show what rounding does to pictures that are new.
    """

    def __init__(
        self, embeddings: Floats, targets: NDArray[np.int64], classes: int, strength: float, seed: int
    ) -> None:
        """[n, width] embeddings; every class needs two pictures."""
        self._targets, self._classes = targets, classes
        folds = int(min(MAX_FOLDS, np.bincount(targets, minlength=classes).min()))
        dealt = stratified_folds(targets, folds, seed)
        self._parts = [dealt == fold for fold in range(folds)]
        problem = Problem.of(embeddings, targets, classes, self._parts)
        self._heads = problem.fit(strength, [], _TOLERANCE)

    def worth(self, embeddings: Floats) -> Worth:
        """What these heads make of the same pictures' embeddings, [n, width], from this or another network."""
        logits = np.empty((len(self._targets), self._classes), np.float32)
        for part, head in zip(self._parts, self._heads, strict=True):
            logits[part] = head.logits(embeddings[part])
        rows = np.arange(len(self._targets))
        right = logits.argmax(axis=1) == self._targets
        return Worth(float(right.mean()), -float(log_softmax(logits)[rows, self._targets].mean()))


def closeness(before: list[Look], after: list[Look]) -> dict[str, Any]:
    """How close `OUTPUTS` are, picture by picture: means over all, and the worst.

    `embedding` as cosines; `logits` as absolute differences; `heatmap` as correlations over cells and classes;
    `peak` as the share of pictures whose strongest cell, of the class said, is the same or its neighbour; `same_label`
    as the share of pictures of which both say the same.
    """
    pairs = list(zip(before, after, strict=True))
    cosines = [_cosine(one["embedding"], other["embedding"]) for one, other in pairs]
    logits = [float(np.abs(one["logits"] - other["logits"]).max()) for one, other in pairs]
    maps = [_cosine(_centred(one["heatmap"]), _centred(other["heatmap"])) for one, other in pairs]
    return {
        "embedding": {"mean": float(np.mean(cosines)), "worst": min(cosines)},
        "logits": {"mean": float(np.mean(logits)), "worst": max(logits)},
        "heatmap": {"mean": float(np.mean(maps)), "worst": min(maps)},
        "peak": float(np.mean([_peaks_touch(one, other) for one, other in pairs])),
        "same_label": float(np.mean([one["logits"].argmax() == other["logits"].argmax() for one, other in pairs])),
    }


def _cosine(first: Floats, second: Floats) -> float:
    one, other = first.ravel().astype(np.float64), second.ravel().astype(np.float64)
    norms = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / max(norms, 1e-12)


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean(), np.float32)


def _peaks_touch(one: Look, other: Look) -> bool:
    said = int(one["logits"].argmax())
    places = [
        np.unravel_index(int(look["heatmap"][said].argmax()), look["heatmap"][said].shape) for look in (one, other)
    ]
    return max(abs(int(first) - int(second)) for first, second in zip(*places, strict=True)) <= 1
