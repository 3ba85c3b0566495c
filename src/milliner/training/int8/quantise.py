"""From a finished model file to the same with its network in 8-bit integers, top to bottom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper, load_model_from_string

from milliner.classifier.metadata import METADATA_KEY
from milliner.classifier.model import Model, load
from milliner.core.errors import ModelError, SettingsError
from milliner.core.parallel import ordered_map
from milliner.core.progress import Progress, silent
from milliner.core.sample import Dataset
from milliner.core.seed import check_seed
from milliner.images.files import atomic_file
from milliner.images.resize import ResizePolicy
from milliner.shards.dataset import open_dataset
from milliner.training.int8.calibrate import RULES, calibrate
from milliner.training.int8.fidelity import OUTPUTS, Look, Trial, Worth, closeness
from milliner.training.int8.layout import lay_out
from milliner.training.int8.pictures import deal, training_places
from milliner.training.int8.rewrite import rewrite

ALLOWED_DROP: Final = 0.5
"""Points of accuracy that 8 bits may cost unless told otherwise."""

_STRENGTH: Final = 1e-2  # of heads for models that do not say theirs


@dataclass(frozen=True)
class Quantised:
    """What quantising made; `before` and `after` are of whole pictures, whatever answers are averaged over."""

    model: Path
    rule: str
    """How the ranges were taken, of `RULES`: the one that kept the embeddings of the calibration pictures closest."""
    before: Worth
    after: Worth
    calibrated: int
    measured: int
    closeness: dict[str, Any]
    bytes_before: int
    bytes_after: int

    @property
    def drop(self) -> float:
        """Points of accuracy lost."""
        return 100 * (self.before.accuracy - self.after.accuracy)

    def metrics(self) -> dict[str, Any]:
        """As it stands in the model's metadata as `metrics.int8`."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "drop": self.drop,
            "rule": self.rule,
            "calibrated": self.calibrated,
            "measured": self.measured,
            "closeness": self.closeness,
        }

    def to_json(self) -> dict[str, Any]:
        """As it stands in `train --json`."""
        return {
            "model": str(self.model),
            **self.metrics(),
            "bytes": {"before": self.bytes_before, "after": self.bytes_after},
        }


def int8_path(model: Path) -> Path:
    """Where the quantised file goes: `m.int8.onnx` beside `m.onnx`."""
    return model.with_name(f"{model.stem}.int8{model.suffix}")


def check_allowed_drop(points: float) -> float:
    """Raises SettingsError where `points` is not 0 to 100."""
    if not 0 <= points <= 100:
        raise SettingsError(f"The allowed drop is in points of accuracy, 0 to 100, not {points}; try {ALLOWED_DROP}.")
    return points


def quantise(
    model: str | Path,
    dataset: str | Path | Dataset,
    *,
    into: str | Path | None = None,
    allow_drop: float = ALLOWED_DROP,
    seed: int = 0,
    progress: Progress = silent,
) -> Quantised:
    """Writes a model file anew with its convolutions in 8-bit integers: smaller, and faster where the processor can.

    Ranges come from some of the pictures that the model was trained on; accuracy before and after from others of them,
    by heads of a cross-validation that did not see them. The same files and seed give the same bytes.

    Args:
        model: a file that `train` wrote.
        dataset: the dataset that it was trained on; other pictures in it are not looked at.
        into: the new file; `m.int8.onnx` beside `m.onnx` when left out.
        allow_drop: points of accuracy that it may cost, 0 to 100.
        seed: decides which pictures are taken.
        progress: told of every picture.

    Raises:
        DatasetError: too few of the pictures are those of the training.
        ModelError: the drop is larger than allowed, or the file cannot be used; nothing is written then.
        SettingsError: an option does not hold together.
    """
    check_seed(seed)
    check_allowed_drop(allow_drop)
    original = load(model)
    path = Path(into) if into else int8_path(original.path)
    content = original.path.read_bytes()
    samples = open_dataset(dataset, progress) if isinstance(dataset, str | Path) else dataset
    places, targets = training_places(original, samples)
    counted, measured = deal(targets, seed)
    look = _Looking(samples, progress)
    rule, chosen = _choose(original, load_model_from_string(content), look, places[counted])
    before, after = look(original, places[measured]), look(Model(path, _bytes(chosen)), places[measured])
    strength = float(original.metadata.lineage.get("strength", _STRENGTH))
    trial = Trial(_embeddings(before), targets[measured], len(original.labels), strength, seed)
    result = Quantised(
        model=path,
        rule=rule,
        before=trial.worth(_embeddings(before)),
        after=trial.worth(_embeddings(after)),
        calibrated=len(counted),
        measured=len(measured),
        closeness=closeness(before, after),
        bytes_before=len(content),
        bytes_after=0,
    )
    if result.drop > allow_drop:
        raise ModelError(
            f"{path} was not written: in 8 bits {result.after.accuracy:.1%} of {result.measured} pictures are named "
            f"correctly, before {result.before.accuracy:.1%}; use the model as it is, or allow the drop with "
            f"--allow-drop {np.ceil(result.drop * 10) / 10:g}."
        )
    return replace(result, bytes_after=_write(path, original, chosen, result))


@dataclass(frozen=True)
class _Looking:
    """Asks models about pictures of one dataset."""

    samples: Dataset
    progress: Progress

    def __call__(self, model: Model, places: NDArray[np.int64]) -> list[Look]:
        looks: list[Look] = []
        with self.progress("measure", len(places)) as advance:
            for look in ordered_map(lambda place: model.look(self.samples[int(place)].encoded, OUTPUTS), places):
                looks.append(look)
                advance()
        return looks

    def squares(self, policy: ResizePolicy, places: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        """The pixels that a network sees."""
        with self.progress("calibrate", len(places)) as advance:
            for place in places:
                yield policy.load(self.samples[int(place)].encoded)
                advance()


def _choose(original: Model, network: ModelProto, look: _Looking, places: NDArray[np.int64]) -> tuple[str, ModelProto]:
    """The rule that keeps the embeddings of these pictures closest, and the network quantised by it."""
    layout = lay_out(network.graph)
    calibration = calibrate(network, layout, look.squares(original.metadata.resize, places))
    candidates = {rule: rewrite(network, layout, calibration.grids(rule)) for rule in RULES}
    wanted = look(original, places)
    kept = {
        rule: closeness(wanted, look(Model(original.path, _bytes(candidate)), places))["embedding"]["mean"]
        for rule, candidate in candidates.items()
    }
    best = max(kept, key=lambda rule: kept[rule])
    return best, candidates[best]


def _write(path: Path, original: Model, network: ModelProto, result: Quantised) -> int:
    metadata = original.metadata
    lineage = dict(metadata.lineage) | {"quantised_from": original.sha256}
    whole = replace(metadata, metrics=dict(metadata.metrics) | {"int8": result.metrics()}, lineage=lineage)
    helper.set_model_props(network, {METADATA_KEY: whole.to_json()})
    content = _bytes(network)
    with atomic_file(path) as file:
        file.write(content)
        file.seek(0)
        Model(path, file.read())  # raises before the file has its name
    return len(content)


def _bytes(network: ModelProto) -> bytes:
    return bytes(network.SerializeToString(deterministic=True))


def _embeddings(looks: Sequence[Look]) -> NDArray[np.float32]:
    return np.stack([look["embedding"] for look in looks])
