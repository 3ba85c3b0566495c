"""What is written about an evaluation, once it was looked whether its pictures make a fair test."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.core.progress import Progress
from milliner.core.sample import Dataset
from milliner.evaluation.card_markdown import write_card
from milliner.evaluation.leakage import look_for_leaks
from milliner.evaluation.origins import UNKNOWN, find_ledger, origins
from milliner.evaluation.report import write_report
from milliner.evaluation.result import Answers, Classifier, Evaluation

_LICENCE: Final = ("licence", "licence_version")


@dataclass(frozen=True)
class Publication:
    """Where to write, and what else to look at; see `evaluate`."""

    report: Path | None = None
    card: Path | None = None
    ledger: Path | None = None
    cache: Path | None = None
    train: Dataset | None = None

    def of(self, evaluation: Evaluation, model: Classifier, dataset: Dataset, progress: Progress) -> Evaluation:
        """The evaluation with its leakage, written to the page and the card that are asked for."""
        answers, labels = evaluation.answers, model.metadata.labels
        leakage = look_for_leaks(answers, labels, dataset, self.train, self.cache, progress)
        examined = replace(evaluation, leakage=leakage)
        licences = licences_of(answers, dataset, self.ledger)
        if self.report is not None:
            write_report(self.report, examined, model, dataset, licences, train=self.train)
        if self.card is not None:
            write_card(self.card, examined, model, licences)
        return examined


def licences_of(answers: Answers, dataset: Dataset, ledger: Path | None) -> Mapping[str, int]:
    """Licences of the pictures with how many have each, ``unknown`` among them; empty where no ledger tells."""
    try:
        found = find_ledger(dataset, ledger)
    except DatasetError:
        if ledger is not None:
            raise
        return {}
    rows = origins(found, _LICENCE, answers.sha256s, answers.keys)
    return Counter(" ".join(part for part in row.values() if part != UNKNOWN) or UNKNOWN for row in rows)
