"""``milliner train``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from milliner.cli.backbones import backbone_options, print_backbones, print_comparison, print_search
from milliner.cli.eight_bits import check_int8, int8_options
from milliner.cli.fine_tuning import Device, fine_tune_options, fine_tuning
from milliner.cli.options import Naming, once_each
from milliner.cli.sections import SectionedCommand
from milliner.cli.terminal import common_options, engine_option, print_json, print_table, progress, seed_option
from milliner.cli.training_texts import curve_lines, result_rows, show_history
from milliner.cli.wishes import wish_options

if TYPE_CHECKING:
    from milliner.training.wishes import Wishes


@click.command(cls=SectionedCommand)
@click.argument("dataset", type=click.Path(), required=False)
@click.option("--into", type=click.Path(path_type=Path), help="The model file, ending in .onnx.")
@click.option(
    "--init",
    type=Naming(),
    multiple=True,
    callback=once_each,
    help='The ImageNet class that means a label: helmet="crash helmet"',
)
@click.option("--history", is_flag=True, help="Compare the trainings so far, of the model --into or of this folder.")
@wish_options
@backbone_options
@fine_tune_options
@int8_options
@engine_option
@seed_option
@common_options
def train(
    dataset: str | None,
    into: Path | None,
    init: Mapping[str, str],
    history: bool,
    wishes: "Wishes",
    backbone: str,
    weights: Path | None,
    size: int | None,
    pooling: str | None,
    views: str | None,
    average_views: bool,
    budget: float | None,
    list_backbones: bool,
    fine_tune: bool,
    epochs: int | None,
    device: Device | None,
    tune_size: int | None,
    int8: bool,
    allow_drop: float | None,
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
    check_int8(int8, allow_drop)
    tuning = fine_tuning(fine_tune, epochs, device, tune_size)
    from milliner.training.train import train as fit

    result = fit(
        dataset,
        into=into,
        init=init,
        wishes=wishes,
        size=size,
        pooling=pooling,
        views=views,
        average_views=average_views,
        budget=budget,
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
    if result.settled.search is not None:
        print_search(result.settled.search)
    print_table(["", ""], result_rows(result))
    if result.curve:
        print_table([""], [[line] for line in ["", *curve_lines(result.curve)]])
