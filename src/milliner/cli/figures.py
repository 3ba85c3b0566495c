"""Prints the figures of an evaluation as tables."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from milliner.cli.terminal import console, print_table
from milliner.cli.text import printable

if TYPE_CHECKING:
    from milliner.evaluation.figures import Figure, Metrics
    from milliner.evaluation.result import Evaluation

Write = Callable[[float], str]


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _number(value: float) -> str:
    return f"{value:.4f}"


_WRITTEN: Final[dict[str, Write]] = {"accuracy": _percent, "balanced_accuracy": _percent, "f1": _percent}
"""Figures that are told in percent; the others with four digits."""


def print_figures(result: "Evaluation") -> None:
    """The verdict, then before and after, then each class."""
    out = console()
    out.print(printable(result.verdict), style="bold", markup=False)
    for note in result.notes:
        out.print(printable(note), style="yellow", markup=False)
    out.print()
    _print_overview(result)
    out.print(printable(f"before: {result.before_kind}"), style="dim", markup=False)
    out.print(_how_it_was_drawn(result), style="dim", markup=False)
    out.print()
    _print_classes(result.after)
    _print_recalls(result.after)


def _print_overview(result: "Evaluation") -> None:
    from milliner.evaluation.figures import NAMES

    rows = []
    for name, words in NAMES.items():
        write = _WRITTEN.get(name, _number)
        rows.append([words, *_cells(result.before.figures[name], write), *_cells(result.after.figures[name], write)])
    if result.abstained:
        rows.append([f"accuracy, {result.abstained} in doubt left out", "", "", *_cells(result.believed, _percent)])
    print_table(["", "before", "95 % interval", "after", "95 % interval"], rows, numbers=(1, 2, 3, 4))


def _how_it_was_drawn(result: "Evaluation") -> str:
    drawn = result.resampling
    what = "the pictures" if drawn.by == "pictures" else f"the {drawn.groups} shoots that the pictures are of"
    return f"intervals: {drawn.resamples} resamples of {what}; of shares Wilson's"


def _print_classes(metrics: "Metrics") -> None:
    names = {"precision": "precision", "recall": "recall", "f1": "F1"}
    columns = ["class", *(column for name in names.values() for column in (name, "95 % interval")), "pictures"]
    rows = [
        [label, *_joined(_cells(found.figures[name], _percent) for name in names), str(found.support)]
        for label, found in metrics.per_class.items()
    ]
    print_table(columns, rows, numbers=range(1, len(columns)))


def _print_recalls(metrics: "Metrics") -> None:
    shares = [f"{each.false_alarms:.3g}" for each in next(iter(metrics.per_class.values())).at_false_alarms]
    if not shares:
        return
    console().print()
    columns = ["found at false alarms of", *(column for share in shares for column in (share, "95 % interval"))]
    rows = [
        [label, *_joined(_cells(each.recall, _percent) for each in found.at_false_alarms)]
        for label, found in metrics.per_class.items()
    ]
    print_table(columns, rows, numbers=range(1, len(columns)))


def _cells(figure: "Figure", write: Write) -> Sequence[str]:
    """The value and its interval, each flush right."""
    value = "-" if figure.value is None else write(figure.value)
    return value, "-" if figure.interval is None else " to ".join(map(write, figure.interval))


def _joined(cells: Iterable[Sequence[str]]) -> list[str]:
    return [cell for pair in cells for cell in pair]
