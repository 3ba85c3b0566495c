"""The options and tables of `train` that are about backbones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from milliner.backbones.policy import DEFAULT
from milliner.backbones.pooling import POOLINGS
from milliner.cli.sections import SectionOption
from milliner.cli.terminal import print_json, print_table
from milliner.images.views import VIEWS

if TYPE_CHECKING:
    from milliner.training.auto import AutoChoice, Trial
    from milliner.training.trials import Found
    from milliner.training.trials import Trial as SearchTrial

Function = TypeVar("Function", bound=Callable[..., Any])

_option: Final = partial(click.option, cls=SectionOption, section="The network")


def backbone_options(function: Function) -> Function:
    """Adds ``--backbone``, ``--weights`` and ``--list-backbones``, and how it sees pictures."""
    name = _option(
        "--backbone",
        default=DEFAULT,
        show_default=True,
        help="One of --list-backbones; `auto` compares those that are here.",
    )
    weights = _option(
        "--weights",
        type=click.Path(path_type=Path),
        help="A checkpoint of that network, in place of the published weights.",
    )
    listed = _option("--list-backbones", is_flag=True, help="Show the backbones there are, and stop.")
    size = _option("--size", type=int, help="Pixels a side that the network sees.  [default: the backbone's own]")
    pooling = _option(
        "--pooling", type=click.Choice(list(POOLINGS)), help="How a map becomes one row.  [default: the backbone's own]"
    )
    views = _option("--views", type=click.Choice(list(VIEWS)), help="Fit the head to these as well.  [default: none]")
    averaged = _option("--average-views", is_flag=True, help="Average answers over the picture and its views.")
    budget = _option(
        "--budget", type=float, metavar="SECONDS", help="Choose size, pooling and views, where not given, in this time."
    )
    return name(weights(size(pooling(views(averaged(budget(listed(function))))))))


def print_backbones(as_json: bool) -> None:
    """What there is to choose from, and what brings what is not here."""
    from milliner.backbones.backbone import families, list_backbones

    rows, kinds = list_backbones(), families().values()
    states = [(family, family.readiness()) for family in kinds]
    if as_json:
        others = [
            {"usage": family.usage, "about": family.about, "ready": state.ready, "how": state.how}
            for family, state in states
        ]
        print_json({"backbones": rows, "families": others})
        return
    columns = ["backbone", "top-1", "MB", "size", "licence", "here"]
    table = [
        [
            row["name"],
            "" if row["imagenet_top1"] is None else f"{row['imagenet_top1']:.1%}",
            f"{row['megabytes']:.1f}",
            str(row["input"]["size"]),
            row["licence"],
            f"{'yes' if row['ready'] else 'no'}: {row['how']}",
        ]
        for row in rows
    ]
    print_table(columns, table, numbers=range(1, 4), whole=range(5))
    click.echo()
    print_table(
        ["", "", ""],
        [[family.usage, family.about, f"{'yes' if state.ready else 'no'}: {state.how}"] for family, state in states],
        whole=(0,),
    )


def print_comparison(found: "AutoChoice") -> None:
    """What each backbone would give and cost, the cheapest first."""
    columns = ["backbone", "size", "accuracy", "log loss", "+-", "ms", "G mult.", "MB", ""]
    print_table(
        columns, [_row(trial, trial.name == found.name) for trial in found.trials], numbers=range(1, 8), whole=(0,)
    )
    click.echo(f"{found.sentence} (cross-validated on {found.pictures} pictures)\n")


def _row(trial: "Trial", taken: bool) -> list[str]:
    figures = (trial.accuracy, trial.log_loss, trial.standard_error)
    forms = ("{:.1%}", "{:.3f}", "{:.3f}")
    return [
        trial.name,
        str(trial.size),
        *("" if value is None else form.format(value) for value, form in zip(figures, forms, strict=True)),
        "" if trial.milliseconds is None else f"{trial.milliseconds:.0f}",
        f"{trial.giga_multiplications:.2f}",
        f"{trial.megabytes:.1f}",
        "taken" if taken else trial.left_out,
    ]


def print_search(found: "Found") -> None:
    """What each setting would give and cost, by size, the best first."""
    columns = ["size", "pooling", "views", "accuracy", "log loss", "G mult.", ""]
    print_table(columns, [_setting(trial, found) for trial in found.trials], numbers=(0, 3, 4, 5), whole=(1, 2))
    click.echo(f"{found.sentence} (cross-validated on {found.pictures} pictures)\n")


def _setting(trial: "SearchTrial", found: "Found") -> list[str]:
    setting = trial.setting
    return [
        str(setting.size),
        setting.pooling,
        setting.views,
        "" if trial.accuracy is None else f"{trial.accuracy:.1%}",
        "" if trial.log_loss is None else f"{trial.log_loss:.4f}",
        f"{trial.giga_multiplications:.2f}",
        "taken" if setting == found.setting else trial.left_out,
    ]
