"""Fine-tuning from start to end: a linear head to begin with, the loop, and whether what came out is kept."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from milliner import __version__
from milliner.backbones.backbone import Backbone
from milliner.backbones.pooling import Block
from milliner.core.errors import DatasetError, ModelError, SettingsError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress
from milliner.core.sample import Dataset
from milliner.images.files import held_alone
from milliner.images.resize import ResizePolicy
from milliner.probe.choose import MAX_FOLDS, Choice, choose
from milliner.probe.class_weights import ClassWeights
from milliner.probe.embed import Embedded, embed, recipe
from milliner.probe.folds import stratified_folds
from milliner.probe.head import Head
from milliner.probe.warm_start import Named
from milliner.runtimes.runtime import Runtime, open_runtime
from milliner.training.backbones import Request
from milliner.training.finetune.checkpoint import Checkpoint
from milliner.training.finetune.figures import Epoch, Figures
from milliner.training.finetune.pictures import Pictures
from milliner.training.finetune.settings import FineTuning
from milliner.training.fit import chosen_head
from milliner.training.operate import check_promises
from milliner.training.reliability import Reliability, class_weights, reliability
from milliner.training.solution import Solution
from milliner.training.wishes import Wishes

if TYPE_CHECKING:
    from milliner.training.finetune.network import Network

TOLERANCE: Final = 1e-4
"""How far embeddings of the written graph may be from those of the network in torch."""

_COMPARED: Final = 4
_FEWEST: Final = 2  # pictures of a class that the head to begin with can be fitted and checked on
_OUTPUT: Final = "embedding"


@dataclass(frozen=True)
class Tuned:
    """A backbone whose weights were trained on, and the head that belongs to it."""

    model: ModelProto
    """The backbone's own graph with other weights."""
    blocks: tuple[Block, ...]
    """The parts of its embedding."""
    head: Head
    policy: ResizePolicy
    embeddings: NDArray[np.float32]
    """[n, width] of every picture of the training split, by the graph."""

    def graph(self) -> ModelProto:
        """A copy of the model."""
        copied = ModelProto()
        copied.CopyFrom(self.model)
        return copied


@dataclass(frozen=True)
class FineTuned:
    """How fine-tuning went, and its network where that is kept."""

    settings: FineTuning
    epochs: tuple[Epoch, ...]
    best: int
    """Number of the epoch whose weights these are, from 1."""
    linear: Figures
    """Of the linear head, fitted without the pictures that were held out, on those."""
    tuned: Figures
    """Of the fine-tuned network on the same pictures; a little flattered, since they chose its epoch."""
    network: Tuned | None
    """None where the linear head is as good."""
    held_out: NDArray[np.bool_]
    """[n] the usable pictures that validated."""
    logits: NDArray[np.float32]
    """[held out, classes] of the fine-tuned network."""
    reliability: Reliability | None
    """What these pictures tell of a network that is kept."""

    @property
    def kept(self) -> bool:
        """Whether the fine-tuned network is what is written."""
        return self.network is not None

    def instead_of(self, linear: Solution) -> Solution:
        """What is to be written."""
        if self.network is None or self.reliability is None:
            return replace(linear, metrics={**linear.metrics, "fine_tuning": self.metrics()})
        found, known = self.network, self.reliability
        head, metrics = known.calibration.apply(found.head), {**known.metrics(), "fine_tuning": self.metrics()}
        return Solution(found, head, found.policy, found.embeddings, known, metrics, tuned=True)

    def metrics(self) -> dict[str, Any]:
        """As it stands in a model's metadata and in ``train --json``."""
        return {
            "kept": self.kept,
            "best_epoch": self.best,
            "pictures": self.tuned.pictures,
            "linear": {"accuracy": self.linear.accuracy, "log_loss": self.linear.log_loss},
            "tuned": {"accuracy": self.tuned.accuracy, "log_loss": self.tuned.log_loss},
            "epochs": [each.to_json() for each in self.epochs],
            "settings": self.settings.to_json(),
        }

    def words(self) -> str:
        """Accuracy and log loss of the fine-tuned network."""
        return _words(self.tuned)

    def sentence(self) -> str:
        """Which of the two is written, and why."""
        figures = (
            f"on {self.tuned.pictures} pictures held out, fine-tuned {_words(self.tuned)} (epoch {self.best} of "
            f"{len(self.epochs)}), linear head {_words(self.linear)}"
        )
        if self.kept:
            return f"kept: {figures}"
        return f"not kept, the linear head is written (a lower log loss at no lower accuracy is asked for): {figures}"


