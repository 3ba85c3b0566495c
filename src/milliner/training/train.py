"""The training pipeline, top to bottom: open, embed, choose, fit, write, compare."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

from milliner import __version__
from milliner.backbones.backbone import DEFAULT
from milliner.classifier.metadata import BackboneIdentity, Metadata
from milliner.classifier.operating_point import OperatingPoint
from milliner.core.errors import DatasetError, SettingsError
from milliner.core.imagenet import class_index
from milliner.core.picture_set import MAX_PICTURES, PictureSet
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset
from milliner.core.seed import check_seed
from milliner.curation.engine import engine as start_engine
from milliner.probe.cache import default_cache
from milliner.probe.choose import Choice, choose_strength
from milliner.probe.embed import Embedded, embed
from milliner.probe.head import fit_head
from milliner.shards.dataset import open_dataset
from milliner.training.backbones import Request, Settled
from milliner.training.export import export
from milliner.training.finetune.settings import FineTuning
from milliner.training.finetune.tune import FineTuned, Tuner, check_fine_tuning
from milliner.training.solution import Solution

_COMPARED: Final = 4  # real samples that the written file is compared over; a wrong graph is wrong on each of them


@dataclass(frozen=True)
class TrainResult:
    """What training made and how it went."""

    model: Path
    labels: tuple[str, ...]
    samples: int
    set_aside: Mapping[str, str]
    seconds: Mapping[str, float]
    """`embed`, `fit` (cross-validation and the final head), `fine-tune` where that was asked for, and `total`."""
    choice: Choice
    hits: int
    misses: int
    difference: float
    """Largest difference between the written file's outputs and what was trained, over real samples."""
    settled: Settled
    """The backbone, and how it was chosen where it was."""
    fine_tuning: FineTuned | None = None
    """How that went, where it was asked for."""

    def to_json(self) -> dict[str, Any]:
        """The `train --json` shape."""
        document = {
            "model": str(self.model),
            "labels": list(self.labels),
            "samples": self.samples,
            "seconds": dict(self.seconds),
            "cross_validated": self.choice.metrics(),
            "cache": {"hits": self.hits, "misses": self.misses},
            "strength": self.choice.strength,
            **self.settled.to_json(),
            "difference": self.difference,
            "set_aside": [{"file": file, "reason": reason} for file, reason in self.set_aside.items()],
        }
        return document | {"fine_tuning": self.fine_tuning.metrics()} if self.fine_tuning else document


