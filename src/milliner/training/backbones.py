"""Which backbone a training uses: what was asked for, checked before any work, and settled once pictures are there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from milliner.backbones.backbone import Backbone, available, imagenet_head_of
from milliner.backbones.backbone import backbone as find_backbone
from milliner.core.errors import SettingsError
from milliner.core.imagenet import class_index
from milliner.core.parallel import Spread
from milliner.core.progress import Progress
from milliner.core.sample import Dataset
from milliner.images.resize import ResizePolicy
from milliner.probe.warm_start import Named
from milliner.training.auto import AutoChoice, choose_backbone

AUTO: Final = "auto"


@dataclass(frozen=True)
class Settled:
    """The backbone that is trained on."""

    net: Backbone
    policy: ResizePolicy
    auto: AutoChoice | None = None
    """How it was chosen, where it was."""

    @property
    def lineage(self) -> dict[str, Any]:
        """What a model file must say of weights that are not those of a plug-in: whose they are."""
        plugin = available().get(self.net.name)
        if plugin is not None and self.net.sha256.startswith(plugin.published):
            return {}
        return {"backbone_licence": self.net.licence, "backbone_origin": self.net.origin}

    @property
    def settings(self) -> dict[str, Any]:
        """As a run keeps it; the weights by their content, since a file's name says little."""
        return {"backbone": self.net.name, "weights": self.net.sha256[:12], "size": self.policy.size}

    @property
    def metrics(self) -> dict[str, Any]:
        """What the comparison found, without timings, which differ from run to run."""
        return {} if self.auto is None else {"backbones": [trial.figures() for trial in self.auto.trials]}

    def to_json(self) -> dict[str, Any]:
        """As `train --json` says it."""
        document: dict[str, Any] = {
            "backbone": {"name": self.net.name, "sha256": self.net.sha256, "size": self.policy.size}
        }
        return document if self.auto is None else document | {"auto": self.auto.to_json()}


def begin_as(net: Backbone, init: Mapping[str, str]) -> Named | None:
    """The ImageNet classes that a head on this backbone begins with; None where it has no linear classifier of them."""
    imagenet = imagenet_head_of(net.name, net.sha256) if init and net.has_imagenet_head else None
    if imagenet is None or not imagenet.linear:
        return None
    return Named(imagenet.weight, tuple(sorted({class_index(name) for name in init.values()})))


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    net: Backbone | None
    """None is for choosing one."""
    size: int | None

    @classmethod
    def of(cls, name: str, weights: str | Path | None, size: int | None, init: Mapping[str, str]) -> "Request":
        """Checks what can be checked without pictures; raises SettingsError or ModelError."""
        if name == AUTO:
            if weights is not None:
                raise SettingsError(f"Weights belong to one network; name it instead of {AUTO!r}.")
            return cls(None, size)
        net = find_backbone(name, weights)
        net.input.resize(size, net.name)
        if init and not net.has_imagenet_head:
            net.imagenet_head()
        return cls(net, size)

    def settle(self, samples: Dataset, cache: Path, seed: int, progress: Progress, spread: Spread) -> Settled:
        """Brings the backbone here, or chooses one on the pictures; raises ModelError or SettingsError."""
        auto = None if self.net is not None else choose_backbone(samples, self.size, cache, seed, progress, spread)
        net = self.net or find_backbone(auto.name if auto is not None else "")
        net.prepare(progress)
        return Settled(net, net.input.resize(self.size, net.name), auto)