def _words(figures: Figures) -> str:
    return f"accuracy {figures.accuracy:.1%}, log loss {figures.log_loss:.4f}"


def check_fine_tuning(settings: FineTuning, request: Request) -> None:
    """Raises SettingsError, before any work is done, where fine-tuning cannot be done as asked."""
    given = request.given
    if given.views not in (None, "none") or given.budget is not None:
        raise SettingsError(
            "Fine-tuning sees views of its own; leave views and the budget out, and choose size and pooling by hand."
        )
    if request.net is not None and settings.size is not None:
        request.net.input.resize(settings.size, request.net.name)
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "Fine-tuning needs PyTorch; install it with `pip install 'milliner[torch]'`, or leave --fine-tune out."
        ) from error
    from milliner.training.finetune.loop import device_of

    device_of(settings.device)


@dataclass(frozen=True)
class Tuner:
    """Fine-tunes one backbone for one model file; only one process at a time does it for a file."""

    net: Backbone
    settings: FineTuning
    policy: ResizePolicy
    """Of the linear head."""
    wishes: Wishes
    named: Named | None
    """What linear heads begin with."""
    seed: int
    cache: Path
    model: Path
    """The file that is to be written; an interrupted training's checkpoint lies beside it."""
    progress: Progress

    def run(self, samples: Dataset, embedded: Embedded, choice: Choice) -> FineTuned:
        """Trains the whole network on most of the training split, and compares it with the linear head on the rest.

        Nothing of a held-out picture is used but to choose the epoch and to decide between the two.

        Args:
            samples: the training split.
            embedded: its usable pictures.
            choice: how the linear head is fitted.

        Raises:
            DatasetError: a class has too few pictures to hold some out.
            ModelError: the backbone's graph cannot be trained, or is not written as it was trained.
            SettingsError: the training left all bounds, or the wishes are more than the pictures that are held out can
                promise.
        """
        from milliner.training.finetune.loop import fit

        held_out = self._held_out(embedded, choice)
        policy, classes = self._policy(), len(samples.labels)
        pictures = Pictures(samples, embedded.places, embedded.targets, held_out, policy)
        _check_parts(pictures)
        check_promises(self.wishes, embedded.targets[held_out], samples.labels)
        counted = class_weights(self.wishes, samples.labels)
        start, checkpoint = self._start(pictures, classes, counted), self._checkpoint(pictures, embedded)
        with held_alone(self.model.with_name(f".{self.model.name}.lock"), self.model):
            fitted = fit(
                pictures, self.net.graph(), start, counted, self.settings, self.seed, checkpoint, self.progress
            )
        network = self._network(pictures, fitted.weights, fitted.head)
        truth = embedded.targets[held_out]
        rival = self._linear(embedded.embeddings[~held_out], embedded.targets[~held_out], classes, choice, counted)
        linear = Figures.of(rival.logits(embedded.embeddings[held_out]), truth)
        logits = network.head.logits(network.embeddings[held_out])
        tuned = Figures.of(logits, truth)
        kept = network if tuned.beats(linear) else None
        features = network.embeddings[held_out, : self.net.widths[0]]
        known = self._reliability(logits, features, truth, samples.labels) if kept else None
        return FineTuned(self.settings, fitted.epochs, fitted.best, linear, tuned, kept, held_out, logits, known)

    def _reliability(
        self,
        logits: NDArray[np.float32],
        embeddings: NDArray[np.float32],
        truth: NDArray[np.int64],
        labels: Sequence[str],
    ) -> Reliability:
        """From the pictures that were held out alone: what the network was trained on lies too close together."""
        folds = int(min(MAX_FOLDS, len(truth)))
        return reliability(logits, embeddings, truth, stratified_folds(truth, folds, self.seed), labels, self.wishes)

    def _policy(self) -> ResizePolicy:
        size = self.settings.size
        return self.policy if size is None else self.net.input.resize(size, self.net.name)

    def finish(self) -> None:
        """Removes the checkpoint, once the model is written."""
        Checkpoint.of(self.model, {}).forget()

    def _linear(
        self,
        embeddings: NDArray[np.float32],
        targets: NDArray[np.int64],
        classes: int,
        choice: Choice,
        counted: ClassWeights,
    ) -> Head:
        """The head that training fits without fine-tuning, to these pictures."""
        warm = self.named.start(embeddings, targets, classes) if self.named else None
        return chosen_head(embeddings, targets, classes, choice, counted, warm)

    def _start(self, pictures: Pictures, classes: int, counted: ClassWeights) -> Head:
        """The linear head for the pictures that are trained on, at this size.

        From there the features are distorted less than from a random head (Kumar et al. 2022, arXiv:2202.10054).
        """
        seen = embed(pictures.samples, self.net, pictures.policy, self.cache, self.progress)
        embeddings, targets = seen.embeddings[pictures.trained], pictures.targets[pictures.trained]
        warm = self.named.start(embeddings, targets, classes) if self.named else None
        choice = choose(
            embeddings, targets, classes, self.seed, self.progress, counted, widths=self.net.widths, warm=warm
        )
        return self._linear(embeddings, targets, classes, choice, counted)

    def _held_out(self, embedded: Embedded, choice: Choice) -> NDArray[np.bool_]:
        """[n] the first of the folds of the linear head; of very many pictures one that is dealt here."""
        if len(choice.looked.rows) == len(embedded.targets):
            return np.asarray(choice.looked.held_out == 0)
        return np.asarray(stratified_folds(embedded.targets, choice.folds, self.seed) == 0)

    def _checkpoint(self, pictures: Pictures, embedded: Embedded) -> Checkpoint:
        import torch

        from milliner.training.finetune.loop import device_of

        content = hashlib.sha256("".join(embedded.sha256).encode())
        content.update(pictures.targets.tobytes() + pictures.held_out.tobytes())
        identity: Mapping[str, Any] = {
            "milliner": __version__,
            "torch": torch.__version__,
            "device": device_of(self.settings.device),
            "recipe": recipe(self.net, pictures.policy),
            "labels": list(pictures.samples.labels),
            "pictures": content.hexdigest(),
            "seed": self.seed,
            "settings": self.settings.to_json(),
            "class_weights": self.wishes.lineage(),
            "init": list(self.named.classes) if self.named else [],
        }
        return Checkpoint.of(self.model, identity)

    def _network(self, pictures: Pictures, weights: Mapping[str, Any], head: Head) -> Tuned:
        """The weights in the backbone's own graph, which has to give what torch gives."""
        from milliner.training.finetune.network import Network

        network = Network.of(self.net.graph(), _OUTPUT).with_weights(weights)
        graph = network.written()
        runtime = open_runtime(graph.SerializeToString(deterministic=True))
        look = _looking(runtime, pictures)
        rows = range(len(pictures.places))
        with self.progress("embed", len(rows)) as advance:
            found = []
            for embedding in ordered_map(look, rows):
                found.append(embedding)
                advance()
        embeddings = np.stack(found)
        _check_parity(network, pictures, embeddings)
        return Tuned(graph, self.net.blocks, head, pictures.policy, embeddings)


