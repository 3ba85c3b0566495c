"""An environment of its own for each peer, made once in the system's temporary folder, and what it takes on disk."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def environment(name: str, packages: Sequence[str]) -> Path | None:
    """The Python of an environment that has the packages; None where they cannot be installed."""
    digest = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:8]
    place = Path(tempfile.gettempdir()) / f"milliner-{name}-{digest}"
    python = place / "bin" / "python"
    if (place / "done").exists():
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True, capture_output=True)
        subprocess.run(install, check=True, capture_output=True, env=own_environment())
    except (OSError, subprocess.CalledProcessError):
        return None
    (place / "done").touch()
    return python


def own_environment() -> dict[str, str]:
    """Variables of this process, less those that would show a child this environment's packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def size_of(python: Path) -> int:
    """Bytes of the packages of an environment, compiled files and pip included."""
    files = (file for file in python.parents[1].joinpath("lib").rglob("*") if not file.is_symlink())
    return sum(file.stat().st_size for file in files if file.is_file())
