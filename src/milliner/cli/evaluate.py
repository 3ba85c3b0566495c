"""``milliner evaluate``."""

from pathlib import Path
from typing import Any

import click

from milliner.cli.terminal import common_options, console, print_json, print_table, progress, runtime_option
from milliner.cli.text import printable


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path())
@click.option("--report", type=click.Path(path_type=Path), help="Write a page with figures, curves and mistakes.")
@runtime_option
@common_options
def evaluate(model: Path, dataset: str, report: Path | None, runtime: str, as_json: bool) -> None:
    """Measure MODEL on DATASET, which it must not have seen, beside what was known without training."""
    from milliner.evaluation.evaluate import evaluate as measure

    result = measure(model, dataset, report=report, runtime=runtime, progress=progress)
    if as_json:
        print_json(result.to_json())
        return
    out = console()
    out.print(printable(result.verdict), style="bold", markup=False)
    for note in result.notes:
        out.print(printable(note), style="yellow", markup=False)
    document = result.to_json()
    before = document["before"]
    out.print()
    print_table(["", "before", "after"], _figures(before, document), numbers=(1, 2))
    out.print(printable(f"before: {before['kind']}"), style="dim", markup=False)
    out.print()
    rows = [
        [label, f"{row['precision']:.1%}", f"{row['recall']:.1%}", f"{row['f1']:.1%}", str(row["support"])]
        for label, row in document["per_class"].items()
    ]
    print_table(["class", "precision", "recall", "F1", "pictures"], rows, numbers=(1, 2, 3, 4))
    if report:
        out.print(f"\nReport  {report}", markup=False)


def _figures(before: dict[str, Any], after: dict[str, Any]) -> list[list[str]]:
    def interval(figures: dict[str, Any]) -> str:
        low, high = figures["accuracy"]["interval"]
        return f"{figures['accuracy']['value']:.1%} ({low:.1%} to {high:.1%})"

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    return [
        ["accuracy (95 % interval)", interval(before), interval(after)],
        ["ROC AUC", number(before["roc_auc"]), number(after["roc_auc"])],
        ["log loss", number(before["log_loss"]), number(after["log_loss"])],
    ]