def _check_parts(pictures: Pictures) -> None:
    counts = np.bincount(pictures.targets[pictures.trained], minlength=len(pictures.samples.labels))
    for label, count in zip(pictures.samples.labels, counts, strict=True):
        if count < _FEWEST:
            raise DatasetError(
                f"Class {label!r} in {pictures.samples.name} has too few pictures to fine-tune with some held out; "
                "add more, or leave --fine-tune out."
            )


def _looking(runtime: Runtime, pictures: Pictures) -> Callable[[int], NDArray[np.float32]]:
    def look(row: int) -> NDArray[np.float32]:
        ((_, (pixels,)),) = pictures.plain(np.array([row]), batch=1)
        return np.asarray(runtime.run(pixels, [_OUTPUT])[_OUTPUT][0], np.float32)

    return look


def _check_parity(network: "Network", pictures: Pictures, embeddings: NDArray[np.float32]) -> None:
    rows = np.unique(np.linspace(0, len(embeddings) - 1, _COMPARED).round().astype(np.int64))
    for batch, (pixels,) in pictures.plain(rows, batch=1):
        difference = float(np.abs(network.look(pixels) - embeddings[batch]).max())
        if not difference <= TOLERANCE:
            raise ModelError(
                f"The fine-tuned network was not written: its graph differs by {difference:.1e} from what was trained "
                f"(allowed: {TOLERANCE:g}); please report this."
            )
