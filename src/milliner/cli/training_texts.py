"""What `milliner train` says of a training, of its learning curve and of earlier runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from milliner.cli.eight_bits import int8_rows
from milliner.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from milliner.training.history import History, PastRun
    from milliner.training.learning_curve import LearningCurve
    from milliner.training.result import TrainResult

_WIDTH = 40
_LABELS: Final = 10
FLATTERED: Final = "a little flattered since they chose the epoch"


def result_rows(result: "TrainResult") -> list[list[str]]:
    """What was made of what, and how good it is: terms and what they stand for."""
    return [[term, text] for term, text in _rows(result) if text]


def _rows(result: "TrainResult") -> Iterator[tuple[str, str]]:
    yield "model", str(result.model)
    yield "backbone", _backbone(result)
    yield "classes", _some(result.labels)
    yield "pictures", f"{result.samples} ({result.hits} remembered, {result.misses} embedded)"
    yield "begins as", _begins(result)
    yield "set aside", ", ".join(f"{key} ({reason})" for key, reason in result.set_aside.items())
    yield from _figures(result)
    yield "file checked", f"outputs within {result.difference:.0e} of what was trained"
    if result.int8:
        yield from int8_rows(result.int8)
    yield "time", ", ".join(f"{name} {value:.1f} s" for name, value in result.seconds.items())
    yield "run", str(result.run)


def _backbone(result: "TrainResult") -> str:
    settled = result.settled
    views = f", views: {settled.views}{', averaged' if settled.averaged else ''}" if settled.views != "none" else ""
    return f"{settled.net.name} at {settled.policy.size} pixels a side, pooled by {settled.pooling}{views}"


def _begins(result: "TrainResult") -> str:
    """Nothing where no class means one of ImageNet's."""
    named = ", ".join(f"{label}: {name}" for label, name in result.init.items())
    if result.warm or not named:
        return named
    return (
        f'nothing: {result.settled.net.name}\'s ImageNet classifier has several layers, so {named} is the "before" only'
    )


def _figures(result: "TrainResult") -> Iterator[tuple[str, str]]:
    """What each figure is of, where there are two models: the linear head, and the network that was trained on."""
    choice, tuning = result.choice, result.fine_tuning
    figures = f"accuracy {choice.accuracy:.1%}, log loss {choice.log_loss:.4f} in {choice.folds} folds"
    if tuning is None:
        yield "cross-validated", figures
    else:
        yield "linear head", f"cross-validated: {figures}"
        yield "fine-tuning", tuning.sentence()
    if tuning is not None and tuning.kept:
        yield "fine-tuned", f"{tuning.words()} on {tuning.tuned.pictures} pictures held out, {FLATTERED}"
        yield "", "what follows is of the fine-tuned network, from the same pictures"
    yield from result.reliability.rows()


def _some(labels: Sequence[str]) -> str:
    more = len(labels) - _LABELS
    return ", ".join(labels[:_LABELS]) + (f" and {more} more" if more > 0 else "")


def curve_lines(curve: "LearningCurve") -> list[str]:
    """A small chart: one line for each number of pictures, the interval and the accuracy in it, then the sentence.

    Its title says whose it is, for a fine-tuned network may be what was written; an `x` is the same without `init`.
    """
    without = curve.without_init or (None,) * len(curve.accuracy)
    left = min([*curve.low, *(curve.without_init or ())])
    digits = len(str(curve.pictures_per_class[-1]))
    lines = [f"learning curve of the linear head{' (o), and without init (x)' if curve.without_init else ''}"]
    for size, value, low, high, plain in zip(
        curve.pictures_per_class, curve.accuracy, curve.low, curve.high, without, strict=True
    ):
        figures = f"{value:6.1%}" if plain is None else f"{value:6.1%}  {plain:6.1%}"
        lines.append(f"{size:>{digits}} per class  {figures}  |{_bar(left, value, low, high, plain)}|")
    blank = "" if curve.without_init is None else " " * 8
    lines.append(f"{'':>{digits}}            {blank}{'':6}   {f'{left:.0%}':<{_WIDTH - 3}}100%")
    return [*lines, curve.sentence]


def _bar(left: float, accuracy: float, low: float, high: float, plain: float | None) -> str:
    """A row of the chart, from `left` to 1."""

    def place(value: float) -> int:
        return round((value - left) / max(1 - left, 1e-9) * _WIDTH)

    row = ["-" if place(low) <= x <= place(high) else " " for x in range(_WIDTH + 1)]
    if plain is not None:
        row[place(plain)] = "x"
    row[place(accuracy)] = "o"
    return "".join(row)


def show_history(into: Path | None, as_json: bool) -> None:
    """Of a model, or of all in a project's ``models/`` or else in the current folder."""
    from milliner.training.history import history

    place = into or (Path("models") if Path("models/runs").is_dir() else Path())
    found = history(place)
    if as_json:
        print_json(found.to_json())
    else:
        _print_history(found)


def _print_history(found: "History") -> None:
    """Figures and then settings, the oldest first, and where it lies; a table of both would be too wide."""
    marks = [f"{number}{'*' if run.current else ' '}" for number, run in enumerate(found.runs, 1)]
    columns = ["run", "when (UTC)", "model", "pictures", "accuracy", "log loss"]
    figures = [[mark, *_figures_of(run)] for mark, run in zip(marks, found.runs, strict=True)]
    print_table(columns, figures, numbers=(0, 3, 5), whole=range(3))
    print_table([""], [[""]])
    settings = [[mark, *_settings_of(run)] for mark, run in zip(marks, found.runs, strict=True)]
    print_table(["run", "backbone", "size", "changed"], settings, numbers=(0, 2), whole=range(3))
    print_table([""], [[line] for line in _notes(found)])


def _notes(found: "History") -> Iterator[str]:
    count = len(found.runs)
    yield f"{count} run{'' if count == 1 else 's'} in {found.folder}; * is the model that is there now."
    if any(run.fine_tuned for run in found.runs):
        yield f"+ is of a fine-tuned network on the pictures held out, {FLATTERED}; others are cross-validated."
    yield from (f"{name} cannot be read: delete it." for name in found.damaged)


def _figures_of(run: "PastRun") -> list[str]:
    accuracy = "-"
    if run.accuracy:
        value, low, high = run.accuracy
        accuracy = f"{value:.1%} ({low:.1%} to {high:.1%}){'+' if run.fine_tuned else ''}"
    return [
        str(run.lineage.get("ended", ""))[:16].replace("T", " "),
        str(run.lineage["model"]),
        f"{run.samples:,}",
        accuracy,
        "-" if run.log_loss is None else f"{run.log_loss:.4f}",
    ]


def _settings_of(run: "PastRun") -> list[str]:
    return [
        str(run.settings.get("backbone", "-")),
        str(run.settings.get("size", "-")),
        "the first" if run.changed is None else "; ".join(run.changed) or "nothing",
    ]
