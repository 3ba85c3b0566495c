"""``milliner evaluate``."""

from pathlib import Path

import click

from milliner.cli.options import Shares, Words
from milliner.cli.terminal import common_options, console, print_json, progress, runtime_option


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path())
@click.option("--report", type=click.Path(path_type=Path), help="Write a page with figures, curves and mistakes.")
@click.option("--card", type=click.Path(path_type=Path), help="Write a model card in Markdown.")
@click.option("--train", type=click.Path(), help="The training pictures: tell which of DATASET look like one of them.")
@click.option("--against", type=click.Path(path_type=Path), help="Another model, asked about the same pictures.")
@click.option(
    "--slices", type=Words(), default=(), help="Tell pictures apart by columns, such as size or source,licence,day."
)
@click.option("--ledger", type=click.Path(path_type=Path), help="Where their origins are, if not beside the dataset.")
@click.option(
    "--at-false-alarms",
    type=Shares(),
    default="0.01,0.05",
    show_default=True,
    help="Tell how much of each class is found at these shares of false alarms.",
)
@runtime_option
@common_options
def evaluate(
    model: Path,
    dataset: str,
    report: Path | None,
    card: Path | None,
    train: str | None,
    against: Path | None,
    slices: tuple[str, ...],
    ledger: Path | None,
    at_false_alarms: tuple[float, ...],
    runtime: str,
    as_json: bool,
) -> None:
    """Measure MODEL on DATASET, which it must not have seen, beside what was known without training."""
    from milliner.cli.figures import print_figures  # which needs numpy
    from milliner.evaluation.evaluate import evaluate as measure

    result = measure(
        model,
        dataset,
        report=report,
        card=card,
        train=train,
        against=against,
        slices=slices,
        ledger=ledger,
        at_false_alarms=at_false_alarms,
        runtime=runtime,
        progress=progress,
    )
    if as_json:
        print_json(result.to_json())
        return
    print_figures(result)
    if report or card:
        console().print()
    if report:
        console().print(f"Report  {report}", markup=False)
    if card:
        console().print(f"Card    {card}", markup=False)
