"""A trained model: one ``.onnx`` file, loaded and asked about pictures."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from milliner.classifier.metadata import METADATA_KEY, Metadata, NewerSchemaError
from milliner.core.errors import ModelError, UnreadableImageError
from milliner.core.parallel import ordered_map
from milliner.core.prediction import Prediction
from milliner.images.decode import upright_rgb
from milliner.images.folder import read_bounded
from milliner.images.heatmap import class_evidence
from milliner.images.views import WHOLE, View
from milliner.runtimes.runtime import DEFAULT_RUNTIME, Runtime, open_runtime

MAX_BYTES: Final = 2**30

Picture: TypeAlias = str | Path | bytes | Image.Image | NDArray[np.uint8]
"""A file's path, a file's bytes, a Pillow image, or uint8 RGB pixels [height, width, 3]."""

FINER: Final = 2
"""Chosen by the grid pointing game on training pictures, see benchmarks/RESULTS.md."""

_OUTPUTS: Final = ("probabilities", "logits", "heatmap", "embedding")
DISTANCE: Final = "distance"
"""The output that earlier files lack."""


def load(path: str | Path, runtime: str = DEFAULT_RUNTIME) -> "Model":
    """Loads a model file that `train` wrote, to be computed by `runtime`: ``onnxruntime``, or the extra ``openvino``.

    Raises ModelError when it is no such file, is damaged, or is too new, and SettingsError when there is no such
    runtime or it is not installed.
    """
    place = Path(path)
    try:
        with place.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{place} cannot be read ({error.strerror}); check the path.") from error
    if len(content) > MAX_BYTES:
        raise ModelError(f"{place} is over {MAX_BYTES >> 20} MiB, which no model of Milliner is; check the path.")
    return Model(place, content, runtime)


class Model:
    """A trained classifier. Predicting is safe from several threads."""

    def __init__(self, path: Path, content: bytes, runtime: str = DEFAULT_RUNTIME) -> None:
        """Checks and loads a file's content; `load` is the way in."""
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            self._runtime = open_runtime(content, runtime)
        except ModelError as error:
            raise ModelError(f"{path} cannot be loaded: {error}; train or copy it again.") from error
        self.metadata = _read_metadata(path, self._runtime)
        self._outputs = (*_OUTPUTS, DISTANCE) if DISTANCE in self._runtime.outputs else _OUTPUTS

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes in the order of the outputs."""
        return self.metadata.labels

    @overload
    def predict(self, pictures: Picture) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is a path here

    @overload
    def predict(self, pictures: Sequence[Picture]) -> list[Prediction]: ...

    def predict(self, pictures: Picture | Sequence[Picture]) -> Prediction | list[Prediction]:
        """Classifies one picture on all cores, or several spread over the cores.

        Decoding, orientation and resizing are those of the training. Arrays are RGB, not OpenCV's BGR.

        Raises:
            UnreadableImageError: a picture cannot be read or decoded.
            ValueError: an array is not uint8 [height, width, 3].
        """
        if isinstance(pictures, str | Path | bytes | Image.Image | np.ndarray):
            return self._predict_one(pictures, alone=True)
        return list(self.predict_each(pictures))

    def predict_each(self, pictures: Iterable[Picture]) -> Iterable[Prediction]:
        """Like `predict` for a stream of any length, a few pictures ahead of the caller."""
        return ordered_map(self._predict_one, pictures)

    def _predict_one(self, picture: Picture, *, alone: bool = False) -> Prediction:
        if isinstance(picture, bytes):
            return self.predict_encoded(picture, "bytes", alone=alone)
        if isinstance(picture, str | Path):
            return self._predict_file(Path(picture), alone)
        image = _from_array(picture) if isinstance(picture, np.ndarray) else upright_rgb(picture)
        found = self._seen(lambda view: self.metadata.resize.apply(view.of(image)), self._outputs, alone)
        return self._verdict(found, "image")

    def _predict_file(self, path: Path, alone: bool) -> Prediction:
        encoded = read_bounded(path)
        try:
            return self.predict_encoded(encoded, str(path), alone=alone)
        except UnreadableImageError as error:
            raise UnreadableImageError(error.reason, f"{path}: {error}") from error

    def predict_encoded(self, encoded: bytes, source: str, *, alone: bool = False) -> Prediction:
        """Classifies a picture file's bytes; `source` names it in the prediction. Raises UnreadableImageError.

        On one core, or on all where the picture is `alone`.
        """
        return self._verdict(self.look(encoded, self._outputs, alone=alone), source)

    def look(self, encoded: bytes, outputs: Sequence[str], *, alone: bool = False) -> dict[str, NDArray[np.float32]]:
        """The named outputs for one picture file, without the batch axis.

        `probabilities` and `logits` [classes], `heatmap` [classes, h, w], `embedding` and `average` [width], and the
        number `distance`, which earlier files lack.
        Raises UnreadableImageError.
        """
        return self._seen(lambda view: self.metadata.resize.load(encoded, view), outputs, alone)

    def evidence(self, encoded: bytes, label: str, finer: int = FINER, *, alone: bool = False) -> NDArray[np.float32]:
        """Where a picture file speaks for `label`: [h, w] logits of it less the best other class's, cell by cell.

        The network sees the picture with `finer` times the pixels a side, so that the cells are so much smaller than
        those of the heatmap; with as many as ever where it takes no others. Raises UnreadableImageError, and
        ValueError for a label that is not the model's.
        """
        if label not in self.labels:
            raise ValueError(f"the model has no class {label!r}; its classes are {', '.join(self.labels)}")
        policy = self.metadata.resize if self._runtime.side else self.metadata.resize.finer(finer)
        square = policy.load(encoded)
        return class_evidence(self._run(square, ("heatmap",), alone)["heatmap"], self.labels.index(label))

    def _seen(
        self, square: Callable[[View], NDArray[np.uint8]], outputs: Sequence[str], alone: bool
    ) -> dict[str, NDArray[np.float32]]:
        """The outputs for the whole picture, with the logits averaged over its views where the model has some."""
        views = self.metadata.views
        if not views or not {"logits", "probabilities"} & set(outputs):
            return self._run(square(WHOLE), outputs, alone)
        found = self._run(square(WHOLE), (*outputs, "logits"), alone)
        others = [self._run(square(view), ("logits",), alone)["logits"] for view in views]
        logits = np.asarray(np.mean([found["logits"], *others], axis=0), np.float32)
        raised = np.exp(logits - logits.max())
        found |= {"logits": logits, "probabilities": raised / raised.sum()}
        return {name: found[name] for name in outputs}

    def _run(self, square: NDArray[np.uint8], outputs: Sequence[str], alone: bool) -> dict[str, NDArray[np.float32]]:
        return {name: value[0] for name, value in self._runtime.run(square[None], outputs, alone=alone).items()}

    def _verdict(self, found: dict[str, NDArray[np.float32]], source: str) -> Prediction:
        values = found["probabilities"]
        if not np.isfinite(values).all():
            raise ModelError(f"{self.path} gives numbers that are none; train or copy it again.")
        distance = found.get(DISTANCE)
        distances = None if distance is None else distance[None]
        decision = self.metadata.operating_point.decide(values[None], distances, self.labels)
        return Prediction(
            source=source,
            label=self.labels[int(decision.said[0])],
            probabilities={label: float(value) for label, value in zip(self.labels, values, strict=True)},
            abstained=bool(decision.abstained[0]),
            reason=decision.reasons[0],
            distance=None if distance is None else float(distance),
            heatmap=found["heatmap"],
            embedding=found["embedding"],
        )

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r}, labels={list(self.labels)})"


def _read_metadata(path: Path, runtime: Runtime) -> Metadata:
    text = runtime.metadata.get(METADATA_KEY)
    if text is None:
        raise ModelError(
            f"{path} is an ONNX model, but not one of Milliner's; give a file that `milliner train` wrote."
        )
    try:
        metadata = Metadata.from_json(text)
    except NewerSchemaError as error:
        raise ModelError(f"{path} was written by a newer Milliner ({error}); upgrade milliner to use it.") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise ModelError(f"{path} is not a usable model: {error}; train or copy it again.") from error
    shapes = runtime.outputs
    needed = {*_OUTPUTS, "average", *metadata.operating_point.outputs}
    fits = needed <= set(shapes) and list(shapes["probabilities"][1:]) == [len(metadata.labels)]
    if not fits or runtime.inputs != {"image": "tensor(uint8)"}:
        raise ModelError(f"{path} is not a usable model: its graph does not fit its metadata; train or copy it again.")
    return metadata


def _from_array(values: NDArray[np.uint8]) -> Image.Image:
    if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3 or 0 in values.shape:
        raise ValueError(f"an array must be uint8 RGB [height, width, 3], not {values.dtype} {list(values.shape)}")
    return Image.fromarray(values)
