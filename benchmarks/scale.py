"""Very many pictures and very many classes: seconds and memory of choosing and fitting a head to cached embeddings."""

import json
import subprocess
import sys

from benchmarks.figures import Figure

WIDTHS = (1280, 1952)
"""Of the default backbone's embeddings: the features, and with the finer map."""

CODE = f"""
WIDTHS = {WIDTHS}
import json, sys
from time import perf_counter
import numpy as np
from milliner.probe.choose import choose
from milliner.probe.class_weights import BALANCED
from milliner.training.fit import chosen_head
samples, classes = int(sys.argv[1]), int(sys.argv[2])
random = np.random.default_rng(0)
targets = np.arange(samples) % classes
centres = random.random((classes, WIDTHS[-1]), np.float32) * np.float32(0.15 if classes < 100 else 0.4)
embeddings = np.empty((samples, WIDTHS[-1]), np.float32)
for first in range(0, samples, 10_000):
    part = slice(first, first + 10_000)
    noise = random.standard_normal((len(targets[part]), WIDTHS[-1]), np.float32)
    embeddings[part] = np.maximum(noise * np.float32(0.5) + centres[targets[part]], 0)
start = perf_counter()
choice = choose(embeddings, targets, classes, seed=0, widths=WIDTHS)
chosen = perf_counter()
head = chosen_head(embeddings, targets, classes, choice, BALANCED, None)
end = perf_counter()
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({{"choose": chosen - start, "fit": end - chosen, "peak": peak / 1024 / 1024,
                  "accuracy": choice.accuracy, "strength": choice.strength}}))
"""


def measure() -> list[Figure]:
    """100,000 embeddings of 2 and of 10 classes, and 1,000 classes of 20 pictures, each in a process of its own."""
    return [
        *_figures(100_000, 2, most=60, memory=2),
        *_figures(100_000, 10, most=60, memory=2),
        *_figures(20_000, 1_000),
    ]


def _figures(samples: int, classes: int, most: float | None = None, memory: float | None = None) -> list[Figure]:
    command = [sys.executable, "-c", CODE, str(samples), str(classes)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    seconds = found["choose"] + found["fit"]
    name = f"{samples:,} embeddings of {classes:,} classes, {WIDTHS[-1]} wide"
    text = f"{seconds:.1f} s ({found['choose']:.1f} s of them cross-validation)"
    return [
        Figure(f"{name}: head chosen and fitted", text, *_asked(seconds, most, "s")),
        Figure(f"{name}: peak memory of the process", f"{found['peak']:.2f} GB", *_asked(found["peak"], memory, "GB")),
    ]


def _asked(value: float, most: float | None, unit: str) -> tuple[str, bool | None]:
    return ("-", None) if most is None else (f"<= {most:g} {unit}", value <= most)
