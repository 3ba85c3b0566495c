"""How soon the command line answers, and what importing the package costs."""

import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Figure, paired_ratio

HEAVY = {"sklearn", "scipy", "onnx", "onnxruntime", "torch", "openvino"}


def measure() -> list[Figure]:
    """`milliner --help` against an empty Python process, run in turn."""
    script = Path(sys.executable).with_name("milliner")
    help_time, empty_time, ratio = paired_ratio([str(script), "--help"], [sys.executable, "-c", "pass"])
    probe = f"import sys, milliner; print(sorted({HEAVY} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.strip()
    return [
        Figure("`milliner --help`; `python -c pass`", f"{help_time * 1e3:.0f} ms; {empty_time * 1e3:.0f} ms"),
        Figure("their ratio", f"{ratio:.1f}", "<= 8", ratio <= 8),
        Figure("`import milliner` loads of runtimes and scikit-learn", loaded, "[]", loaded == "[]"),
    ]
