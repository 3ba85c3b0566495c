"""Measures a model on a dataset that it was not trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.model import load
from milliner.classifier.runtime import DEFAULT_RUNTIME
from milliner.core.errors import DatasetError, UnreadableImageError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset, fingerprint
from milliner.evaluation.before import Baseline, baseline
from milliner.evaluation.formats import NO_BREAK, pictures
from milliner.evaluation.metrics import measure
from milliner.evaluation.result import Answers, Classifier, Evaluation, SetAside
from milliner.images.folder import FolderDataset
from milliner.shards.dataset import open_dataset

_TRAINED_ON: Final = "trained on"


def evaluate(
    model: str | Path | Classifier,
    dataset: str | Path | Dataset,
    *,
    report: str | Path | None = None,
    runtime: str = DEFAULT_RUNTIME,
    progress: Progress = silent,
) -> Evaluation:
    """Measures a model, a loaded one or its file, on a dataset, beside its untrained baseline.

    `report` names an HTML file to write; `runtime` computes a model that is given as its file. The same model and
    dataset give the same figures and the same bytes.
    A picture that cannot be read, or that the model was trained on, is set aside and listed.

    Raises:
        ModelError: the model file cannot be used.
        DatasetError: there is no dataset, none of its pictures can be read, the model lacks one of its classes, or
            was trained on all of these pictures.
        SettingsError: the baseline's ImageNet class or backbone is unknown, or there is no such runtime.
    """
    classifier = load(model, runtime) if isinstance(model, str | Path) else model
    samples = open_dataset(dataset, progress) if isinstance(dataset, str | Path) else dataset
    metadata = classifier.metadata
    untrained = baseline(metadata)
    answers, set_aside = _ask(classifier, samples, untrained, progress)
    evaluation = Evaluation(
        model=classifier.name,
        dataset=samples.name.encode(errors="replace").decode(),  # not every file name is UTF-8
        after=measure(answers.probabilities, answers.targets, metadata.labels),
        before=measure(answers.before, answers.targets, metadata.labels),
        before_kind=untrained.kind,
        abstained=int((answers.best < metadata.operating_point.abstain_below).sum()),
        set_aside=set_aside,
        notes=tuple(_notes(classifier, samples, set_aside)),
        answers=answers,
    )
    if report is not None:
        from milliner.evaluation.report import write_report  # jinja2 and the backbones are for reports alone

        write_report(Path(report), evaluation, classifier, samples)
    return evaluation


def _notes(model: Classifier, dataset: Dataset, set_aside: tuple[SetAside, ...]) -> Iterator[str]:
    labels = model.metadata.labels
    if _by_number(dataset, labels):
        yield (
            f"The dataset does not name its classes: they were matched by number, from 0 as {labels[0]} "
            f"to {len(labels) - 1} as {labels[-1]}."
        )
    if seen := sum(each.reason == _TRAINED_ON for each in set_aside):
        yield f"Left out: {pictures(seen)} that {model.name} was trained on.".replace(NO_BREAK, " ")


def class_numbers(dataset: Dataset, labels: tuple[str, ...]) -> NDArray[np.int64]:
    """[n] classes of the dataset in the model's numbering, matched by name.

    A record file without names has numbers for labels; they are taken as the model's class numbers.
    Raises DatasetError where the model has no such class.
    """
    named = map(str, range(len(labels))) if _by_number(dataset, labels) else labels
    known = {label: number for number, label in enumerate(named)}
    unknown = [label for label in dataset.labels if label not in known]
    if unknown:
        raise DatasetError(
            f"{dataset.name} has a class {unknown[0]!r} that the model does not know; rename it to one of the model's "
            f"({', '.join(labels)}), or train with it."
        )
    numbers = np.array([known[label] for label in dataset.labels], np.int64)
    return np.asarray(numbers[np.asarray(dataset.targets, np.int64)], np.int64)


def _by_number(dataset: Dataset, labels: tuple[str, ...]) -> bool:
    return not isinstance(dataset, FolderDataset) and not set(labels) & set(dataset.labels)


@dataclass(frozen=True)
class _Answer:
    place: int
    key: str
    sha256: str
    probabilities: NDArray[np.float32]
    before: NDArray[np.float64]


def _ask(
    model: Classifier, dataset: Dataset, untrained: Baseline, progress: Progress
) -> tuple[Answers, tuple[SetAside, ...]]:
    targets = class_numbers(dataset, model.metadata.labels)

    def ask(place: int) -> _Answer | SetAside:
        return _ask_one(model, dataset, untrained, place)

    answers: list[_Answer] = []
    set_aside: list[SetAside] = []
    with progress("evaluate", len(dataset)) as advance:
        for found in ordered_map(ask, range(len(dataset))):
            if isinstance(found, SetAside):
                set_aside.append(found)
            else:
                answers.append(found)
            advance()
    asked = [(answer.sha256, model.metadata.labels[targets[answer.place]]) for answer in answers]
    _check_unseen(model, dataset, asked, set_aside)
    places = np.array([answer.place for answer in answers], np.int64)
    table = Answers(
        places=places,
        keys=tuple(answer.key for answer in answers),
        targets=targets[places],
        probabilities=np.array([answer.probabilities for answer in answers], np.float32),
        before=np.array([answer.before for answer in answers], np.float64),
    )
    return table, tuple(set_aside)


def _check_unseen(model: Classifier, dataset: Dataset, asked: list[tuple[str, str]], set_aside: list[SetAside]) -> None:
    """Raises DatasetError where no picture is left; files of earlier versions know their training set as a whole."""
    seen = any(each.reason == _TRAINED_ON for each in set_aside)
    if not asked and not seen:
        raise DatasetError(f"Not one picture of {dataset.name} can be read; see `milliner check`.")
    if not asked or fingerprint(asked) == model.metadata.dataset.get("fingerprint"):
        raise DatasetError(
            f"{dataset.name} holds the very pictures that {model.name} was trained on, of which it knows the answers; "
            "evaluate it on others, such as the test split."
        )


def _ask_one(model: Classifier, dataset: Dataset, untrained: Baseline, place: int) -> _Answer | SetAside:
    key = dataset.key(place)
    try:
        sample = dataset[place]
        if sample.sha256 in model.metadata.trained_on:
            return SetAside(key, _TRAINED_ON)
        look = model.look(sample.encoded, ("probabilities", *untrained.outputs))
    except UnreadableImageError as error:
        return SetAside(key, error.reason)
    return _Answer(place, key, sample.sha256, look["probabilities"], untrained.probabilities(look))
