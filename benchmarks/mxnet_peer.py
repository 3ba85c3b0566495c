"""MXNet 1.9.1, whose im2rec and ImageRecordIter the packed files are measured against; it needs Python 3.8."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

VARIABLE = "MILLINER_MXNET_PYTHON"
PINS = ["mxnet==1.9.1", "numpy==1.23.5", "opencv-python-headless>=4.8"]
IM2REC = "import mxnet, pathlib; print(pathlib.Path(mxnet.__file__).parent / 'tools' / 'im2rec.py')"


@cache
def mxnet_python() -> str | None:
    """An interpreter that has MXNet: the one that the variable names, else one made here; None where that fails."""
    given = os.environ.get(VARIABLE)
    if given:
        return given
    place = Path(tempfile.gettempdir()) / "milliner-mxnet"
    made = place / "bin" / "python"
    try:
        if not (place / "done").exists():
            _make(place)
            subprocess.run([made, "-m", "pip", "install", "--quiet", *PINS], check=True, capture_output=True)
            (place / "done").touch()
    except (OSError, subprocess.CalledProcessError):
        print(f"MXNet is missing here, so what is measured against it is left out; set {VARIABLE}.", flush=True)
        return None
    return str(made)


def _make(place: Path) -> None:
    """An environment of Python 3.8, by uv where it is, else by an interpreter of the system or of pyenv."""
    if shutil.which("uv"):
        subprocess.run(["uv", "venv", "--python", "3.8", "--seed", place], check=True, capture_output=True)
        return
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    # pyenv's own first: what it puts on the path under that name fails unless the version is chosen.
    found = [*(str(path) for path in sorted(pyenv.glob("3.8.*/bin/python"))), shutil.which("python3.8")]
    python = next((path for path in found if path), None)
    if python is None:
        raise FileNotFoundError("python3.8")
    subprocess.run([python, "-m", "venv", place], check=True, capture_output=True)


@cache
def im2rec() -> str | None:
    """Where the tool lies."""
    python = mxnet_python()
    if python is None:
        return None
    return subprocess.run([python, "-c", IM2REC], check=True, capture_output=True, text=True).stdout.strip()
