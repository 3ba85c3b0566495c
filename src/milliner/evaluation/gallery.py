"""The worst mistakes of an evaluation, as pictures beside what the model saw in them."""

import base64
from dataclasses import dataclass
from typing import Final

import numpy as np

from milliner.core.sample import Dataset
from milliner.evaluation.result import Classifier, Evaluation
from milliner.images.decode import decode
from milliner.images.heatmap import class_evidence, overlay, to_jpeg

MAX_MISTAKES: Final = 12
_SIDE: Final = 320
_QUALITY: Final = 80


@dataclass(frozen=True)
class Mistake:
    """A picture that was named wrongly."""

    file: str
    truth: str
    said: str
    probability: float
    """Of what it said."""
    abstained: bool
    picture: str
    """A JPEG as a data URI."""
    evidence: str
    """The same picture, coloured where it speaks for what was said."""


def worst_mistakes(evaluation: Evaluation, model: Classifier, dataset: Dataset) -> list[Mistake]:
    """The mistakes that were made with the highest probability, worst first; their pictures are looked at again."""
    answers = evaluation.answers
    wrong = np.flatnonzero(answers.said != answers.targets)
    worst = wrong[np.argsort(-answers.best[wrong], kind="stable")][:MAX_MISTAKES]
    return [_mistake(evaluation, model, dataset, int(row)) for row in worst]


def _mistake(evaluation: Evaluation, model: Classifier, dataset: Dataset, row: int) -> Mistake:
    answers, labels = evaluation.answers, model.metadata.labels
    said, probability = int(answers.said[row]), answers.best[row]
    encoded = dataset[int(answers.places[row])].encoded
    image = decode(encoded, shrink_to=_SIDE)
    image.thumbnail((_SIDE, _SIDE))
    heatmap = model.look(encoded, ("heatmap",))["heatmap"]
    return Mistake(
        file=answers.keys[row],
        truth=labels[answers.targets[row]],
        said=labels[said],
        probability=float(probability),
        abstained=bool(answers.abstained[row]),
        picture=_data_uri(to_jpeg(image, quality=_QUALITY)),
        evidence=_data_uri(to_jpeg(overlay(image, class_evidence(heatmap, said)), quality=_QUALITY)),
    )


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
