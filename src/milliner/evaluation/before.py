"""What could be said of the pictures untrained: the "before" that every trained figure stands beside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from milliner.classifier.metadata import Metadata
from milliner.images.resize import ResizePolicy
from milliner.runtimes.runtime import Runtime, open_runtime

if TYPE_CHECKING:
    from milliner.backbones.imagenet_head import ImagenetHead


class Baseline(Protocol):
    """Gives probabilities without having been trained for the task."""

    @property
    def kind(self) -> str:
        """What it is, as a fragment of a sentence."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of the model that it needs."""
        ...

    def own_look(self, encoded: bytes) -> Mapping[str, NDArray[np.float32]]:
        """What it needs of a picture file besides; raises UnreadableImageError."""
        ...

    def probabilities(self, look: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """[classes] for one picture's outputs."""
        ...


def baseline(metadata: Metadata) -> Baseline:
    """Zero-shot where a label names an ImageNet class, else the training set's frequencies.

    The frequencies as well where the backbone's ImageNet classifier is not on this machine, such as one of weights
    that were given by hand on another. Raises SettingsError for a name that ImageNet does not have.
    """
    named = {label: metadata.init[label] for label in metadata.labels if label in metadata.init}
    return (ZeroShot.of(metadata, named) if named else None) or MajorityClass.of(metadata)


def training_counts(metadata: Metadata) -> dict[str, int]:
    """How many pictures of each class a model was trained on; empty where its file does not say so."""
    counts = metadata.dataset.get("per_class")
    if not isinstance(counts, dict):
        return {}
    return {label: count for label, count in counts.items() if isinstance(count, int) and count >= 0}


@dataclass(frozen=True)
class MajorityClass:
    """Says the training set's most frequent class of every picture, with the frequencies as probabilities."""

    kind: str
    frequencies: NDArray[np.float64]
    """[classes], summing to 1; all the same where the model does not say what it was trained on."""
    outputs: tuple[str, ...] = ()

    @classmethod
    def of(cls, metadata: Metadata) -> "MajorityClass":
        """The baseline of a model's training set."""
        counts = training_counts(metadata)
        frequencies = np.array([counts.get(label, 0) for label in metadata.labels], np.float64)
        if not frequencies.any():
            frequencies[:] = 1
        frequencies /= frequencies.sum()
        return cls(f"always the majority class {metadata.labels[int(frequencies.argmax())]}", frequencies)

    def own_look(self, encoded: bytes) -> Mapping[str, NDArray[np.float32]]:
        """Nothing."""
        return {}

    def probabilities(self, look: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """The frequencies, whatever the picture."""
        return self.frequencies


@dataclass(frozen=True)
class Untouched:
    """The backbone as it was published, for models whose own weights were trained on: their average is another."""

    runtime: Runtime
    policy: ResizePolicy

    @classmethod
    def of(cls, metadata: Metadata) -> "Untouched | None":
        """What a model began with; None where that is not on this machine."""
        from milliner.backbones.backbone import graph_of

        graph = graph_of(metadata.backbone.name, metadata.backbone.sha256)
        return None if graph is None else cls(open_runtime(graph), metadata.resize)

    def average(self, encoded: bytes) -> NDArray[np.float32]:
        """[width] of a picture file; raises UnreadableImageError."""
        pixels = self.policy.load(encoded)[None]
        return np.asarray(self.runtime.run(pixels, ["average"])["average"][0], np.float32)


@dataclass(frozen=True)
class ZeroShot:
    """Reads the classes off the backbone's own ImageNet classifier."""

    kind: str
    imagenet: "ImagenetHead"
    columns: NDArray[np.int64]
    """[classes] ImageNet class numbers; -1 for a class that names none."""
    untouched: Untouched | None = field(default=None, repr=False)
    """None where the model's own backbone is as it was published."""

    @classmethod
    def of(cls, metadata: Metadata, named: Mapping[str, str]) -> "ZeroShot | None":
        """The baseline for a model of whose labels some, `named`, are ImageNet classes by another name."""
        from milliner.backbones.backbone import imagenet_head_of
        from milliner.core.imagenet import class_index

        labels = metadata.labels
        columns = np.array([class_index(named[label]) if label in named else -1 for label in labels], np.int64)
        imagenet = imagenet_head_of(metadata.backbone.name, metadata.backbone.sha256)
        names = list(dict.fromkeys(named.values()))
        plural = "es" if len(names) > 1 else ""
        kind = f"zero-shot from the ImageNet class{plural} {', '.join(names)}"
        untouched = Untouched.of(metadata) if metadata.backbone.tuned else None
        if imagenet is None or (metadata.backbone.tuned and untouched is None):
            return None
        return cls(kind, imagenet, columns, untouched)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The average, where the model's is that of the published backbone."""
        return () if self.untouched else ("average",)

    def own_look(self, encoded: bytes) -> Mapping[str, NDArray[np.float32]]:
        """The average of the published backbone, where the model's is another."""
        return {"average": self.untouched.average(encoded)} if self.untouched else {}

    def probabilities(self, look: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """A named class has its ImageNet probability, the unnamed ones share the rest equally.

        Where every class is named there is no rest: their probabilities are scaled to sum to 1.
        """
        found = self.imagenet.probabilities(look["average"][None])[0].astype(np.float64)
        named = self.columns >= 0
        sharers = np.array([(self.columns == column).sum() for column in self.columns[named]])
        values: NDArray[np.float64] = np.zeros(len(self.columns))
        values[named] = (found[self.columns[named]] + np.finfo(np.float32).tiny) / sharers
        if named.all():
            values /= values.sum()
            return values
        values[~named] = max(0.0, 1 - values.sum()) / (~named).sum()
        return values
