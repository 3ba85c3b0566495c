"""Images a second: embedding from record files against the bare runtime on the same tensors in memory."""

import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import milliner as mn
from benchmarks.figures import DATA, Figure
from milliner.backbones.backbone import DEFAULT, backbone
from milliner.core.parallel import available_cores
from milliner.core.sample import Dataset, Sample
from milliner.images.resize import DEFAULT_SIZE, ResizePolicy
from milliner.probe.embed import embed
from milliner.shards.dataset import open_dataset

PAIRS, PICTURES = 3, 240


def measure() -> list[Figure]:
    """The pipeline and the bare runtime in turn; the bare runtime in the fastest of the ways that were tried."""
    with tempfile.TemporaryDirectory() as scratch:
        mn.pack(DATA / "helmets", into=scratch, lists={"train": DATA / "helmets" / "train.lst"})
        dataset = open_dataset(Path(scratch) / "train.rec")
        policy = ResizePolicy(DEFAULT_SIZE)
        few = _Few(dataset)
        tensors = np.stack([policy.load(few[place].encoded) for place in range(PICTURES)])
        ways = {name: _rate(partial(way, tensors)) for name, way in WAYS.items()}
        best = max(ways, key=lambda name: ways[name])
        ratios, pipeline_rates, bare_rates = [], [], []
        for number in range(PAIRS):
            cache = Path(scratch) / f"cache{number}.sqlite"
            pipeline_rates.append(_rate(partial(embed, few, backbone(DEFAULT), policy, cache)))
            bare_rates.append(_rate(partial(WAYS[best], tensors)))
            ratios.append(pipeline_rates[-1] / bare_rates[-1])
    ratio = statistics.median(ratios)
    return [
        *(Figure(f"bare ONNX Runtime, {name}", f"{rate:.1f} images/s") for name, rate in ways.items()),
        Figure("embedding from record file to cache", f"{statistics.median(pipeline_rates):.1f} images/s"),
        Figure("embedding against the fastest bare way", f"{ratio:.3f}", ">= 0.85", ratio >= 0.85),
    ]


class _Few:
    """The first pictures of a dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.name, self.labels, self.targets = dataset.name, dataset.labels, dataset.targets[:PICTURES]

    def __len__(self) -> int:
        return PICTURES

    def key(self, index: int) -> str:
        return self._dataset.key(index)

    def __getitem__(self, index: int) -> Sample:
        return self._dataset[index]


def _session(threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(backbone(DEFAULT).onnx_file(), options)


def _side_by_side(tensors: NDArray[np.uint8]) -> None:
    session = _session(1)
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(lambda tensor: session.run(["embedding"], {"image": tensor[None]}), tensors))


def _batches(size: int, tensors: NDArray[np.uint8]) -> None:
    session = _session(available_cores())
    for start in range(0, len(tensors), size):
        session.run(["embedding"], {"image": tensors[start : start + size]})


WAYS: dict[str, Callable[[NDArray[np.uint8]], None]] = {
    "one picture on each core": _side_by_side,
    "one picture on all cores": partial(_batches, 1),
    "batches of 8 on all cores": partial(_batches, 8),
}


def _rate(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return PICTURES / (perf_counter() - start)
