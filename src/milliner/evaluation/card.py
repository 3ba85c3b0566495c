"""The model card: what the model file says of itself and what the evaluation found, in rows and in plain words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from milliner.backbones.backbone import available, families
from milliner.classifier.metadata import Metadata
from milliner.evaluation.before import training_counts
from milliner.evaluation.card_words import intended_use, limits, operating_point
from milliner.evaluation.formats import count, percent, pictures, share
from milliner.evaluation.result import Classifier, Evaluation


@dataclass(frozen=True)
class Part:
    """One part of the card."""

    title: str
    rows: tuple[tuple[str, str], ...] = ()
    """Terms and what they stand for; a row whose facts are not known is left out."""
    sentences: tuple[str, ...] = ()


_TERMS: Final = {
    "milliner": "Milliner's version",
    "strength": "Regularisation strength",
    "run": "Run",
    "seed": "Seed",
    "backbone_licence": "Licence of the backbone's weights",
    "backbone_origin": "Where the backbone's weights are from",
}
_LONGEST: Final = 400  # characters of what a file says about one thing


def model_card(evaluation: Evaluation, model: Classifier, licences: Mapping[str, int]) -> tuple[Part, ...]:
    """The card of an evaluated model.

    `licences` are those of the test pictures, with how many have each; empty where no ledger tells.
    """
    parts = (
        Part("What it is", tuple(_known(_model(model)))),
        Part("What it is for", sentences=tuple(intended_use(model.metadata, evaluation))),
        Part("Where it falls short", sentences=tuple(limits(model.metadata, evaluation))),
        Part("Where it comes from", tuple(_known(_origin(model.metadata)))),
        Part("How it was tested", tuple(_known(_test(evaluation, licences)))),
    )
    return tuple(part for part in parts if part.rows or part.sentences)


def _known(rows: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    return ((term, text) for term, text in rows if text)


def _model(model: Classifier) -> Iterator[tuple[str, str]]:
    metadata = model.metadata
    yield "Model file", model.name
    yield "SHA-256", model.sha256
    yield "Classes", ", ".join(metadata.labels)
    yield "Input", _input(metadata)
    yield "Operating point", operating_point(metadata)
    yield "Temperature", _temperature(metadata.metrics.get("temperature"))
    yield "Whole numbers (int8)", _table(metadata.metrics.get("int8"))


def _input(metadata: Metadata) -> str:
    squeezed = f"the whole picture squeezed to a square of {metadata.resize.size} pixels a side"
    views = ", ".join(view.name for view in metadata.views)
    return f"{squeezed}; answers are averaged over it and its views ({views})" if views else squeezed


def _origin(metadata: Metadata) -> Iterator[tuple[str, str]]:
    yield "Backbone", _backbone(metadata)
    yield "Backbone's SHA-256", metadata.backbone.sha256
    yield "Training set", _training_set(metadata)
    yield "Its fingerprint", str(metadata.dataset.get("fingerprint", ""))
    yield "Its licences", _licences(metadata.dataset.get("licences"))
    yield "Cross-validated on it", _figures(metadata.metrics.get("cross_validated"))
    yield "Fine-tuning", _fine_tuning(metadata.metrics.get("fine_tuning"))
    for key, value in sorted(metadata.lineage.items()):
        yield _TERMS.get(key, key.replace("_", " ").capitalize()), _plain(value)


def _test(evaluation: Evaluation, licences: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    sizes = ", ".join(f"{label} {count(each.support)}" for label, each in evaluation.after.per_class.items())
    yield "Test set", f"{evaluation.dataset}: {pictures(evaluation.after.samples)} ({sizes})"
    yield "Its licences", _licences(dict(licences))
    yield "Set aside", pictures(len(evaluation.set_aside)) if evaluation.set_aside else ""
    yield "Measured with", ", ".join(f"{name} {number}" for name, number in runtime_versions())


def runtime_versions() -> Iterator[tuple[str, str]]:
    """What the figures were computed by."""
    for package, name in (("milliner", "Milliner"), ("onnxruntime", "ONNX Runtime"), ("numpy", "NumPy")):
        try:
            yield name, version(package)
        except PackageNotFoundError:  # run from its sources
            continue


def _backbone(metadata: Metadata) -> str:
    name, found = metadata.backbone.name, available().get(metadata.backbone.name)
    tuned = "; all its weights were trained on" if metadata.backbone.tuned else ""
    if found is not None and metadata.backbone.sha256.startswith(found.published):
        return f"{found.name}, {found.licence}, from {found.origin}{tuned}"
    if found is not None:
        return f"{found.name} with weights that are not its published ones{tuned}"
    return f"{name}{tuned}" if name.partition(":")[0] in families() else f"{name}, not one of this installation{tuned}"


def _training_set(metadata: Metadata) -> str:
    counts = training_counts(metadata)
    name = str(metadata.dataset.get("name", ""))
    sizes = ", ".join(f"{label} {count(number)}" for label, number in counts.items())
    return f"{name}: {count(sum(counts.values()))} pictures ({sizes})" if counts else name


def _licences(found: Any) -> str:
    """Licences with how many pictures have each, the most frequent first."""
    if not isinstance(found, dict):
        return ""
    counts = [(name, number) for name, number in found.items() if isinstance(number, int)]
    counts.sort(key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{name} {count(number)}" for name, number in counts)[:_LONGEST]


def _fine_tuning(figures: Any) -> str:
    if not isinstance(figures, dict):
        return ""
    kept = "kept" if figures.get("kept") is True else "not kept"
    tuned, linear = _figures(figures.get("tuned")), _figures(figures.get("linear"))
    return f"{kept}: on pictures held out {tuned}; the linear head {linear}"


def _figures(figures: Any) -> str:
    if not isinstance(figures, dict):
        return ""
    accuracy, log_loss = figures.get("accuracy"), figures.get("log_loss")
    if not isinstance(accuracy, float | int) or not isinstance(log_loss, float | int):
        return ""
    return f"accuracy {percent(accuracy)}, log loss {share(log_loss)}"


def _temperature(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, float | int):
        return _table(value)
    softer = "softens" if value > 1 else "sharpens"
    return f"{value:.3g}, inside the file's own weights" + (f": it {softer} the probabilities" if value != 1 else "")


def _table(found: Any) -> str:
    """A table of free facts as words; empty where there are none."""
    if isinstance(found, dict):
        parts = [f"{key.replace('_', ' ')} {_plain(value)}" for key, value in sorted(found.items())]
        return "; ".join(part for part in parts if part)[:_LONGEST]
    return "" if found is None else _plain(found)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in sorted(value.items()))[:_LONGEST]
    if isinstance(value, list):
        return ", ".join(map(_plain, value))[:_LONGEST]
    return str(value)[:_LONGEST]
