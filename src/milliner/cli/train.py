"""``milliner train``."""

from pathlib import Path

import click

from milliner.cli.backbones import backbone_options, print_backbones, print_comparison
from milliner.cli.fine_tuning import Device, fine_tune_options, fine_tuning
from milliner.cli.options import Naming
from milliner.cli.terminal import common_options, engine_option, print_json, print_table, progress, seed_option


@click.command()
@click.argument("dataset", type=click.Path(), required=False)
@click.option("--into", type=click.Path(path_type=Path), help="The model file, ending in .onnx; needed.")
@click.option(
    "--init", type=Naming(), multiple=True, help='The ImageNet class that means a label: helmet="crash helmet"'
)
@click.option("--abstain-below", type=float, default=0.0, help="Abstain where the best probability is lower.")
@click.option("--size", type=int, help="Pixels a side that the network sees.  [default: the backbone's own]")
@backbone_options
@fine_tune_options
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
    if dataset is None or into is None:
        raise click.UsageError(f"Missing {'argument DATASET' if dataset is None else 'option --into'}.")
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
        progress=progress,
    )
    if as_json:
        print_json(result.to_json())
        return
    if result.settled.auto is not None:
        print_comparison(result.settled.auto)
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in result.seconds.items())
    set_aside = [["set aside", ", ".join(f"{key} ({reason})" for key, reason in result.set_aside.items())]]
    rows = [
        ["model", str(result.model)],
        ["backbone", f"{result.settled.net.name} at {result.settled.policy.size} pixels a side"],
        ["classes", ", ".join(result.labels)],
        ["pictures", f"{result.samples} ({result.hits} remembered, {result.misses} embedded)"],
        *(set_aside if result.set_aside else []),
        ["cross-validated", f"accuracy {result.choice.accuracy:.1%} in {result.choice.folds} folds"],
        *([["fine-tuning", result.fine_tuning.sentence()]] if result.fine_tuning else []),
        ["file checked", f"outputs within {result.difference:.0e} of what was trained"],
        ["time", seconds],
    ]
    print_table(["", ""], rows)
