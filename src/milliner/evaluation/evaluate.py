"""Measures a model on a dataset that it was not trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.model import load
from milliner.core.errors import SettingsError
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset
from milliner.core.shares import interval_of_share
from milliner.evaluation.asking import Asked, Question, by_number
from milliner.evaluation.before import baseline
from milliner.evaluation.comparison import compare
from milliner.evaluation.figures import UNDEFINED, Figure, Metrics, Resampling
from milliner.evaluation.formats import NO_BREAK, pictures
from milliner.evaluation.intervals import evidence
from milliner.evaluation.metrics import FALSE_ALARMS, measure
from milliner.evaluation.opponent import Opponent
from milliner.evaluation.resampling import RESAMPLES
from milliner.evaluation.result import TRAINED_ON, Answers, Classifier, Evaluation
from milliner.evaluation.slices import Slicing
from milliner.evaluation.targets import Source, check_targets
from milliner.runtimes.runtime import DEFAULT_RUNTIME
from milliner.shards.dataset import open_dataset


def evaluate(
    model: str | Path | Classifier,
    dataset: str | Path | Dataset,
    *,
    report: str | Path | None = None,
    card: str | Path | None = None,
    train: str | Path | Dataset | None = None,
    against: str | Path | Classifier | None = None,
    slices: Sequence[str] = (),
    ledger: str | Path | None = None,
    cache: str | Path | None = None,
    at_false_alarms: Sequence[float] = FALSE_ALARMS,
    runtime: str = DEFAULT_RUNTIME,
    progress: Progress = silent,
) -> Evaluation:
    """Measures a model, a loaded one or its file, on a dataset, beside its untrained baseline.

    The same model and dataset give the same figures and the same bytes. A picture that cannot be read, or that the
    model was trained on, is set aside and listed.

    Args:
        model: a loaded one, or its file.
        dataset: an open one, or what `open_dataset` opens.
        report: an HTML file to write.
        card: a model card to write, in Markdown.
        train: the training dataset, open or not: its pictures are then compared with these for near duplicates and
            photographs of the same scene.
        against: another model of the same classes, loaded or its file, that is asked about the same pictures.
        slices: columns by whose values the pictures are told apart: `size`, `aspect` and `brightness` of the pictures
            themselves, and those that the ledger has of their origin, such as `source`, `licence` and `day`.
        ledger: the ledger, or its folder, where it is not the dataset's own or beside it.
        cache: the embedding cache by which pictures are compared; the project's, or the user's outside of any project,
            when left out.
        at_false_alarms: shares of false alarms, above 0 and below 1, at which each class's recall is told.
        runtime: what computes models that are given as files: ``onnxruntime``, or the extra ``openvino``.
        progress: is told how far it is.

    Raises:
        ModelError: a model file cannot be used, or the two models know different classes.
        DatasetError: there is no dataset, none of its pictures can be read, the model lacks one of its classes, or
            was trained on all of these pictures; there is no ledger where one is needed.
        SettingsError: the baseline's ImageNet class or backbone is unknown, as is a column or the runtime, or a share
            of false alarms is none, or the report or the card would be written over what is read, or over each other.
    """
    _check_shares(at_false_alarms)
    models = Source("the model", model), Source("the model that it is compared with", against)
    check_targets(report, card, *models, Source("the dataset", dataset), Source("the training pictures", train))
    classifier = load(model, runtime) if isinstance(model, str | Path) else model
    samples = open_dataset(dataset, progress) if isinstance(dataset, str | Path) else dataset
    learnt = open_dataset(train, progress) if isinstance(train, str | Path) else train
    slicing = Slicing(slices, samples, _path(ledger))
    other = load(against, runtime) if isinstance(against, str | Path) else against
    opponent = Opponent.of(other, classifier) if other else None
    metadata = classifier.metadata
    untrained = baseline(metadata)
    asked = Question(classifier, samples, untrained, opponent, slicing.traits).ask(progress)
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
        notes=tuple(_notes(classifier, samples, asked, other)),
        resampling=_resampling(answers),
        answers=answers,
        slices=slicing.figures(answers, asked.traits),
        comparison=compare(_names(classifier, other), labels, answers, asked.others) if other else None,
    )
    if report is None and card is None and train is None:
        return evaluation
    from milliner.evaluation.publish import Publication  # jinja2 and comparing pictures are for what is published alone

    publication = Publication(_path(report), _path(card), _path(ledger), _path(cache), learnt)
    return publication.of(evaluation, classifier, samples, progress)


def _path(given: str | Path | None) -> Path | None:
    return Path(given) if given else None


def _check_shares(shares: Sequence[float]) -> None:
    for share in shares:
        if not 0 < share < 1:
            raise SettingsError(f"A share of false alarms is above 0 and below 1, such as 0.01, not {share:g}.")


def _names(model: Classifier, other: Classifier) -> tuple[str, str]:
    """What the two are called; files of the same name are told apart by their content."""
    if model.name != other.name:
        return model.name, other.name
    return f"{model.name} ({model.sha256[:8]})", f"{other.name} ({other.sha256[:8]})"


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


def _notes(model: Classifier, dataset: Dataset, asked: Asked, other: Classifier | None) -> Iterator[str]:
    labels = model.metadata.labels
    if by_number(dataset, labels):
        yield (
            f"The dataset does not name its classes: they were matched by number, from 0 as {labels[0]} "
            f"to {len(labels) - 1} as {labels[-1]}."
        )
    if seen := sum(each.reason == TRAINED_ON for each in asked.set_aside):
        yield f"Left out: {pictures(seen)} that {model.name} was trained on.".replace(NO_BREAK, " ")
    seen = sum(answer is None for answer in asked.others)
    if other and seen == len(asked.others):
        yield f"Not compared: {other.name} was trained on all of these pictures; give others."
    elif other and seen:
        yield f"Left out of the comparison: {pictures(seen)} that {other.name} was trained on.".replace(NO_BREAK, " ")
