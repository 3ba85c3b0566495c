"""The training loop: batches in, weights out, one checkpoint an epoch, the best epoch kept."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch.nn import functional

from milliner.core.errors import SettingsError
from milliner.core.progress import Advance, Progress
from milliner.probe.class_weights import ClassWeights
from milliner.probe.head import Head
from milliner.training.finetune.checkpoint import Checkpoint
from milliner.training.finetune.figures import Epoch, Figures
from milliner.training.finetune.memory import kept_memory
from milliner.training.finetune.network import Network
from milliner.training.finetune.pictures import Pictures
from milliner.training.finetune.settings import Device, FineTuning
from milliner.training.finetune.state import LOGITS, State, Weights, head_of, with_head

_HALVES: Final = (8, 0)  # the first compute capability of CUDA cards that calculate with bfloat16


@dataclass(frozen=True)
class Fitted:
    """What training made of a backbone and its head, at its best epoch."""

    weights: Weights
    """By initializer of the backbone's graph, and the head's."""
    head: Head
    epochs: tuple[Epoch, ...]
    best: int
    """Number of the epoch, from 1."""


def device_of(asked: Device) -> str:
    """``cuda`` or ``cpu``; raises SettingsError where a card is asked for that is not there."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise SettingsError("There is no CUDA card that PyTorch can use; leave --device out, or give cpu.")
    return "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"


def fit(
    pictures: Pictures,
    model: ModelProto,
    head: Head,
    counted: ClassWeights,
    settings: FineTuning,
    seed: int,
    checkpoint: Checkpoint,
    progress: Progress,
) -> Fitted:
    """Trains a backbone's graph with a head on it, from where the checkpoint stands if there is one.

    The epoch with the lowest validation log loss wins; it ends early after `settings.patience` without a better one.
    """
    device = device_of(settings.device)
    state = State.begin(Network.of(with_head(model, head), LOGITS, device))
    epochs = _resumed(state, checkpoint)
    trained = len(pictures.trained)
    weights = torch.from_numpy(_class_weights(pictures.targets[pictures.trained], counted)).to(device)
    with kept_memory(), progress("fine-tune", (settings.epochs - len(epochs)) * trained) as advance:
        while len(epochs) < settings.epochs and len(epochs) - _best(epochs) < settings.patience:
            loss = _train(state, pictures, weights, settings, (seed, len(epochs)), advance)
            logits = _logits(state.averaged, pictures, settings.batch)
            found = Figures.of(logits, pictures.targets[pictures.held_out])
            epochs.append(Epoch(len(epochs) + 1, settings.epochs, loss, found))
            if _best(epochs) == len(epochs):
                state.keep()
            checkpoint.save(state.arrays(), {"epochs": [each.to_json() for each in epochs]})
            settings.on_epoch(epochs[-1])
    return Fitted(state.best, head_of(state.best), tuple(epochs), _best(epochs))


def _resumed(state: State, checkpoint: Checkpoint) -> list[Epoch]:
    saved = checkpoint.load()
    if saved is None:
        return []
    arrays, figures = saved
    state.restore(arrays)
    return [Epoch.from_json(each) for each in figures["epochs"]]


def _best(epochs: Sequence[Epoch]) -> int:
    """Number of the best one; 0 where there is none yet."""
    return min(epochs, key=lambda epoch: epoch.validation.log_loss).number if epochs else 0


def _train(
    state: State,
    pictures: Pictures,
    weights: torch.Tensor,
    settings: FineTuning,
    chance: tuple[int, int],
    advance: Advance,
) -> float:
    """One pass over the trained pictures, by seed and epoch; returns the mean loss."""
    (_, epoch), count = chance, len(pictures.trained)
    in_epoch = -(-count // settings.batch)
    device, total = weights.device, 0.0
    for rows, parts in pictures.augmented(settings.batch, *chance):
        with _mixed_precision(device.type):
            logits = torch.cat([state.network(torch.from_numpy(pixels).to(device)) for pixels in parts])
        targets = torch.from_numpy(pictures.targets[rows]).to(device)
        loss = functional.cross_entropy(logits.float(), targets, weights, label_smoothing=settings.smoothing)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise SettingsError("Fine-tuning left all bounds (its loss is no number); give it lower rates.")
        state.step(loss, settings, settings.epochs * in_epoch, warm_up=in_epoch)
        total += value * len(rows)
        advance(len(rows), f"epoch {epoch + 1} of {settings.epochs}, loss {value:.3f}")
    return total / count


def _class_weights(targets: NDArray[np.int64], counted: ClassWeights) -> NDArray[np.float32]:
    """[classes] what a picture of each class counts, as it does for the linear head."""
    labels, first = np.unique(targets, return_index=True)
    return counted.of(targets, len(labels))[first]


def _logits(network: Network, pictures: Pictures, batch: int) -> NDArray[np.float32]:
    """[held out, classes] of the pictures as prediction sees them."""
    found: dict[int, NDArray[np.float32]] = {}
    for rows, parts in pictures.plain(pictures.validated, batch):
        found |= zip(rows.tolist(), np.concatenate([network.look(pixels) for pixels in parts]), strict=True)
    return np.stack([found[row] for row in pictures.validated.tolist()])


def _mixed_precision(device: str) -> Any:
    """bfloat16 where a card calculates with it: half the memory, and no loss to scale."""
    if device == "cuda" and torch.cuda.get_device_capability() >= _HALVES:
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
