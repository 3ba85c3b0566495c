"""Pictures of an evaluation that are worth a look, each beside what the model saw in it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import UnreadableImageError
from milliner.core.sample import Dataset
from milliner.evaluation.result import Classifier, Evaluation
from milliner.evaluation.thumbnail import data_uri, thumbnail
from milliner.images.decode import decode
from milliner.images.heatmap import class_evidence, overlay

MAX_MISTAKES: Final = 12
MAX_NEAR: Final = 9
SIDE: Final = 320
"""Pixels of a picture's longer side."""


@dataclass(frozen=True)
class Shown:
    """A picture, what it is, and what was said of it."""

    file: str
    truth: str
    said: str
    probability: float
    """Of what it said."""
    runner_up: str
    """The class that it would have said next."""
    runner_up_probability: float
    abstained: bool
    picture: str
    """A JPEG as a data URI."""
    evidence: str
    """The same picture, coloured where it speaks for what was said."""

    @property
    def right(self) -> bool:
        """Whether it was named correctly."""
        return self.said == self.truth


@dataclass(frozen=True)
class Gallery:
    """What the page shows, whose pictures are looked at again."""

    mistakes: tuple[Shown, ...]
    """Those that were made with the highest probability, worst first."""
    near: tuple[Shown, ...]
    """Of the others those that were decided by the least, the closest first."""


def gallery(evaluation: Evaluation, model: Classifier, dataset: Dataset) -> Gallery:
    """Looks again at the worst mistakes and at the pictures closest to being called something else."""
    answers = evaluation.answers
    wrong = np.flatnonzero(answers.said != answers.targets)
    surest = answers.probabilities[wrong, answers.said[wrong]]
    worst = wrong[np.argsort(-surest, kind="stable")][:MAX_MISTAKES]
    closest = np.argsort(margins(answers.probabilities, _weights(model)), kind="stable")
    near = closest[~np.isin(closest, worst)][:MAX_NEAR]
    return Gallery(
        tuple(_shown(evaluation, model, dataset, int(row)) for row in worst),
        tuple(_shown(evaluation, model, dataset, int(row)) for row in near),
    )


def margins(probabilities: NDArray[np.float32], weighed_by: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n] by how much the first class leads the second one, of [n, classes] weighed to sum to 1."""
    weighed = probabilities * weighed_by
    weighed /= weighed.sum(axis=1, keepdims=True)
    second, first = np.sort(weighed, axis=1)[:, -2:].T
    return np.asarray(first - second, np.float64)


def _weights(model: Classifier) -> NDArray[np.float64]:
    """[classes] what the model multiplies the probabilities by before it says the highest one."""
    return model.metadata.operating_point.factors(model.metadata.labels)


def _shown(evaluation: Evaluation, model: Classifier, dataset: Dataset, row: int) -> Shown:
    answers, labels = evaluation.answers, model.metadata.labels
    said, probabilities = int(answers.said[row]), answers.probabilities[row]
    others = probabilities * _weights(model)
    others[said] = -1
    next_best = int(others.argmax())
    encoded = dataset[int(answers.places[row])].encoded
    image = decode(encoded, shrink_to=SIDE)
    image.thumbnail((SIDE, SIDE))
    heatmap = model.look(encoded, ("heatmap",))["heatmap"]
    return Shown(
        file=answers.keys[row],
        truth=labels[answers.targets[row]],
        said=labels[said],
        probability=float(probabilities[said]),
        runner_up=labels[next_best],
        runner_up_probability=float(probabilities[next_best]),
        abstained=bool(answers.abstained[row]),
        picture=data_uri(image),
        evidence=data_uri(overlay(image, class_evidence(heatmap, said))),
    )


def picture_of(dataset: Dataset, place: int, side: int) -> str | None:
    """A picture as a data URI; None where it cannot be read any more."""
    try:
        return thumbnail(dataset[place].encoded, side)
    except UnreadableImageError:
        return None
