"""``--fine-tune`` and what goes with it; a line on stderr for every epoch."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from milliner.cli.sections import SectionOption

if TYPE_CHECKING:
    from milliner.training.finetune.figures import Epoch
    from milliner.training.finetune.settings import FineTuning

Function = TypeVar("Function", bound=Callable[..., Any])
Device = Literal["auto", "cpu", "cuda"]

_option: Final = partial(click.option, cls=SectionOption, section="Fine-tuning")


def fine_tune_options(function: Function) -> Function:
    """Adds ``--fine-tune``, ``--epochs``, ``--device`` and ``--fine-tune-size`` (as `tune_size`) to a command."""
    options = (
        _option("--fine-tune", is_flag=True, help="Train the whole network on as well; needs milliner[torch]."),
        _option("--epochs", type=int, help="Times that every picture is seen, at most."),
        _option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="What computes."),
        _option(
            "--fine-tune-size", "tune_size", type=int, help="Pixels a side that the network sees meanwhile and after."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def fine_tuning(asked: bool, epochs: int | None, device: Device | None, size: int | None) -> "FineTuning | None":
    """What the options say; None without ``--fine-tune``, where the others are wrong usage."""
    from milliner.training.finetune.settings import FineTuning

    if not asked:
        for name, value in {"epochs": epochs, "device": device, "fine-tune-size": size}.items():
            if value is not None:
                raise click.UsageError(f"--{name} goes with --fine-tune.")
        return None
    usual = FineTuning()
    return FineTuning(
        epochs=usual.epochs if epochs is None else epochs,
        size=size,
        device=device or usual.device,
        on_epoch=_say,
    )


def _say(epoch: "Epoch") -> None:
    found = epoch.validation
    click.echo(
        f"epoch {epoch.number}/{epoch.epochs}: training loss {epoch.training_loss:.4f}, "
        f"validation loss {found.log_loss:.4f}, accuracy {found.accuracy:.1%}",
        err=True,
    )
