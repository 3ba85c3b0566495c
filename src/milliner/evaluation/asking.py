"""Asks a model, and perhaps another one, about every picture of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.metadata import Metadata
from milliner.classifier.operating_point import Decisions
from milliner.core.errors import DatasetError, UnreadableImageError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress
from milliner.core.sample import Dataset, fingerprint
from milliner.curation.shoots import MAX_PICTURES, shoots
from milliner.evaluation.before import Baseline
from milliner.evaluation.opponent import Opponent, OtherAnswer
from milliner.evaluation.resampling import each_alone
from milliner.evaluation.result import TRAINED_ON, Answers, Classifier, SetAside
from milliner.evaluation.traits import traits_of
from milliner.images.folder import FolderDataset


@dataclass(frozen=True)
class Asked:
    """What came of every picture."""

    answers: Answers
    set_aside: tuple[SetAside, ...]
    traits: tuple[Mapping[str, str], ...]
    """[n] what was asked of the pictures themselves, such as their size."""
    others: tuple[OtherAnswer | None, ...]
    """[n] what the other model said; None of pictures that it was trained on."""


@dataclass(frozen=True)
class _Answer:
    place: int
    key: str
    sha256: str
    probabilities: NDArray[np.float32]
    distance: NDArray[np.float32] | None
    average: NDArray[np.float16] | None
    before: NDArray[np.float64]
    traits: Mapping[str, str]
    other: OtherAnswer | None


@dataclass(frozen=True)
class Question:
    """What is asked about each picture; safe to ask from many threads."""

    model: Classifier
    dataset: Dataset
    untrained: Baseline
    opponent: Opponent | None = None
    traits: Sequence[str] = ()

    def ask(self, progress: Progress) -> Asked:
        """Asks about every picture. Raises DatasetError where nothing is left that can be counted."""
        targets = class_numbers(self.dataset, self.model.metadata.labels)
        answers: list[_Answer] = []
        set_aside: list[SetAside] = []
        with progress("evaluate", len(self.dataset)) as advance:
            for found in ordered_map(self._ask_one, range(len(self.dataset))):
                if isinstance(found, SetAside):
                    set_aside.append(found)
                else:
                    answers.append(found)
                advance()
        labels = self.model.metadata.labels
        asked = [(answer.sha256, labels[targets[answer.place]]) for answer in answers]
        _check_unseen(self.model, self.dataset, asked, set_aside)
        return Asked(
            answers=_table(self.model.metadata, targets, answers),
            set_aside=tuple(set_aside),
            traits=tuple(answer.traits for answer in answers),
            others=tuple(answer.other for answer in answers),
        )

    def _ask_one(self, place: int) -> _Answer | SetAside:
        metadata, key = self.model.metadata, self.dataset.key(place)
        try:
            sample = self.dataset[place]
            if sample.sha256 in metadata.trained_on:
                return SetAside(key, TRAINED_ON)
            look = self.model.look(sample.encoded, self._outputs)
            before = self.untrained.probabilities({**look, **self.untrained.own_look(sample.encoded)})
            other = self.opponent.ask(sample) if self.opponent else None
            traits = traits_of(sample.encoded, self.traits)
        except UnreadableImageError as error:
            return SetAside(key, error.reason)
        return _Answer(
            place=place,
            key=key,
            sha256=sample.sha256,
            probabilities=look["probabilities"],
            distance=look.get("distance"),
            average=look["average"].astype(np.float16) if self._compares_pictures else None,
            before=before,
            traits=traits,
            other=other,
        )

    @property
    def _compares_pictures(self) -> bool:
        return len(self.dataset) <= MAX_PICTURES

    @property
    def _outputs(self) -> tuple[str, ...]:
        average = ("average",) if self._compares_pictures else ()
        return tuple(dict.fromkeys((*self.model.metadata.operating_point.outputs, *self.untrained.outputs, *average)))


def class_numbers(dataset: Dataset, labels: tuple[str, ...]) -> NDArray[np.int64]:
    """[n] classes of the dataset in the model's numbering, matched by name.

    A record file without names has numbers for labels; they are taken as the model's class numbers.
    Raises DatasetError where the model has no such class.
    """
    named = map(str, range(len(labels))) if by_number(dataset, labels) else labels
    known = {label: number for number, label in enumerate(named)}
    unknown = [label for label in dataset.labels if label not in known]
    if unknown:
        raise DatasetError(
            f"{dataset.name} has a class {unknown[0]!r} that the model does not know; rename it to one of the model's "
            f"({', '.join(labels)}), or train with it."
        )
    numbers = np.array([known[label] for label in dataset.labels], np.int64)
    return np.asarray(numbers[np.asarray(dataset.targets, np.int64)], np.int64)


def by_number(dataset: Dataset, labels: tuple[str, ...]) -> bool:
    """Whether a dataset does not name its classes, so that its numbers are taken for the model's."""
    return not isinstance(dataset, FolderDataset) and not set(labels) & set(dataset.labels)


def _table(metadata: Metadata, targets: NDArray[np.int64], answers: list[_Answer]) -> Answers:
    places = np.array([answer.place for answer in answers], np.int64)
    probabilities = np.array([answer.probabilities for answer in answers], np.float32)
    return Answers(
        places=places,
        keys=tuple(answer.key for answer in answers),
        targets=targets[places],
        probabilities=probabilities,
        before=np.array([answer.before for answer in answers], np.float64),
        decisions=_decide(metadata, probabilities, answers),
        groups=_groups([metadata.labels[targets[place]] for place in places], answers),
        sha256s=tuple(answer.sha256 for answer in answers),
    )


def _groups(labels: list[str], answers: list[_Answer]) -> NDArray[np.int64]:
    averages = [answer.average for answer in answers if answer.average is not None]
    return shoots(np.array(averages), labels) if len(averages) == len(answers) else each_alone(len(answers))


def _decide(metadata: Metadata, probabilities: NDArray[np.float32], answers: list[_Answer]) -> Decisions:
    distances = [answer.distance for answer in answers if answer.distance is not None]
    known = np.array(distances) if len(distances) == len(answers) else None
    return metadata.operating_point.decide(probabilities, known, metadata.labels)


def _check_unseen(model: Classifier, dataset: Dataset, asked: list[tuple[str, str]], set_aside: list[SetAside]) -> None:
    """Raises DatasetError where no picture is left; files of earlier versions know their training set as a whole."""
    seen = any(each.reason == TRAINED_ON for each in set_aside)
    if not asked and not seen:
        raise DatasetError(f"Not one picture of {dataset.name} can be read; see `milliner check`.")
    if not asked or fingerprint(asked) == model.metadata.dataset.get("fingerprint"):
        raise DatasetError(
            f"{dataset.name} holds the very pictures that {model.name} was trained on, of which it knows the answers; "
            "evaluate it on others, such as the test split."
        )
