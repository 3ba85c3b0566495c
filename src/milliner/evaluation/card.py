"""The model card: what the model file says of itself, as rows of the report."""

from typing import Any

from milliner.backbones.backbone import available
from milliner.classifier.metadata import Metadata
from milliner.evaluation.before import training_counts
from milliner.evaluation.formats import count, percent, share
from milliner.evaluation.result import Classifier


def model_card(model: Classifier) -> list[tuple[str, str]]:
    """Terms and what they stand for; a row whose facts the file lacks is left out."""
    metadata = model.metadata
    rows = [
        ("Model file", model.name),
        ("SHA-256", model.sha256),
        ("Classes", ", ".join(metadata.labels)),
        ("Input", f"the whole picture squeezed to a square of {metadata.resize.size} pixels a side"),
        ("Operating point", _operating_point(metadata)),
        ("Backbone", _backbone(metadata)),
        ("Backbone's SHA-256", metadata.backbone.sha256),
        ("Training set", _training_set(metadata)),
        ("Its fingerprint", str(metadata.dataset.get("fingerprint", ""))),
        ("Cross-validated on it", _figures(metadata.metrics.get("cross_validated"))),
        ("Fine-tuning", _fine_tuning(metadata.metrics.get("fine_tuning"))),
        *((_TERMS.get(key, key.capitalize()), str(value)) for key, value in sorted(metadata.lineage.items())),
    ]
    return [(term, text) for term, text in rows if text]


_TERMS = {"milliner": "Milliner's version", "strength": "Regularisation strength"}


def _operating_point(metadata: Metadata) -> str:
    below = metadata.operating_point.abstain_below
    return f"abstains below a probability of {below:g}" if below else "never abstains"


def _backbone(metadata: Metadata) -> str:
    found = available().get(metadata.backbone.name)
    if found is None or found.sha256 != metadata.backbone.sha256:
        return f"{metadata.backbone.name}, not one of this installation"
    tuned = "; all its weights were trained on" if metadata.backbone.tuned else ""
    return f"{found.name}, {found.licence}, from {found.origin}{tuned}"


def _training_set(metadata: Metadata) -> str:
    counts = training_counts(metadata)
    name = str(metadata.dataset.get("name", ""))
    sizes = ", ".join(f"{label} {count(number)}" for label, number in counts.items())
    return f"{name}: {count(sum(counts.values()))} pictures ({sizes})" if counts else name


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
