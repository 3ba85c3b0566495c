"""What a fine-tuning may be told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from milliner.core.errors import SettingsError
from milliner.training.finetune.figures import Epoch

Device = Literal["auto", "cpu", "cuda"]

MAX_EPOCHS: Final = 1000
MAX_BATCH: Final = 1024
MAX_RATE: Final = 1.0


def _unheard(epoch: Epoch) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class FineTuning:
    """How the whole network is trained on; raises SettingsError where the values do not hold together."""

    epochs: int = 8
    """Times that every picture is seen, at most."""
    size: int | None = None
    """Pixels a side that the network sees; as many as the linear head's where it is left out. Half as many take a
    quarter of the time."""
    batch: int = 16
    """Pictures a step."""
    rate: float = 1e-3
    """Highest learning rate of the backbone, as a share of its weights' size: they are good already."""
    head_rate: float = 2e-3
    """Highest learning rate of the head, as a share of its weights' size."""
    weight_decay: float = 0.01
    smoothing: float = 0.02
    """What part of a picture's label is shared by all classes (Szegedy et al. 2016, arXiv:1512.00567)."""
    average: float = 0.97
    """What part of the averaged weights stays at a step; they are what is validated and kept. 0 averages nothing."""
    patience: int = 4
    """Epochs in a row that may bring no lower validation loss."""
    device: Device = "auto"
    """``auto`` takes a CUDA card where there is one."""
    on_epoch: Callable[[Epoch], None] = field(default=_unheard, compare=False, repr=False)
    """Told of every epoch as it ends."""

    def __post_init__(self) -> None:
        whole = {"epochs": MAX_EPOCHS, "batch": MAX_BATCH, "patience": MAX_EPOCHS}
        for name, most in whole.items():
            if not 1 <= getattr(self, name) <= most:
                raise SettingsError(f"fine-tuning: {name} must be 1 to {most}, not {getattr(self, name)}.")
        for name in ("rate", "head_rate"):
            if not 0 < getattr(self, name) <= MAX_RATE:
                raise SettingsError(f"fine-tuning: {name} must be above 0 and at most {MAX_RATE:g}, such as 1e-3.")
        for name in ("weight_decay", "smoothing", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"fine-tuning: {name} must be at least 0 and below 1, not {getattr(self, name)}.")
        if self.device not in get_args(Device):
            raise SettingsError(f"fine-tuning: device must be one of {', '.join(get_args(Device))}.")

    def to_json(self) -> dict[str, Any]:
        """What the result depends on, the device aside."""
        names = ("epochs", "size", "batch", "rate", "head_rate", "weight_decay", "smoothing", "average")
        return {name: getattr(self, name) for name in (*names, "patience")}
