"""What cannot be trained, or trained on, said in one sentence with its remedy before anything is fitted or written."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError, MillinerError, ModelError, SettingsError
from milliner.core.imagenet import class_index
from milliner.core.sample import Dataset
from milliner.probe.embed import Embedded
from milliner.probe.head import Head
from milliner.training.finetune.settings import FineTuning
from milliner.training.given import Given
from milliner.training.wishes import Wishes

_FEWEST: Final = 2  # pictures of a class: one to fit, one to judge by
_LARGEST: Final = 1e9  # of an embedding's numbers; squares of larger sums leave single precision
_NAMED: Final = 5


def check_model_path(into: str | Path) -> Path:
    """The model file; raises SettingsError where it is no ``.onnx``, or nothing can be written there."""
    path = Path(into)
    if path.suffix != ".onnx":
        better = path.with_suffix(".onnx") if path.name else "model.onnx"
        raise SettingsError(f"The model file must end in .onnx, not be {str(into)!r}; try {better}.")
    if path.is_dir():
        raise SettingsError(f"{path} is a folder; give a model file that ends in .onnx, such as {path / 'model.onnx'}.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(parent, os.W_OK):  # better said before the work than after it
        raise SettingsError(f"{parent} cannot be written; check its rights, or give another --into.")
    return path


def check_types(init: object, wishes: object, given: Given, fine_tune: object) -> None:
    """Raises SettingsError where one of what is not `None` is of another kind than its annotation says."""
    kinds: tuple[tuple[str, object, type, str], ...] = (
        ("init", init, Mapping, "labels and ImageNet classes such as {'helmet': 'crash helmet'}"),
        ("wishes", wishes, Wishes, "Wishes(...) such as Wishes(min_recall={'helmet': 0.9})"),
        ("size", given.size, Integral, "a whole number such as 224"),
        ("pooling", given.pooling, str, "a name such as 'average'"),
        ("views", given.views, str, "a name such as 'crops'"),
        ("budget", given.budget, Real, "a number of seconds such as 300"),
        ("fine_tune", fine_tune, FineTuning, "FineTuning(...) such as FineTuning(epochs=8)"),
    )
    for name, value, kind, example in kinds:
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise SettingsError(f"{name} must be {example}, not {value!r}.")


def check_init(init: Mapping[str, str], samples: Dataset) -> dict[str, str]:
    """A copy of `init`; raises SettingsError for a label or an ImageNet class that there is not."""
    for label, name in init.items():
        if label not in samples.labels:
            raise SettingsError(f"init names the class {label!r}, but the classes are {', '.join(samples.labels)}.")
        class_index(name)
    return dict(init)


def check_labels(samples: Dataset) -> None:
    """Raises DatasetError for one class, or classes whose names differ only by case or by blanks around them."""
    if len(samples.labels) < 2:
        named = f"one class, {samples.labels[0]}" if samples.labels else "no class"
        raise DatasetError(f"{samples.name} has {named}; add pictures of a second class.")
    alike: dict[str, list[str]] = defaultdict(list)
    for label in samples.labels:
        alike[label.strip().casefold()].append(label)
    for same in alike.values():
        if len(same) > 1:
            names = " and ".join(repr(label) for label in same)
            raise DatasetError(
                f"The classes {names} of {samples.name} differ only by case or blanks; "
                "give them one name, or names that differ."
            )


def check_embedded(samples: Dataset, embedded: Embedded, cache: Path) -> None:
    """Raises MillinerError for embeddings that are not finite, DatasetError for too few or identical pictures."""
    check_labels(samples)
    _check_counts(samples, embedded)
    _check_finite(samples, embedded, cache)
    if len(embedded.embeddings) > 1 and (embedded.embeddings == embedded.embeddings[0]).all():
        raise DatasetError(
            f"All {len(embedded.targets)} pictures of {samples.name} look the same to the network, so nothing tells "
            "their classes apart; give pictures that differ."
        )


def check_head(head: Head) -> None:
    """Raises ModelError for a head that is not finite."""
    if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        raise ModelError(
            "The fit ended in numbers that are not finite, so no model was written; "
            "try another --backbone or --size, and please report this."
        )


def _check_counts(samples: Dataset, embedded: Embedded) -> None:
    counts = np.bincount(embedded.targets, minlength=len(samples.labels))
    short = [(label, int(n)) for label, n in zip(samples.labels, counts, strict=True) if n < _FEWEST]
    if not short:
        return
    label, count = short[0]
    others = len(short) - 1
    more = f" (and {others} more {'class has' if others == 1 else 'classes have'} too few)" if others else ""
    raise DatasetError(
        f"Class {label!r} in {samples.name} has {_pictures(count)}{more}{_why(samples, embedded, label)}; "
        "add more, two are the least."
    )


def _pictures(count: int) -> str:
    return f"{count or 'no'} usable picture{'' if count == 1 else 's'}"


def _why(samples: Dataset, embedded: Embedded, label: str) -> str:
    """How many pictures of the class were set aside for which reason, the most frequent reasons first."""
    labels = {samples.key(place): samples.labels[target] for place, target in enumerate(samples.targets)}
    of_class = [key for key in embedded.set_aside if labels.get(key) == label]
    if not of_class:
        return ""
    reasons = Counter(_reason(embedded.set_aside, key) for key in of_class).most_common()
    told = [f"{count} {reason}" for reason, count in reasons[:_NAMED]]
    return f", {len(of_class)} set aside: {', '.join(told + ['others'] * (len(reasons) > _NAMED))}"


def _reason(set_aside: Mapping[str, str], key: str) -> str:
    """Copies are counted together, whatever they are copies of; one of two classes has no original left."""
    reason = set_aside[key]
    twin = reason.removeprefix("equals ")
    if twin == reason:
        return reason
    return "with the same bytes under two labels" if twin in set_aside else "a copy of another"


def _check_finite(samples: Dataset, embedded: Embedded, cache: Path) -> None:
    rows = _unsound(embedded.embeddings)
    if not len(rows):
        return
    keys = ", ".join(samples.key(int(place)) for place in embedded.places[rows[:_NAMED]])
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    raise MillinerError(
        f"The embeddings of {keys}{more} are not finite numbers; delete the cache {cache} and train again, "
        "and if that does not help use another backbone."
    )


def _unsound(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rows with a number that is not finite, or so large that a fit would overflow."""
    least, most = embeddings.min(axis=1), embeddings.max(axis=1)  # NaN where there is one
    return np.flatnonzero(~((least >= -_LARGEST) & (most <= _LARGEST)))
