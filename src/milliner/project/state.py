"""Knows whether a stage is up to date: digests of what went in, of its settings, of the code, and of what came out."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from milliner import __version__
from milliner.images.files import write_atomically


@dataclass(frozen=True)
class Fingerprint:
    """What a stage's result depends on."""

    code: str
    settings: str
    inputs: str

    def change_since(self, earlier: "Fingerprint") -> str | None:
        """The reason to run again, as a person would put it; None where nothing changed."""
        if self.settings != earlier.settings:
            return "its settings changed"
        if self.inputs != earlier.inputs:
            return "its input changed"
        return "milliner changed" if self.code != earlier.code else None


@dataclass(frozen=True)
class Outcome:
    """What a stage made of its input."""

    summary: str
    unfinished: str = ""
    """The reason to run again although nothing changed; empty where all is done."""


class State:
    """The stages' last runs, in one JSON file. A damaged or missing file only means that every stage runs again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs = _read(path)

    def reason_to_run(self, stage: str, now: Fingerprint, outputs: str) -> str | None:
        """Why the stage must run; None where its last run still stands."""
        run = self._runs.get(stage)
        if run is None:
            return "it has not run yet"
        change = now.change_since(Fingerprint(run["code"], run["settings"], run["inputs"])) or run["unfinished"]
        return change or ("its output is gone or was changed" if run["outputs"] != outputs else None)

    def summary(self, stage: str) -> str:
        """What the stage's last run said."""
        return self._runs[stage]["summary"]

    def record(self, stage: str, now: Fingerprint, outputs: str, outcome: Outcome) -> None:
        """Remembers a run."""
        self._runs[stage] = {**asdict(now), "outputs": outputs, **asdict(outcome)}
        write_atomically(self._path, json.dumps(self._runs, indent=1, sort_keys=True).encode())


def _read(path: Path) -> dict[str, dict[str, str]]:
    wanted = {"code", "settings", "inputs", "outputs", "summary", "unfinished"}
    try:
        runs = json.loads(path.read_bytes())
        return {stage: run for stage, run in runs.items() if set(run) == wanted}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def digest_of(value: Any) -> str:
    """The digest of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_of_files(paths: Iterable[Path], root: Path) -> str:
    """A digest of files by name, size and time of change, without reading them.

    Names are relative to `root`, so that neither a moved project nor another way of naming it counts as a change.
    """
    return digest_of(sorted(_facts(path, root) for path in paths))


def _facts(path: Path, root: Path) -> tuple[str, int, int]:
    name = os.path.relpath(path, root)
    try:
        facts = path.stat()
    except OSError:
        return name, -1, -1
    return name, facts.st_size, facts.st_mtime_ns


@cache
def code_version() -> str:
    """Milliner's version, those of what computes for it, and a digest of the sources, for checkouts in work."""
    versions = [version(package) for package in ("numpy", "onnxruntime", "pillow")]
    digest = hashlib.sha256("".join([__version__, *versions]).encode())
    for name, content in sorted(_sources(resources.files("milliner"), "")):
        digest.update(name.encode() + content)
    return digest.hexdigest()


def _sources(folder: Traversable, prefix: str) -> Iterable[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith((".py", ".j2", ".css", ".tsv")):
            yield f"{prefix}{entry.name}", entry.read_bytes()
