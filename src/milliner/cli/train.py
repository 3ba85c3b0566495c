"""``milliner train``."""

from pathlib import Path
from typing import Any

import click

from milliner.cli.options import Naming
from milliner.cli.terminal import common_options, engine_option, print_json, print_table, progress, seed_option
from milliner.cli.wishes import SectionedCommand, wish_options
from milliner.images.resize import DEFAULT_SIZE


@click.command(cls=SectionedCommand)
@click.argument("dataset", type=click.Path())
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The model file, ending in .onnx.")
@click.option(
    "--init", type=Naming(), multiple=True, help='The ImageNet class that means a label: helmet="crash helmet"'
)
@click.option("--size", type=int, default=DEFAULT_SIZE, show_default=True, help="Pixels a side that the network sees.")
@wish_options
@engine_option
@seed_option
@common_options
def train(
    dataset: str,
    into: Path,
    init: tuple[tuple[str, str], ...],
    wishes: Any,
    size: int,
    engine: str,
    seed: int,
    as_json: bool,
) -> None:
    """Fit a classifier to DATASET (a folder of class folders, a .rec file, or a URL of one: the training split).

    Embeddings are remembered, so that training again on the same pictures takes about a second.
    """
    from milliner.training.train import train as fit

    result = fit(
        dataset,
        into=into,
        init=dict(init),
        wishes=wishes,
        size=size,
        seed=seed,
        engine=engine,
        progress=progress,
    )
    if as_json:
        print_json(result.to_json())
        return
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in result.seconds.items())
    set_aside = [["set aside", ", ".join(f"{key} ({reason})" for key, reason in result.set_aside.items())]]
    rows = [
        ["model", str(result.model)],
        ["classes", ", ".join(result.labels)],
        ["pictures", f"{result.samples} ({result.hits} remembered, {result.misses} embedded)"],
        *(set_aside if result.set_aside else []),
        ["cross-validated", f"accuracy {result.choice.accuracy:.1%} in {result.choice.folds} folds"],
        *([term, text] for term, text in result.reliability.rows()),
        ["file checked", f"outputs within {result.difference:.0e} of what was trained"],
        ["time", seconds],
    ]
    print_table(["", ""], rows)
