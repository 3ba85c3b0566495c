"""Milliner fits a new head to a pretrained network: custom image classifiers for cameras.

Every stage is one call here and one command of the same name:
`new`, `run`, `fetch`, `check`, `pack`, `train`, `evaluate`, and `load(path).predict(picture)`; `open_dataset` reads
what `pack` wrote, and `verify`, `repair` and `convert` are what `milliner shards` does.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from milliner.backbones.backbone import list_backbones
    from milliner.classifier.model import Model, load
    from milliner.core.errors import MillinerError
    from milliner.core.prediction import Prediction
    from milliner.curation.check import check
    from milliner.curation.pack import pack
    from milliner.evaluation.evaluate import evaluate
    from milliner.project.create import new
    from milliner.project.run import run
    from milliner.shards.convert import convert
    from milliner.shards.dataset import open_dataset
    from milliner.shards.repair import repair
    from milliner.shards.verify import verify
    from milliner.sources.fetch import fetch
    from milliner.sources.report import fetch_report, write_attribution
    from milliner.sources.web.manners import Manners
    from milliner.training.finetune.settings import FineTuning
    from milliner.training.history import history
    from milliner.training.train import train
    from milliner.training.wishes import Wishes

__all__ = [
    "FineTuning",
    "Manners",
    "MillinerError",
    "Model",
    "Prediction",
    "Wishes",
    "__version__",
    "check",
    "convert",
    "evaluate",
    "fetch",
    "fetch_report",
    "history",
    "list_backbones",
    "load",
    "new",
    "open_dataset",
    "pack",
    "repair",
    "run",
    "train",
    "verify",
    "write_attribution",
]

_HOMES = {
    "FineTuning": "milliner.training.finetune.settings",
    "MillinerError": "milliner.core.errors",
    "Manners": "milliner.sources.web.manners",
    "Model": "milliner.classifier.model",
    "Prediction": "milliner.core.prediction",
    "Wishes": "milliner.training.wishes",
    "check": "milliner.curation.check",
    "convert": "milliner.shards.convert",
    "evaluate": "milliner.evaluation.evaluate",
    "fetch": "milliner.sources.fetch",
    "fetch_report": "milliner.sources.report",
    "history": "milliner.training.history",
    "list_backbones": "milliner.backbones.backbone",
    "load": "milliner.classifier.model",
    "new": "milliner.project.create",
    "open_dataset": "milliner.shards.dataset",
    "pack": "milliner.curation.pack",
    "repair": "milliner.shards.repair",
    "run": "milliner.project.run",
    "train": "milliner.training.train",
    "verify": "milliner.shards.verify",
    "write_attribution": "milliner.sources.report",
}


def __getattr__(name: str) -> Any:
    """Imports a stage when it is first asked for, so that `import milliner` costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
