"""Every training leaves a folder: how it was set, where it came from, its figures, its times, and the model itself.

``runs/<time>-<hash>/`` beside the model file holds ``settings.json``, ``lineage.json``, ``metrics.json``,
``seconds.json`` and ``model.onnx``, the latter a second name of the same file where the disk can do that. Old runs are
never deleted here; a folder may be deleted by hand.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from time import time
from typing import Any, Final

from milliner import __version__
from milliner.core.errors import MillinerError
from milliner.images.files import sync_folder

FOLDER: Final = "runs"
MODEL: Final = "model.onnx"
PARTS: Final = ("settings", "lineage", "metrics", "seconds")

_LIBRARIES: Final = ("numpy", "onnx", "onnxruntime", "pillow")
_UNFINISHED: Final = ".part"
_ABANDONED: Final = 3600.0  # seconds after which an unfinished folder, written in milliseconds, is a killed run's


@dataclass(frozen=True)
class Run:
    """What is written of one training; JSON values all."""

    settings: Mapping[str, Any]
    """Every option as it was resolved, defaults included; no path, so that the same training has the same hash."""
    dataset: Mapping[str, Any]
    """`name`, `fingerprint`, `samples` and `per_class`."""
    metrics: Mapping[str, Any]
    seconds: Mapping[str, float]


@cache
def versions() -> dict[str, str]:
    """Of milliner, of Python and of what computes for it."""
    return {
        "milliner": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def content_hash(settings: Mapping[str, Any], dataset: Mapping[str, Any]) -> str:
    """12 hex digits that the same settings, dataset and versions give again: a model file may name them."""
    stated = json.dumps([settings, dataset, versions()], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(stated.encode()).hexdigest()[:12]


def sha256_of(path: Path) -> str | None:
    """Hex SHA-256 of a file; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def record(model: Path, run: Run, replaced: str | None = None, now: datetime | None = None) -> Path:
    """Writes a run's folder, whole or not at all, and returns it; clears what killed runs have left half-written.

    Args:
        model: the model file as it was just written.
        run: what to write of it.
        replaced: the SHA-256 of the model file that this one took the place of.
        now: when the training ended; this moment when left out.

    Raises:
        MillinerError: the folder cannot be written; the model itself stands.
    """
    runs = model.parent / FOLDER
    now = now or datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03}-{content_hash(run.settings, run.dataset)}"
    part = runs / f".{name}-{os.getpid()}-{os.urandom(4).hex()}{_UNFINISHED}"
    try:
        _clear_abandoned(runs)
        part.mkdir(parents=True)
        _link(model, part / MODEL)
        lineage = {
            "ended": now.isoformat(timespec="seconds"),
            "model": model.name,
            "sha256": sha256_of(part / MODEL),
            "replaced": replaced,
            "dataset": dict(run.dataset),
            "versions": versions(),
        }
        documents = (dict(run.settings), lineage, dict(run.metrics), dict(run.seconds))
        for kind, document in zip(PARTS, documents, strict=True):
            text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            (part / f"{kind}.json").write_text(text, encoding="utf-8")
        place = _named(part, runs, name)
        sync_folder(runs)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise MillinerError(
            f"{model} was written, but not its run in {runs} ({error.strerror or error}); check the rights and the "
            "free space there, and train again to have it in the history."
        ) from error
    return place


def _named(part: Path, runs: Path, name: str) -> Path:
    """Gives a folder its name; the same training in the same millisecond gets a number on top."""
    place, number = runs / name, 1
    while True:
        try:
            return part.rename(place)
        except OSError:
            if not place.exists():  # renaming onto a folder with files in it fails, which is what keeps runs apart
                raise
        number += 1
        place = runs / f"{name}-{number}"


def _link(model: Path, place: Path) -> None:
    try:
        place.hardlink_to(model)
    except OSError:  # not every file system has second names for a file
        shutil.copyfile(model, place)


def _clear_abandoned(runs: Path) -> None:
    for part in runs.glob(f".*{_UNFINISHED}") if runs.is_dir() else ():
        if time() - part.stat().st_mtime > _ABANDONED:
            shutil.rmtree(part, ignore_errors=True)