def train(
    dataset: str | Path | Dataset,
    *,
    into: str | Path,
    init: Mapping[str, str] | None = None,
    abstain_below: float = 0.0,
    size: int | None = None,
    backbone: str = DEFAULT,
    weights: str | Path | None = None,
    seed: int = 0,
    engine: str = "local",
    cache: str | Path | None = None,
    fine_tune: FineTuning | None = None,
    progress: Progress = silent,
) -> TrainResult:
    """Fits a new head to a pretrained backbone and writes one ``.onnx`` file.

    Only the given dataset is looked at: give the training split. The same dataset, options and version give the
    same bytes.

    Args:
        dataset: a folder of class folders, a ``.rec`` file, a URL of one of these, or an open dataset.
        into: the model file, ending in ``.onnx``.
        init: label to the ImageNet class that means it, such as ``{"helmet": "crash helmet"}``; evaluations then
            compare with what the network could do before training.
        abstain_below: the model abstains where its best probability is lower, 0 to below 1.
        size: pixels a side of the square that the network sees, a multiple of the backbone's stride; the backbone's
            own when left out.
        backbone: a name of `list_backbones`, ``onnx:FILE``, ``hf:REPO`` or ``timm:NAME``; ``auto`` compares those
            that are here by cross-validation.
        weights: a checkpoint of the same network in place of the published weights.
        seed: decides the folds of the cross-validation.
        engine: what embeds the pictures: ``local`` for this machine's cores, ``ray`` for a cluster's machines.
        cache: the embedding cache; the project's, or the user's outside of any project, when left out.
        fine_tune: trains the whole network on as well; it is written if it beats the linear head on pictures of the
            training split that are held out. Needs PyTorch.
        progress: told of every picture and fit.

    Raises:
        DatasetError: there are fewer than two classes, or a class has fewer than two usable pictures.
        ModelError: the written file does not do what was trained.
        SettingsError: an option does not hold together.
    """
    start = perf_counter()
    check_seed(seed)
    path, request = _model_path(into), Request.of(backbone, weights, size, init or {})
    point = _operating_point(abstain_below)
    if fine_tune is not None:
        check_fine_tuning(fine_tune, request)
    samples = open_dataset(dataset, progress) if isinstance(dataset, str | Path) else dataset
    named = _check_init(init or {}, samples)
    memory = Path(cache) if cache else default_cache()
    with start_engine(engine) as spread:
        settled = request.settle(samples, memory, seed, progress, spread)
        net, policy = settled.net, settled.policy
        embedded = embed(samples, net, policy, memory, progress, spread)
    embedding_ended = perf_counter()
    _check_classes(samples, embedded)
    choice = choose_strength(embedded.embeddings, embedded.targets, len(samples.labels), seed, progress)
    head = fit_head(embedded.embeddings, embedded.targets, len(samples.labels), choice.strength)
    figures = {"cross_validated": choice.metrics(), **settled.metrics}
    solution = Solution(net, head, policy, embedded.embeddings, figures)
    fitting_ended = perf_counter()
    tuner = Tuner(net, fine_tune, policy, seed, memory, path, progress) if fine_tune else None
    tuned = tuner.run(samples, embedded, choice) if tuner else None
    solution = tuned.instead_of(solution) if tuned else solution
    tuning_ended = perf_counter()
    metadata = Metadata(
        labels=samples.labels,
        resize=solution.policy,
        backbone=BackboneIdentity(net.name, net.sha256, solution.tuned),
        operating_point=point,
        init=named,
        dataset=_describe(samples, embedded),
        trained_on=PictureSet.of(embedded.sha256 if len(embedded.sha256) <= MAX_PICTURES else ()),
        metrics=solution.metrics,
        lineage={"milliner": __version__, "seed": seed, "strength": choice.strength, **settled.lineage},
    )
    compared = _spread(embedded)
    pictures = [samples[place].encoded for place in embedded.places[compared]]
    difference = export(path, solution.body, solution.head, metadata, pictures, solution.embeddings[compared])
    if tuner:
        tuner.finish()
    seconds = {
        "embed": embedding_ended - start,
        "fit": fitting_ended - embedding_ended,
        **({"fine-tune": tuning_ended - fitting_ended} if tuned else {}),
        "total": perf_counter() - start,
    }
    return TrainResult(
        model=path,
        labels=samples.labels,
        samples=len(embedded.targets),
        set_aside=embedded.set_aside,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        choice=choice,
        hits=embedded.hits,
        misses=embedded.misses,
        difference=difference,
        settled=settled,
        fine_tuning=tuned,
    )


def _model_path(into: str | Path) -> Path:
    path = Path(into)
    if path.suffix != ".onnx":
        better = path.with_suffix(".onnx") if path.name else "model.onnx"
        raise SettingsError(f"The model file must end in .onnx, not be {str(into)!r}; try {better}.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(parent, os.W_OK):  # better said before the work than after it
        raise SettingsError(f"{parent} cannot be written; check its rights, or give another --into.")
    return path


def _operating_point(abstain_below: float) -> OperatingPoint:
    try:
        return OperatingPoint(abstain_below)
    except ValueError as error:
        raise SettingsError(f"{error}; 0.6 abstains where the best probability is under 60 %.") from error


def _check_init(init: Mapping[str, str], samples: Dataset) -> dict[str, str]:
    for label, name in init.items():
        if label not in samples.labels:
            raise SettingsError(f"init names the class {label!r}, but the classes are {', '.join(samples.labels)}.")
        class_index(name)
    return dict(init)


def _check_classes(samples: Dataset, embedded: Embedded) -> None:
    counts = np.bincount(embedded.targets, minlength=len(samples.labels))
    if len(counts) < 2:
        raise DatasetError(f"{samples.name} has one class, {samples.labels[0]}; add pictures of a second class.")
    for label, count in zip(samples.labels, counts, strict=True):
        if count < 2:
            raise DatasetError(
                f"Class {label!r} in {samples.name} has {count} usable picture(s); add more, two are the least."
            )


def _describe(samples: Dataset, embedded: Embedded) -> dict[str, Any]:
    counts = np.bincount(embedded.targets, minlength=len(samples.labels))
    return {
        "name": Path(samples.name).name.encode(errors="replace").decode(),  # not every file name is UTF-8
        "fingerprint": embedded.fingerprint,
        "samples": len(embedded.targets),
        "per_class": {label: int(count) for label, count in zip(samples.labels, counts, strict=True)},
    }


def _spread(embedded: Embedded) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows to compare over: evenly spread over the samples in the order of their classes."""
    by_class = np.argsort(embedded.targets, kind="stable")
    chosen = np.linspace(0, len(by_class) - 1, min(_COMPARED, len(by_class))).round().astype(np.int64)
    return by_class[chosen]
