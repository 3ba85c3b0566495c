"""What training made and how it went."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from milliner.probe.choose import Choice
from milliner.training.backbones import Settled
from milliner.training.finetune.tune import FineTuned
from milliner.training.int8.quantise import Quantised
from milliner.training.learning_curve import LearningCurve
from milliner.training.reliability import Reliability


@dataclass(frozen=True)
class TrainResult:
    """What training made and how it went."""

    model: Path
    labels: tuple[str, ...]
    samples: int
    set_aside: Mapping[str, str]
    init: Mapping[str, str]
    """Label to the ImageNet class that means it, as was asked."""
    warm: bool
    """Whether the head began as these; not where the backbone's ImageNet classifier is more than one layer."""
    seconds: Mapping[str, float]
    """`embed`, `fit` (cross-validation and the final head), `fine-tune` and `int8` where asked for, and `total`."""
    choice: Choice
    """How the linear head was found."""
    reliability: Reliability
    """Temperature and operating point of what was written, and what they give on pictures left out."""
    hits: int
    misses: int
    difference: float
    """Largest difference between the written file's outputs and what was trained, over real samples."""
    settled: Settled
    """The backbone, and how it was chosen where it was."""
    curve: LearningCurve | None
    """Accuracy against the number of pictures; None where there are too few."""
    run: Path
    """The folder that keeps this training."""
    fine_tuning: FineTuned | None = None
    """How that went, where it was asked for."""
    int8: Quantised | None = None
    """The same model in 8-bit integers, where it was asked for."""

    def to_json(self) -> dict[str, Any]:
        """The `train --json` shape."""
        document: dict[str, Any] = {
            "model": str(self.model),
            "labels": list(self.labels),
            "samples": self.samples,
            "init": dict(self.init),
            "warm_start": self.warm,
            "seconds": dict(self.seconds),
            "cross_validated": self.choice.metrics(),
            **self.reliability.metrics(),
            "cache": {"hits": self.hits, "misses": self.misses},
            "strength": self.choice.strength,
            **self.settled.to_json(),
            "learning_curve": self.curve.to_json() if self.curve else None,
            "run": str(self.run),
            "difference": self.difference,
            "set_aside": [{"file": file, "reason": reason} for file, reason in self.set_aside.items()],
        }
        if self.fine_tuning:
            document["fine_tuning"] = self.fine_tuning.metrics()
        if self.int8:
            document["int8"] = self.int8.to_json()
        return document
