"""One prediction against the bare runtime, 8 bits against float32, OpenVINO against ONNX Runtime, page faults."""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

import milliner as mn
from benchmarks.figures import DATA, Figure
from milliner.core.parallel import available_cores
from milliner.runtimes.runtime import RUNTIMES, Runtime, open_runtime
from milliner.shards.dataset import open_dataset
from milliner.training.int8.quantise import Quantised, quantise

ROUNDS = 25

Work = Callable[[], object]
Key = TypeVar("Key")


def measure() -> list[Figure]:
    """Trains on the original's training list, and times everything in turn on the same pictures."""
    folder = DATA / "helmets"
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        mn.pack(folder, into=place, lists={"train": folder / "train.lst"})
        mn.train(place / "train.rec", into=place / "m.onnx", cache=place / "cache.sqlite")
        small = quantise(place / "m.onnx", place / "train.rec", allow_drop=100)
        jpeg = _jpeg_of_720p(open_dataset(place / "train.rec")[0].encoded)
        return [
            *_overhead(place / "m.onnx", jpeg),
            *_quantised(small),
            *_speeds(place / "m.onnx", small.model, jpeg),
            *(_operators(name, path) for name, path in (("float32", place / "m.onnx"), ("8 bits", small.model))),
            *_page_faults(place / "m.onnx", jpeg),
        ]


def _jpeg_of_720p(encoded: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(encoded)).convert("RGB").resize((1280, 720)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _overhead(path: Path, jpeg: bytes) -> list[Figure]:
    """The same decoding, resizing and graph by hand: the runtime as it comes, on all cores."""
    model, session = mn.load(path), onnxruntime.InferenceSession(path)
    size = model.metadata.resize.size

    def bare() -> None:
        image = Image.open(io.BytesIO(jpeg))
        image.draft("RGB", (2 * size, 2 * size))
        square = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
        session.run(["probabilities", "heatmap", "embedding"], {"image": square[None]})

    times = in_turn({"ours": lambda: model.predict(jpeg), "bare": bare})
    ratio = statistics.median(one / other for one, other in zip(times["ours"], times["bare"], strict=True))
    ours, theirs = (1000 * min(times[name]) for name in ("ours", "bare"))
    return [
        Figure("one 720p JPEG in memory, `Model.predict`; decode and bare runtime", f"{ours:.1f} ms; {theirs:.1f} ms"),
        Figure("`Model.predict` against decode and bare runtime", f"{ratio:.2f}", "<= 1.3", ratio <= 1.3),
    ]


def _quantised(small: Quantised) -> list[Figure]:
    close = small.closeness
    return [
        Figure(
            f"8 bits: cross-validated accuracy and log loss on {small.measured} training pictures",
            f"{small.after.accuracy:.4f}, {small.after.log_loss:.4f} "
            f"(float32: {small.before.accuracy:.4f}, {small.before.log_loss:.4f})",
            "drop <= 0.5 points",
            small.drop <= 0.5,
        ),
        Figure("8 bits: ranges taken by", small.rule),
        Figure(
            "8 bits: cosine of embeddings, correlation of heatmaps, mean (worst)",
            f"{close['embedding']['mean']:.4f} ({close['embedding']['worst']:.4f}), "
            f"{close['heatmap']['mean']:.4f} ({close['heatmap']['worst']:.4f})",
        ),
        Figure("8 bits: strongest cell of the heatmap is the same or its neighbour", f"{close['peak']:.1%}"),
        Figure("8 bits: file size against float32", f"{small.bytes_after / small.bytes_before:.2f}"),
    ]


def _speeds(float32: Path, int8: Path, jpeg: bytes) -> list[Figure]:
    runtimes = {
        (bits, name): open_runtime(path.read_bytes(), name)
        for bits, path in (("float32", float32), ("8 bits", int8))
        for name in RUNTIMES
    }
    square = mn.load(float32).metadata.resize.load(jpeg)
    count = 4 * available_cores()
    with ThreadPoolExecutor(available_cores()) as pool:
        many = in_turn({key: _spread(pool, found, square, count) for key, found in runtimes.items()}, 8)
    one = in_turn({key: _alone(found, square) for key, found in runtimes.items()})
    figures = [
        Figure(
            f"{bits}, {runtime}: a picture on each core; one picture on all cores (network alone)",
            f"{count / min(many[bits, runtime]):.1f} images/s; {1000 * min(one[bits, runtime]):.1f} ms",
        )
        for bits, runtime in runtimes
    ]
    for name, times in (("images/s", many), ("latency of one", one)):
        ratio = _ratio(times["float32", "onnxruntime"], times["8 bits", "onnxruntime"])
        asked = (">= 1.5", ratio >= 1.5) if name == "images/s" else ("-", None)
        figures.append(Figure(f"8 bits against float32, {name}", f"{ratio:.2f} times as fast", *asked))
        ratio = _ratio(times["float32", "onnxruntime"], times["float32", "openvino"])
        figures.append(Figure(f"OpenVINO against ONNX Runtime, float32, {name}", f"{ratio:.2f} times as fast"))
    return figures


def _spread(pool: ThreadPoolExecutor, runtime: Runtime, square: NDArray[np.uint8], count: int) -> Work:
    return lambda: list(pool.map(lambda _: runtime.run(square[None], ["probabilities"]), range(count)))


def _alone(runtime: Runtime, square: NDArray[np.uint8]) -> Work:
    return lambda: runtime.run(square[None], ["probabilities"], alone=True)


def _ratio(first: list[float], second: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


def in_turn(works: Mapping[Key, Work], rounds: int = ROUNDS) -> dict[Key, list[float]]:
    """Seconds of each, one after the other in every round, so that whatever else the machine does meets all alike."""
    for work in works.values():
        work()
    times: dict[Key, list[float]] = {key: [] for key in works}
    for _ in range(rounds):
        for key, work in works.items():
            start = perf_counter()
            work()
            times[key].append(perf_counter() - start)
    return times


def _operators(name: str, path: Path) -> Figure:
    """Which operators take the network's time, by ONNX Runtime's own profiler on one core."""
    with tempfile.TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        session = onnxruntime.InferenceSession(path, options)
        size = mn.load(path).metadata.resize.size
        for _ in range(10):
            session.run(["probabilities"], {"image": np.zeros((1, size, size, 3), np.uint8)})
        events = json.loads(Path(session.end_profiling()).read_text())
    spent: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    shares = [f"{operator} {time / spent.total():.0%}" for operator, time in spent.most_common(4)]
    return Figure(f"{name}: where the network's time goes", ", ".join(shares))


_FAULTS = """
import resource, sys, milliner
model, picture = milliner.load(sys.argv[1]), open(sys.argv[2], "rb").read()
for _ in range(10): model.predict(picture)
start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): model.predict(picture)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start) / 20)
"""


def _page_faults(path: Path, jpeg: bytes) -> list[Figure]:
    """Counts, which do not depend on what else the machine does."""
    picture = path.with_name("720p.jpg")
    picture.write_bytes(jpeg)
    kept = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "4000000000"}
    counts = []
    for extra in ({}, kept):
        done = subprocess.run(
            [sys.executable, "-c", _FAULTS, str(path), str(picture)],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | extra,
        )
        counts.append(float(done.stdout))
    return [
        Figure(
            "page faults a prediction; with glibc told to keep its memory (4 KiB pages)",
            f"{counts[0]:.0f}; {counts[1]:.0f}",
        )
    ]
