"""What `milliner train` says of a learning curve and of earlier runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from milliner.cli.terminal import print_table

if TYPE_CHECKING:
    from milliner.training.history import History, PastRun
    from milliner.training.learning_curve import LearningCurve

_WIDTH = 40


def curve_lines(curve: "LearningCurve") -> list[str]:
    """A small chart: one line for each number of pictures, the interval and the accuracy in it, then the sentence."""
    left = min(curve.low)
    digits = len(str(curve.pictures_per_class[-1]))
    lines = []
    for size, accuracy, low, high in zip(curve.pictures_per_class, curve.accuracy, curve.low, curve.high, strict=True):
        first, middle, last = (round((value - left) / max(1 - left, 1e-9) * _WIDTH) for value in (low, accuracy, high))
        bar = "".join("o" if x == middle else "-" if first <= x <= last else " " for x in range(_WIDTH + 1))
        lines.append(f"{size:>{digits}} per class  {accuracy:6.1%}  |{bar}|")
    lines.append(f"{'':>{digits}}            {'':6}   {f'{left:.0%}':<{_WIDTH - 3}}100%")
    return [*lines, curve.sentence]


def print_history(found: "History") -> None:
    """A table, the oldest first, and where it lies."""
    columns = ["", "when (UTC)", "model", "pictures", "backbone", "size", "accuracy", "log loss", "seconds", "changed"]
    print_table(columns, [_row(run) for run in found.runs], numbers=(3, 5, 7, 8))
    lines = [[f"{len(found.runs)} runs in {found.folder}; * is the model that is there now."]]
    lines += [[f"{name} cannot be read: delete it."] for name in found.damaged]
    print_table([""], lines)


def _row(run: "PastRun") -> list[str]:
    ended = str(run.lineage.get("ended", ""))[:19].replace("T", " ")
    accuracy = "-"
    if run.accuracy:
        value, low, high = run.accuracy
        accuracy = f"{value:.1%} ({low:.1%} to {high:.1%})"
    return [
        "*" if run.current else "",
        ended,
        str(run.lineage["model"]),
        f"{run.samples:,}",
        str(run.settings.get("backbone", "-")),
        str(run.settings.get("size", "-")),
        accuracy,
        _number(run.metrics.get("cross_validated", {}), "log_loss", 4),
        _number(run.seconds, "total", 1),
        "the first" if run.changed is None else "; ".join(run.changed) or "nothing",
    ]


def _number(values: Mapping[str, Any], name: str, digits: int) -> str:
    value = values.get(name)
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else "-"
