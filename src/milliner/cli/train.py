"""``milliner train``."""

from pathlib import Path

import click

from milliner.cli.options import Naming
from milliner.cli.terminal import common_options, engine_option, print_json, print_table, progress, seed_option
from milliner.cli.training_texts import curve_lines, print_history
from milliner.images.resize import DEFAULT_SIZE


@click.command()
@click.argument("dataset", type=click.Path(), required=False)
@click.option("--into", type=click.Path(path_type=Path), help="The model file, ending in .onnx.")
@click.option(
    "--init", type=Naming(), multiple=True, help='The ImageNet class that means a label: helmet="crash helmet"'
)
@click.option("--abstain-below", type=float, default=0.0, help="Abstain where the best probability is lower.")
@click.option("--size", type=int, default=DEFAULT_SIZE, show_default=True, help="Pixels a side that the network sees.")
@click.option("--history", is_flag=True, help="Compare the trainings so far, of the model --into or of this folder.")
@engine_option
@seed_option
@common_options
def train(
    dataset: str | None,
    into: Path | None,
    init: tuple[tuple[str, str], ...],
    abstain_below: float,
    size: int,
    history: bool,
    engine: str,
    seed: int,
    as_json: bool,
) -> None:
    """Fit a classifier to DATASET (a folder of class folders, a .rec file, or a URL of one: the training split).

    Embeddings are remembered, so that training again on the same pictures takes about a second.
    """
    if history:
        _show_history(into, as_json)
        return
    if dataset is None or into is None:
        missing = "argument 'DATASET'" if dataset is None else "option '--into'"
        raise click.UsageError(f"Missing {missing}; give both, or --history to compare the trainings so far.")
    from milliner.training.train import train as fit

    result = fit(
        dataset,
        into=into,
        init=dict(init),
        abstain_below=abstain_below,
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
        ["file checked", f"outputs within {result.difference:.0e} of what was trained"],
        ["time", seconds],
        ["run", str(result.run)],
    ]
    print_table(["", ""], rows)
    if result.curve:
        print_table([""], [[line] for line in ["", *curve_lines(result.curve)]])


def _show_history(into: Path | None, as_json: bool) -> None:
    """Of a model, or of all in a project's ``models/`` or else in the current folder."""
    from milliner.training.history import history

    place = into or (Path("models") if Path("models/runs").is_dir() else Path())
    found = history(place)
    if as_json:
        print_json(found.to_json())
    else:
        print_history(found)
