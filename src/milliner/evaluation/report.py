"""One self-contained page of HTML about an evaluation: no scripts, no requests, the same bytes every time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2
import numpy as np

from milliner.core.sample import Dataset
from milliner.evaluation.card import model_card
from milliner.evaluation.charts import MAX_CURVES, PLOT, charts, classes_with_curves
from milliner.evaluation.figures import Metrics
from milliner.evaluation.formats import FILTERS
from milliner.evaluation.gallery import worst_mistakes
from milliner.evaluation.result import Classifier, Evaluation
from milliner.images.files import write_atomically

_MAX_SET_ASIDE: Final = 50


@dataclass(frozen=True)
class Abstention:
    """What the operating point does."""

    reasons: Mapping[str, int]
    """Why, to how many pictures."""
    accuracy_above: float | None
    """Of the pictures that are believed; None where there are none."""


def write_report(path: Path, evaluation: Evaluation, model: Classifier, dataset: Dataset) -> None:
    """Writes the page; `model` and `dataset` are those of the evaluation, for the pictures of the worst mistakes."""
    answers = evaluation.answers
    page = _template().render(
        evaluation=evaluation,
        after=evaluation.after,
        before=evaluation.before,
        weakest=_weakest_class(evaluation.after),
        abstention=_abstention(evaluation),
        charts=charts(answers, evaluation.after),
        plot=PLOT,
        with_curves=len(classes_with_curves(evaluation.after)),
        max_curves=MAX_CURVES,
        mistakes=worst_mistakes(evaluation, model, dataset),
        wrong=int((answers.said != answers.targets).sum()),
        set_aside=evaluation.set_aside[:_MAX_SET_ASIDE],
        card=model_card(model),
    )
    write_atomically(path, page.encode())


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(f"milliner.{home}", ".") for home in ("evaluation", "curation")]
        ),
        autoescape=True,  # labels and file names are strangers' text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment.get_template("report.html.j2")


def _weakest_class(metrics: Metrics) -> str | None:
    """The label with the lowest F1 among those with pictures; None where there are no mistakes."""
    present = {label: figures.f1 for label, figures in metrics.per_class.items() if figures.support}
    weakest = min(present, key=lambda label: present[label])
    return weakest if present[weakest] < 1 else None


def _abstention(evaluation: Evaluation) -> Abstention | None:
    if not evaluation.abstained:
        return None
    answers = evaluation.answers
    correct = (answers.said == answers.targets)[~answers.abstained]
    return Abstention(Counter(filter(None, answers.reasons)), float(np.mean(correct)) if len(correct) else None)
