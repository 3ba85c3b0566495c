"""How predictions look as a table."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from milliner.cli.terminal import print_table
from milliner.cli.text import printable
from milliner.core.prediction import Prediction

_SHOWN: Final = 4  # classes with a column of their own; where there are more, only the best one is shown


def print_predictions(predictions: Sequence[Prediction]) -> None:
    """A row for each picture: what it is, how probable each class is, and why it is in doubt where any is."""
    labels = list(predictions[0].probabilities)
    columns = labels if len(labels) <= _SHOWN else ["probability"]
    doubtful = any(found.abstained for found in predictions)
    rows: list[list[str | Text]] = []
    for found in predictions:
        values = [found.probabilities[label] for label in labels] if columns == labels else [found.probability]
        verdict = Text("in doubt", style="yellow") if found.abstained else Text(printable(found.label), style="bold")
        why = [found.reason] if doubtful else []
        rows.append([found.source, verdict, *(f"{value:.1%}" for value in values), *why])
    header = ["picture", "label", *columns, *(["why"] if doubtful else [])]
    print_table(header, rows, numbers=range(2, 2 + len(columns)))
