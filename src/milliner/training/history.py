"""The runs beside a model, one after the other: what each gave, and what changed against the one before."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from milliner.core.errors import MillinerError
from milliner.core.shares import interval_of_share
from milliner.images.files import read_at_most
from milliner.training.runs import FOLDER, MODEL, PARTS, sha256_of

MOST_RUNS: Final = 10_000
_MOST_BYTES: Final = 2**24  # of one file of a run: the settings of thousands of classes fit
_MOST_CHANGES: Final = 4


@dataclass(frozen=True)
class PastRun:
    """One finished training."""

    folder: Path
    settings: Mapping[str, Any]
    lineage: Mapping[str, Any]
    metrics: Mapping[str, Any]
    seconds: Mapping[str, Any]
    current: bool
    """Its model is the one that now lies beside the runs under the name that it was trained for."""
    changed: tuple[str, ...] | None
    """What is different from the run of the same model before; None for the first."""

    @property
    def samples(self) -> int:
        """Pictures that it was trained on."""
        return int(self.lineage["dataset"].get("samples", 0))

    @property
    def fine_tuned(self) -> bool:
        """Whether its figures are those of a network that was trained on, from pictures that were held out."""
        return "cross_validated" not in self.metrics and "fine_tuning" in self.metrics

    @property
    def accuracy(self) -> tuple[float, float, float] | None:
        """Cross-validated or, of a fine-tuned network, on the pictures held out, with its 95 % interval (Wilson).

        None where it is not written.
        """
        found = self._figures.get("accuracy")
        if found is None:
            return None
        share = min(max(float(found), 0.0), 1.0)
        return (share, *(interval_of_share(share, self._judged_on) if self._judged_on else (0.0, 1.0)))

    @property
    def log_loss(self) -> float | None:
        """Of the same pictures; None where it is not written."""
        found = self._figures.get("log_loss")
        return None if found is None else float(found)

    @property
    def _figures(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = _figures(self.metrics)
        return found

    @property
    def _judged_on(self) -> int:
        return int(self.metrics["fine_tuning"].get("pictures", 0)) if self.fine_tuned else self.samples

    def to_json(self) -> dict[str, Any]:
        """The `train --history --json` shape."""
        return {
            "run": self.folder.name,
            "model": str(self.folder / MODEL),
            "current": self.current,
            "changed": None if self.changed is None else list(self.changed),
            "accuracy": list(self.accuracy) if self.accuracy else None,
            "settings": dict(self.settings),
            "lineage": dict(self.lineage),
            "metrics": dict(self.metrics),
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True)
class History:
    """All runs of a folder, oldest first."""

    folder: Path
    runs: tuple[PastRun, ...]
    damaged: tuple[str, ...]
    """Names of run folders that cannot be read."""

    def to_json(self) -> dict[str, Any]:
        """The `train --history --json` shape."""
        return {
            "folder": str(self.folder),
            "runs": [run.to_json() for run in self.runs],
            "damaged": list(self.damaged),
        }


def history(place: str | Path = ".") -> History:
    """Reads the runs beside a model file, or of a folder that models are in.

    Raises MillinerError where there are none.
    """
    given = Path(place)
    folder = (given.parent if given.suffix == ".onnx" else given) / FOLDER
    names = _names(folder)
    if not names:
        raise MillinerError(f"{folder} holds no runs; train a model there first, or name the model file with --into.")
    now: dict[str, str | None] = {}
    before: dict[str, PastRun] = {}
    found, damaged = [], []
    for name in names:
        read = _read(folder / name)
        if read is None:
            damaged.append(name)
            continue
        settings, lineage, metrics, seconds = read
        model = lineage["model"]
        if model not in now:
            now[model] = sha256_of(folder.parent / model)
        changed = changes(before[model], settings, lineage) if model in before else None
        current = lineage.get("sha256") is not None and lineage["sha256"] == now[model]
        run = PastRun(folder / name, settings, lineage, metrics, seconds, current, changed)
        before[model] = run
        found.append(run)
    kept = [run for run in found if given.suffix != ".onnx" or run.lineage["model"] == given.name]
    if not kept and not damaged:
        others = ", ".join(list(now)[:_MOST_CHANGES]) + (", ..." if len(now) > _MOST_CHANGES else "")
        raise MillinerError(f"{folder} holds no runs of {given.name}, but of {others}; name one of these with --into.")
    return History(folder, tuple(_newest_alone_is_current(kept)), tuple(damaged))


def _newest_alone_is_current(runs: list[PastRun]) -> list[PastRun]:
    """The same training twice gives the same bytes: then the later run is the one whose model lies there."""
    last = {run.lineage["model"]: run for run in runs if run.current}
    return [replace(run, current=last.get(run.lineage["model"]) is run) for run in runs]


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(islice(names, MOST_RUNS), key=_order)


def _order(name: str) -> tuple[str, int, str]:
    """By time, then by the number that was added where that was not enough to tell runs apart."""
    ended, _, rest = name.partition("-")
    return ended, len(rest), rest


def _read(folder: Path) -> list[dict[str, Any]] | None:
    """Settings, lineage, metrics and seconds; None where one of them is not what a training writes."""
    try:
        documents = [json.loads(read_at_most(folder / f"{kind}.json", _MOST_BYTES)) for kind in PARTS]
    except (OSError, ValueError, MillinerError, RecursionError):
        return None
    if not all(isinstance(document, dict) for document in documents):
        return None
    lineage, metrics = documents[1], documents[2]
    sound = isinstance(lineage.get("model"), str) and isinstance(lineage.get("dataset"), dict)
    # A name only, never a path: what it names is read to compare it.
    sound = sound and Path(lineage["model"]).name == lineage["model"]
    sound = sound and isinstance(lineage["dataset"].get("samples", 0), int)
    return documents if sound and _are_figures(metrics) else None


def _are_figures(metrics: Mapping[str, Any]) -> bool:
    tuning = metrics.get("fine_tuning", {})
    if not isinstance(tuning, dict) or not isinstance(tuning.get("pictures", 0), int):
        return False
    figures = _figures(metrics)
    if not isinstance(figures, dict):
        return False
    return all(isinstance(figures.get(name, 0), (int, float)) for name in ("accuracy", "log_loss"))


def _figures(metrics: Mapping[str, Any]) -> Any:
    """Cross-validated; of a fine-tuned network, which cannot be, on the pictures that it was not trained on."""
    if "cross_validated" in metrics:
        return metrics["cross_validated"]
    return metrics.get("fine_tuning", {}).get("tuned", {})


def changes(before: PastRun, settings: Mapping[str, Any], lineage: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs from the run before, in a few words each; the first few of many."""
    both = before.settings.keys() & settings.keys()
    switched = sorted(name for name in both if _switched(before.settings, settings, name))
    old = _flat({name: value for name, value in before.settings.items() if name not in switched})
    new = _flat({name: value for name, value in settings.items() if name not in switched})
    old |= _flat({"pictures": before.samples, "versions": before.lineage.get("versions", {})})
    new |= _flat({"pictures": lineage["dataset"].get("samples", 0), "versions": lineage.get("versions", {})})
    found = [
        f"{name.removeprefix('versions.')} {_shown(old.get(name))} -> {_shown(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    found += [f"{name} {'off -> on' if settings[name] else 'on -> off'}" for name in switched]
    same_count = before.samples == lineage["dataset"].get("samples", 0)
    if same_count and before.lineage["dataset"].get("fingerprint") != lineage["dataset"].get("fingerprint"):
        found.append("other pictures or labels")
    more = len(found) - _MOST_CHANGES
    return (*found[:_MOST_CHANGES], f"{more} more") if more > 0 else tuple(found)


def _switched(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> bool:
    """Whether a table of settings came or went as a whole."""
    kinds = {type(before[name]), type(after[name])}
    return kinds == {dict, type(None)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
