"""``--int8`` and what goes with it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from milliner.cli.sections import SectionOption

if TYPE_CHECKING:
    from milliner.training.int8.quantise import Quantised

Function = TypeVar("Function", bound=Callable[..., Any])

_SECTION: Final = "In 8 bits"


def int8_options(function: Function) -> Function:
    """Adds ``--int8`` and ``--allow-drop``."""
    int8 = click.option(
        "--int8",
        is_flag=True,
        cls=SectionOption,
        section=_SECTION,
        help="Write M.int8.onnx beside the model: smaller and faster, in 8-bit integers.",
    )
    allow_drop = click.option(
        "--allow-drop",
        type=float,
        cls=SectionOption,
        section=_SECTION,
        help="Points of accuracy that --int8 may cost.  [default: 0.5]",
    )
    return int8(allow_drop(function))


def check_int8(int8: bool, allow_drop: float | None) -> None:
    """Wrong usage where an allowance has nothing to be for."""
    if allow_drop is not None and not int8:
        raise click.UsageError("--allow-drop goes with --int8.")


def int8_rows(small: "Quantised") -> Iterator[tuple[str, str]]:
    """What rounding cost and brought."""
    accuracy = f"accuracy {small.before.accuracy:.1%} before, {small.after.accuracy:.1%} after"
    log_loss = f"log loss {small.before.log_loss:.4f}, {small.after.log_loss:.4f}"
    yield "in 8 bits", str(small.model)
    yield "", f"{accuracy}, {log_loss} (cross-validated on {small.measured} training pictures)"
    yield "", f"{small.bytes_before / 1e6:.1f} MB before, {small.bytes_after / 1e6:.1f} MB after"
