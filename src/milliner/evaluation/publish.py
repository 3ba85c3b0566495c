"""What is written about an evaluation, once it was looked whether its pictures make a fair test."""

from dataclasses import replace
from pathlib import Path

from milliner.core.progress import Progress
from milliner.core.sample import Dataset
from milliner.evaluation.card_markdown import write_card
from milliner.evaluation.leakage import look_for_leaks
from milliner.evaluation.report import write_report
from milliner.evaluation.result import Classifier, Evaluation


def publish(
    evaluation: Evaluation,
    model: Classifier,
    dataset: Dataset,
    report: str | Path | None,
    card: str | Path | None,
    train: Dataset | None,
    cache: Path | None,
    progress: Progress,
) -> Evaluation:
    """The evaluation with its leakage, written to the page and the card that are asked for; see `evaluate`."""
    leakage = look_for_leaks(evaluation.answers, model.metadata.labels, dataset, train, cache, progress)
    examined = replace(evaluation, leakage=leakage)
    if report is not None:
        write_report(Path(report), examined, model, dataset, train=train)
    if card is not None:
        write_card(Path(card), examined, model, dataset)
    return examined
