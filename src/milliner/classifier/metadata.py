"""What a model file says of itself: the JSON under its metadata key `milliner`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from milliner.classifier.operating_point import OperatingPoint
from milliner.core.picture_set import PictureSet
from milliner.images.resize import ResizePolicy
from milliner.images.views import View, named

METADATA_KEY: Final = "milliner"
SCHEMA_VERSION: Final = 3
"""1 had operating points of `abstain_below` alone, 2 no views; their readers would not obey these, and refuse 3."""
_MAX_CHARACTERS: Final = 2**24  # the largest set of training pictures has 11 million


class NewerSchemaError(ValueError):
    """The file was written by a later version."""


@dataclass(frozen=True)
class BackboneIdentity:
    """Which pretrained weights are inside."""

    name: str
    sha256: str
    tuned: bool = False
    """Whether these weights were only where training began: those in the file are others."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in a model's metadata; frozen weights go without saying."""
        document: dict[str, Any] = {"name": self.name, "sha256": self.sha256}
        return document | {"tuned": True} if self.tuned else document

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads `to_json`'s shape; raises ValueError for anything else."""
        return cls(_of(value, "name", str), _of(value, "sha256", str), _of({"tuned": False, **value}, "tuned", bool))


@dataclass(frozen=True)
class Metadata:
    """Everything that prediction obeys, and where the model came from."""

    labels: tuple[str, ...]
    """The classes in the order of the outputs."""
    resize: ResizePolicy
    backbone: BackboneIdentity
    operating_point: OperatingPoint = field(default_factory=OperatingPoint)
    views: tuple[View, ...] = ()
    """Whose logits are averaged with those of the whole picture."""
    init: Mapping[str, str] = field(default_factory=dict)
    """Label to the ImageNet class that names it; gives the untrained "before" of evaluations."""
    dataset: Mapping[str, Any] = field(default_factory=dict)
    """`name`, `fingerprint`, `samples` and `per_class` of what it was trained on."""
    trained_on: PictureSet = field(default_factory=PictureSet)
    """The pictures themselves, which no evaluation may count; empty in files that do not say."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Figures from inside the training split."""
    lineage: Mapping[str, Any] = field(default_factory=dict)
    """Version, run and seed, and with which strength, width, pooling and views it was trained."""

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise ValueError("it needs two or more labels that differ")
        self.operating_point.factors(self.labels)  # raises where a weight names no label

    def to_json(self) -> str:
        """One line, the same for the same values."""
        document: dict[str, Any] = {
            "schema": SCHEMA_VERSION,
            "labels": list(self.labels),
            "resize": self.resize.to_json(),
            "backbone": self.backbone.to_json(),
            "operating_point": self.operating_point.to_json(),
            "views": [view.name for view in self.views],
            "init": dict(self.init),
            "dataset": dict(self.dataset),
            "metrics": dict(self.metrics),
            "lineage": dict(self.lineage),
        }
        if self.trained_on:
            document["trained_on"] = self.trained_on.to_text()
        return json.dumps(document, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote; raises NewerSchemaError, or ValueError for anything else that is not that."""
        if len(text) > _MAX_CHARACTERS:
            raise ValueError("its metadata is too long")
        document = json.loads(text)
        schema = _of(document, "schema", int)
        if schema > SCHEMA_VERSION:
            raise NewerSchemaError(f"schema {schema}")
        if schema < 1:
            raise ValueError("its schema is none")
        labels = _of(document, "labels", list)
        if not all(isinstance(label, str) for label in labels):
            raise ValueError("its labels are not words")
        init = _of(document, "init", dict)
        if not all(isinstance(name, str) for name in init.values()):
            raise ValueError("its init is not a table of names")
        return cls(
            labels=tuple(labels),
            resize=ResizePolicy.from_json(document.get("resize")),
            backbone=BackboneIdentity.from_json(_of(document, "backbone", dict)),
            operating_point=OperatingPoint.from_json(document.get("operating_point")),
            views=named(_of({"views": [], **document}, "views", list)),
            init=init,
            dataset=_of(document, "dataset", dict),
            trained_on=PictureSet.from_text(document.get("trained_on", "")),
            metrics=_of(document, "metrics", dict),
            lineage=_of(document, "lineage", dict),
        )


def _of(document: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(document, dict) or not isinstance(document.get(key), kind):
        raise ValueError(f"its metadata has no usable {key!r}")
    return document[key]
