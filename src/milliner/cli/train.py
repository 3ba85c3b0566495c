"""``milliner train``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from milliner.cli.options import Naming
from milliner.cli.terminal import common_options, engine_option, print_json, print_table, progress, seed_option
from milliner.images.resize import DEFAULT_SIZE

if TYPE_CHECKING:
    from milliner.training.int8.quantise import Quantised


@click.command()
@click.argument("dataset", type=click.Path())
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The model file, ending in .onnx.")
@click.option(
    "--init", type=Naming(), multiple=True, help='The ImageNet class that means a label: helmet="crash helmet"'
)
@click.option("--abstain-below", type=float, default=0.0, help="Abstain where the best probability is lower.")
@click.option("--size", type=int, default=DEFAULT_SIZE, show_default=True, help="Pixels a side that the network sees.")
@click.option("--int8", is_flag=True, help="Write M.int8.onnx beside the model: smaller and faster, in 8-bit integers.")
@click.option("--allow-drop", type=float, default=0.5, show_default=True, help="Points of accuracy --int8 may cost.")
@engine_option
@seed_option
@common_options
def train(
    dataset: str,
    into: Path,
    init: tuple[tuple[str, str], ...],
    abstain_below: float,
    size: int,
    int8: bool,
    allow_drop: float,
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
        abstain_below=abstain_below,
        size=size,
        int8=int8,
        allow_drop=allow_drop,
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
        *(_in_8_bits(result.int8) if result.int8 else []),
    ]
    print_table(["", ""], rows)


def _in_8_bits(small: "Quantised") -> list[list[str]]:
    accuracy = f"accuracy {small.before.accuracy:.1%} before, {small.after.accuracy:.1%} after"
    log_loss = f"log loss {small.before.log_loss:.4f}, {small.after.log_loss:.4f}"
    size = f"{small.bytes_before / 1e6:.1f} MB before, {small.bytes_after / 1e6:.1f} MB after"
    return [
        ["in 8 bits", str(small.model)],
        ["", f"{accuracy}, {log_loss} (cross-validated on {small.measured} training pictures)"],
        ["", size],
    ]
