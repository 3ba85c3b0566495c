"""``milliner train``."""

from pathlib import Path

import click

from milliner.cli.backbones import backbone_options, print_backbones, print_comparison
from milliner.cli.fine_tuning import Device, fine_tune_options, fine_tuning
from milliner.cli.options import Naming
from milliner.cli.terminal import common_options, engine_option, print_json, print_table, progress, seed_option
from milliner.cli.training_texts import curve_lines, result_rows, show_history


@click.command()
@click.argument("dataset", type=click.Path(), required=False)
@click.option("--into", type=click.Path(path_type=Path), help="The model file, ending in .onnx.")
@click.option(
    "--init", type=Naming(), multiple=True, help='The ImageNet class that means a label: helmet="crash helmet"'
)
@click.option("--abstain-below", type=float, default=0.0, help="Abstain where the best probability is lower.")
@click.option("--size", type=int, help="Pixels a side that the network sees.  [default: the backbone's own]")
@backbone_options
@fine_tune_options
@click.option("--int8", is_flag=True, help="Write M.int8.onnx beside the model: smaller and faster, in 8-bit integers.")
@click.option("--allow-drop", type=float, help="Points of accuracy that --int8 may cost.  [default: 0.5]")
@click.option("--history", is_flag=True, help="Compare the trainings so far, of the model --into or of this folder.")
@engine_option
@seed_option
@common_options
def train(
    dataset: str | None,
    into: Path | None,
    init: tuple[tuple[str, str], ...],
    abstain_below: float,
    size: int | None,
    backbone: str,
    weights: Path | None,
    list_backbones: bool,
    fine_tune: bool,
    epochs: int | None,
    device: Device | None,
    tune_size: int | None,
    int8: bool,
    allow_drop: float | None,
    history: bool,
    engine: str,
    seed: int,
    as_json: bool,
) -> None:
    """Fit a classifier to DATASET (a folder of class folders, a .rec file, or a URL of one: the training split).

    Embeddings are remembered, so that training again on the same pictures takes about a second.
    """
    if list_backbones:
        print_backbones(as_json)
        return
    if history:
        show_history(into, as_json)
        return
    if dataset is None or into is None:
        missing = "argument 'DATASET'" if dataset is None else "option '--into'"
        raise click.UsageError(f"Missing {missing}; give both, or --history to compare the trainings so far.")
    if allow_drop is not None and not int8:
        raise click.UsageError("--allow-drop goes with --int8.")
    from milliner.training.train import train as fit

    tuning = fine_tuning(fine_tune, epochs, device, tune_size)
    result = fit(
        dataset,
        into=into,
        init=dict(init),
        abstain_below=abstain_below,
        size=size,
        backbone=backbone,
        weights=weights,
        seed=seed,
        engine=engine,
        fine_tune=tuning,
        int8=int8,
        allow_drop=allow_drop,
        progress=progress,
    )
    if as_json:
        print_json(result.to_json())
        return
    if result.settled.auto is not None:
        print_comparison(result.settled.auto)
    print_table(["", ""], result_rows(result))
    if result.curve:
        print_table([""], [[line] for line in ["", *curve_lines(result.curve)]])
