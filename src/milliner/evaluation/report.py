"""One self-contained page of HTML about an evaluation: no requests, one small script, the same bytes every time."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
from markupsafe import Markup

from milliner.core.sample import Dataset
from milliner.evaluation.card import model_card
from milliner.evaluation.card_words import operating_point
from milliner.evaluation.charts import MAX_CURVES, PLOT, charts, classes_with_curves, live_charts
from milliner.evaluation.figure_words import FIGURES, resampled, versus_words
from milliner.evaluation.figures import Metrics
from milliner.evaluation.formats import FILTERS
from milliner.evaluation.gallery import gallery
from milliner.evaluation.leak_words import leak_section
from milliner.evaluation.learning import learning_curve
from milliner.evaluation.result import Classifier, Evaluation
from milliner.evaluation.threshold import MAX_CLASSES, STEP, sweep
from milliner.images.files import write_atomically

_MAX_LISTED: Final = 50


@dataclass(frozen=True)
class Script:
    """The page's own script, the only one that its content security policy lets run."""

    text: Markup
    hash: str
    """As the policy names it: ``sha256-`` and the digest in base64."""


@dataclass(frozen=True)
class Abstained:
    """A picture on which the model abstains."""

    file: str
    truth: str
    said: str
    probability: float
    """Of what it would have said."""
    reason: str


@dataclass(frozen=True)
class Abstentions:
    """What the operating point does."""

    total: int
    listed: tuple[Abstained, ...]


def write_report(
    path: Path,
    evaluation: Evaluation,
    model: Classifier,
    dataset: Dataset,
    licences: Mapping[str, int],
    *,
    train: Dataset | None = None,
) -> None:
    """Writes the page; `model` and `dataset` are those of the evaluation, for the pictures.

    `licences` are those of the test pictures, with how many have each. `train` are the training pictures, where the
    evaluation's were compared with them.
    """
    answers, metadata = evaluation.answers, model.metadata
    page = _template().render(
        evaluation=evaluation,
        after=evaluation.after,
        before=evaluation.before,
        weakest=_weakest_class(evaluation.after),
        figure_names=FIGURES,
        resampled=resampled(evaluation.resampling, evaluation.after.samples),
        rates=_rates(evaluation.after),
        recalls={
            label: {each.false_alarms: each.recall for each in figures.at_false_alarms}
            for label, figures in evaluation.after.per_class.items()
        },
        slices=evaluation.slices[:_MAX_LISTED],
        versus_words=versus_words(evaluation.comparison) if evaluation.comparison else "",
        operating_point=operating_point(metadata),
        charts=charts(answers, evaluation.after),
        plot=PLOT,
        with_curves=len(classes_with_curves(evaluation.after)),
        max_curves=MAX_CURVES,
        learning=learning_curve(metadata.metrics),
        sweeps=_sweeps(evaluation, model),
        live_charts=live_charts(),
        script=_script(),
        gallery=gallery(evaluation, model, dataset),
        wrong=int((answers.said != answers.targets).sum()),
        abstentions=_abstentions(evaluation),
        leaks=leak_section(evaluation, model, dataset, train),
        set_aside=evaluation.set_aside[:_MAX_LISTED],
        card=model_card(evaluation, model, licences),
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


@cache
def _script() -> Script:
    text = files("milliner.evaluation").joinpath("threshold.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Script(Markup(text), f"sha256-{digest}")  # noqa: S704 - our own file


def _sweeps(evaluation: Evaluation, model: Classifier) -> dict[str, Any] | None:
    """What the page's script reads; None where no class can be told from another."""
    possible, answers, metadata = classes_with_curves(evaluation.after), evaluation.answers, model.metadata
    if not possible:
        return None
    weights = metadata.operating_point.factors(metadata.labels)
    swept = [
        sweep(answers.probabilities, answers.targets, answers.said, weights.tolist(), metadata.labels, number)
        for number in sorted(possible[:MAX_CLASSES])
    ]
    weighed = [each.label for each in swept if weights[each.number] != 1]
    return {
        "step": STEP,
        "plot": {"left": PLOT.left, "top": PLOT.top, "side": PLOT.side},
        "two": len(metadata.labels) == 2,
        "labels": metadata.labels if len(metadata.labels) == 2 else (),
        "first": weighed[0] if weighed else metadata.labels[possible[0]],
        "left_out": len(possible) > MAX_CLASSES,
        "sweeps": [each.to_json() for each in swept],
    }


def _rates(metrics: Metrics) -> list[float]:
    """The shares of false alarms at which recalls were asked for."""
    return [each.false_alarms for each in next(iter(metrics.per_class.values())).at_false_alarms]


def _weakest_class(metrics: Metrics) -> str | None:
    """The label with the lowest F1 among those with pictures; None where there are no mistakes."""
    present = {label: figures.f1 for label, figures in metrics.per_class.items() if figures.support}
    weakest = min(present, key=lambda label: present[label])
    return weakest if present[weakest] < 1 else None


def _abstentions(evaluation: Evaluation) -> Abstentions:
    answers, labels = evaluation.answers, list(evaluation.after.per_class)
    rows = np.flatnonzero(answers.abstained)
    listed = tuple(
        Abstained(
            answers.keys[row],
            labels[answers.targets[row]],
            labels[answers.said[row]],
            float(answers.probabilities[row, answers.said[row]]),
            answers.reasons[row],
        )
        for row in rows[:_MAX_LISTED].tolist()
    )
    return Abstentions(len(rows), listed)
