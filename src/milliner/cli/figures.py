"""Prints the figures of an evaluation as tables."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from rich.text import Text

from milliner.cli.terminal import console, print_table
from milliner.cli.text import printable
from milliner.evaluation.compared import p_words
from milliner.evaluation.figures import NAMES, Figure

if TYPE_CHECKING:
    from milliner.evaluation.compared import Comparison
    from milliner.evaluation.figures import Metrics, SliceFigures
    from milliner.evaluation.likenesses import Leakage
    from milliner.evaluation.result import Evaluation

_MOST_DISAGREEMENTS: Final = 10
_MOST_PAIRS: Final = 5

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
    if result.slices:
        _print_slices(result.slices)
    if result.comparison:
        _print_comparison(result.comparison)
    if result.leakage:
        _print_leaks(result.leakage)


def _print_overview(result: "Evaluation") -> None:
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


def _print_slices(slices: "Sequence[SliceFigures]") -> None:
    columns = ["slice", "", "pictures", "accuracy", "95 % interval", "the rest", "ROC AUC", "log loss", ""]
    console().print()
    rows: list[list[str | Text]] = []
    for place, each in enumerate(slices):
        first = place == 0 or slices[place - 1].column != each.column
        rest = "-" if each.rest is None else _percent(each.rest)
        more = (_cells(each.roc_auc, _number)[0], _cells(each.log_loss, _number)[0])
        row = [each.column if first else "", each.value, str(each.samples), *_cells(each.accuracy, _percent), rest]
        rows.append([*row, *more, Text(_mark(each), style="yellow")])
    print_table(columns, rows, numbers=range(2, 8))


def _mark(each: "SliceFigures") -> str:
    if not each.differs or each.rest is None or each.accuracy.value is None:
        return ""
    return f"{'worse' if each.accuracy.value < each.rest else 'better'} than the rest, {p_words(each.p)}"


def _print_comparison(found: "Comparison") -> None:
    out = console()
    out.print()
    out.print(printable(found.sentence), style="bold", markup=False)
    rows = []
    for name, difference in found.differences.items():
        write = _WRITTEN.get(name, _number)
        values = [_cells(Figure(each[name]), write)[0] for each in (found.figures, found.figures_of_other)]
        rows.append([NAMES[name], *values, *_cells(difference, write)])
    out.print()
    print_table(["", found.model, found.other, "difference", "95 % interval"], rows, numbers=range(1, 5))
    out.print(printable(_counts(found)), style="dim", markup=False)
    rows = [
        [
            each.file,
            each.truth,
            f"{each.said} ({each.probability:.0%})",
            f"{each.said_by_other} ({each.probability_by_other:.0%})",
        ]
        for each in found.disagreements[:_MOST_DISAGREEMENTS]
    ]
    if rows:
        out.print()
        print_table(["they differ on", "which is", found.model, found.other], rows)
    if (more := len(found.disagreements) - len(rows)) > 0:
        out.print(f"and {more} more; --json has all", style="dim", markup=False)


def _print_leaks(leakage: "Leakage") -> None:
    """What makes the test unfair, and the first pairs of pictures that show it."""
    from milliner.evaluation.leak_words import findings  # which needs what draws the page

    out = console()
    out.print()
    for each in findings(leakage):
        bad = each.kind == "bad"
        out.print(printable(f"{each.title} {each.text}"), style="yellow" if bad else "dim", markup=False)
    across = leakage.across.found if leakage.across else ()
    pairs = [*((each, "in training") for each in across), *((each, "in the test") for each in leakage.within.pairs)]
    rows = [[each.file, each.kind, f"{each.other_file} {where}"] for each, where in pairs[:_MOST_PAIRS]]
    if rows:
        out.print()
        print_table(["test picture", "", "of"], rows)
    if (more := len(pairs) - len(rows)) > 0:
        out.print(f"and {more} more; --json has all", style="dim", markup=False)


def _counts(found: "Comparison") -> str:
    return (
        f"on {found.samples} pictures that neither was trained on: {found.only_right} that only {found.model} names "
        f"correctly, {found.only_other_right} that only {found.other} does"
    )


def _cells(figure: "Figure", write: Write) -> Sequence[str]:
    """The value and its interval, each flush right."""
    value = "-" if figure.value is None else write(figure.value)
    return value, "-" if figure.interval is None else " to ".join(map(write, figure.interval))


def _joined(cells: Iterable[Sequence[str]]) -> list[str]:
    return [cell for pair in cells for cell in pair]
