"""``milliner evaluate``."""

from pathlib import Path

import click

from milliner.cli.figures import print_figures
from milliner.cli.terminal import common_options, console, print_json, progress


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path())
@click.option("--report", type=click.Path(path_type=Path), help="Write a page with figures, curves and mistakes.")
@common_options
def evaluate(model: Path, dataset: str, report: Path | None, as_json: bool) -> None:
    """Measure MODEL on DATASET, which it must not have seen, beside what was known without training."""
    from milliner.evaluation.evaluate import evaluate as measure

    result = measure(model, dataset, report=report, progress=progress)
    if as_json:
        print_json(result.to_json())
        return
    print_figures(result)
    if report:
        console().print(f"\nReport  {report}", markup=False)
