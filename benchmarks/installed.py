"""What the default install takes on disk, package by package."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import Figure

ROOT = Path(__file__).parents[1]

LEFT_OUT = ("scipy", "scikit-learn", "opencv-python-headless", "openvino")

SIZES = """
import importlib.metadata, json, pathlib
found = {}
for package in importlib.metadata.distributions():
    files = [pathlib.Path(package.locate_file(file)) for file in package.files or ()]
    found[package.name] = sum(file.stat().st_size for file in files if file.is_file())
print(json.dumps(found))
"""


def measure() -> list[Figure]:
    """Installs into an environment of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        python = Path(scratch) / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
            str(ROOT),
        ]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
        sizes = json.loads(subprocess.run([python, "-c", SIZES], check=True, capture_output=True).stdout)
        # In use, Python's compiled files come on top.
        subprocess.run([python, "-m", "compileall", "-q", scratch], check=False, stdout=subprocess.DEVNULL)
        total = sum(
            file.stat().st_size for file in Path(scratch).rglob("*") if file.is_file() and not file.is_symlink()
        )
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:9]
    return [
        Figure(
            "default install with weights, pip and compiled files", f"{total / 1e6:.0f} MB", "< 500 MB", total < 500e6
        ),
        Figure("its largest parts, MB", ", ".join(f"{name} {size / 1e6:.0f}" for name, size in largest)),
        Figure("left out, MB", ", ".join(f"{name} {_size_alone(name) / 1e6:.0f}" for name in LEFT_OUT)),
    ]


def _size_alone(package: str) -> int:
    """Bytes of a package without what it depends on."""
    with tempfile.TemporaryDirectory() as scratch:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*install, "--no-deps", "--target", scratch, package], check=True, stderr=subprocess.DEVNULL)
        return sum(file.stat().st_size for file in Path(scratch).rglob("*") if file.is_file())
