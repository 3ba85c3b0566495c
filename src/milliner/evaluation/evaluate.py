"""Measures a model on a dataset that it was not trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.model import load
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset
from milliner.evaluation.asking import Question, by_number
from milliner.evaluation.before import baseline
from milliner.evaluation.figures import UNDEFINED, Figure, Metrics, Resampling
from milliner.evaluation.formats import NO_BREAK, pictures
from milliner.evaluation.intervals import evidence, interval_of_share
from milliner.evaluation.metrics import FALSE_ALARMS, measure
from milliner.evaluation.resampling import RESAMPLES
from milliner.evaluation.result import TRAINED_ON, Answers, Classifier, Evaluation, SetAside
from milliner.shards.dataset import open_dataset


def evaluate(
    model: str | Path | Classifier,
    dataset: str | Path | Dataset,
    *,
    report: str | Path | None = None,
    card: str | Path | None = None,
    train: str | Path | Dataset | None = None,
    cache: str | Path | None = None,
    at_false_alarms: Sequence[float] = FALSE_ALARMS,
    progress: Progress = silent,
) -> Evaluation:
    """Measures a model, a loaded one or its file, on a dataset, beside its untrained baseline.

    `report` names an HTML file to write, `card` a model card in Markdown. The same model and dataset give the same
    figures and the same bytes. `train` is the training dataset, whose pictures are then compared with these for near
    duplicates and photographs of the same scene, by way of the embedding `cache` (the project's, or the user's outside
    of any, when left out).
    A picture that cannot be read, or that the model was trained on, is set aside and listed.

    Raises:
        ModelError: the model file cannot be used.
        DatasetError: there is no dataset, none of its pictures can be read, the model lacks one of its classes, or
            was trained on all of these pictures.
        SettingsError: the baseline's ImageNet class or backbone is unknown.
    """
    classifier = load(model) if isinstance(model, str | Path) else model
    samples = open_dataset(dataset, progress) if isinstance(dataset, str | Path) else dataset
    metadata = classifier.metadata
    untrained = baseline(metadata)
    asked = Question(classifier, samples, untrained).ask(progress)
    answers, labels = asked.answers, metadata.labels
    evaluation = Evaluation(
        model=classifier.name,
        dataset=samples.name.encode(errors="replace").decode(),  # not every file name is UTF-8
        after=_measured(answers.probabilities, answers, labels, at_false_alarms, answers.said),
        before=_measured(answers.before, answers, labels, at_false_alarms),
        before_kind=untrained.kind,
        abstained=int(answers.abstained.sum()),
        believed=_believed(answers),
        set_aside=asked.set_aside,
        notes=tuple(_notes(classifier, samples, asked.set_aside)),
        resampling=_resampling(answers),
        answers=answers,
    )
    if report is None and card is None and train is None:
        return evaluation
    from milliner.evaluation.publish import publish  # jinja2 and comparing pictures are for what is published alone

    learnt = open_dataset(train, progress) if isinstance(train, str | Path) else train
    return publish(evaluation, classifier, samples, report, card, learnt, Path(cache) if cache else None, progress)


def _measured(
    probabilities: NDArray[np.floating[Any]],
    answers: Answers,
    labels: tuple[str, ...],
    at_false_alarms: Sequence[float],
    said: NDArray[np.int64] | None = None,
) -> Metrics:
    return measure(
        probabilities, answers.targets, labels, said=said, groups=answers.groups, at_false_alarms=at_false_alarms
    )


def _believed(answers: Answers) -> Figure:
    """The accuracy of the pictures that it does not abstain on."""
    right = (answers.said == answers.targets)[~answers.abstained]
    if not len(right):
        return UNDEFINED
    worth = evidence(right, answers.groups[~answers.abstained])
    return Figure(float(right.mean()), interval_of_share(float(right.mean()), worth))


def _resampling(answers: Answers) -> Resampling:
    groups = int(answers.groups.max()) + 1
    return Resampling(RESAMPLES, groups, "shoots" if groups < len(answers.keys) else "pictures")


def _notes(model: Classifier, dataset: Dataset, set_aside: tuple[SetAside, ...]) -> Iterator[str]:
    labels = model.metadata.labels
    if by_number(dataset, labels):
        yield (
            f"The dataset does not name its classes: they were matched by number, from 0 as {labels[0]} "
            f"to {len(labels) - 1} as {labels[-1]}."
        )
    if seen := sum(each.reason == TRAINED_ON for each in set_aside):
        yield f"Left out: {pictures(seen)} that {model.name} was trained on.".replace(NO_BREAK, " ")
