"""The model card as Markdown, headed by the facts that model hubs read.

The head's keys and the shape of its results are those of the Hugging Face hub
(https://huggingface.co/docs/hub/model-cards). It is YAML, of which JSON is a part: every value is written as JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from milliner.evaluation.card import Part, model_card
from milliner.evaluation.formats import NO_BREAK, percent, share
from milliner.evaluation.result import Classifier, Evaluation
from milliner.images.files import write_atomically

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~$!])")
_BREAKS: Final = re.compile(r"[\r\n\u2028\u2029]+")


def write_card(path: Path, evaluation: Evaluation, model: Classifier, licences: Mapping[str, int]) -> None:
    """Writes the card, the same for the same evaluation; `licences` are those of the test pictures, with how many
    have each.
    """
    parts = model_card(evaluation, model, licences)
    text = f"---\n{_head(evaluation, model)}---\n\n{_body(evaluation, parts)}"
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def _head(evaluation: Evaluation, model: Classifier) -> str:
    after = evaluation.after
    figures = {"accuracy": after.accuracy, "roc_auc": after.roc_auc, "log_loss": after.log_loss}
    results = {
        "task": {"type": "image-classification"},
        "dataset": {"name": evaluation.dataset, "type": "imagefolder"},
        "metrics": [{"type": name, "value": round(value, 4)} for name, value in figures.items() if value is not None],
    }
    head: dict[str, Any] = {
        "library_name": "milliner",
        "pipeline_tag": "image-classification",
        "tags": ["milliner", "onnx", "image-classification"],
        "base_model": model.metadata.backbone.name,
        "metrics": list(figures),
        "model-index": [{"name": model.name, "results": [results]}],
    }
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=True)}\n" for key, value in head.items())


def _body(evaluation: Evaluation, parts: Sequence[Part]) -> str:
    blocks = [f"# {_plain(evaluation.model)}", _plain(evaluation.verdict), _table(_classes(evaluation))]
    for part in parts:
        blocks.append(f"## {part.title}")
        if part.rows:
            blocks.append(_table([("", ""), *part.rows]))
        if part.sentences:
            blocks.append("\n".join(f"- {_plain(text)}" for text in part.sentences))
    return "\n\n".join(blocks) + "\n"


def _classes(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    yield "Class", "Pictures", "Precision", "Recall", "F1"
    for label, each in evaluation.after.per_class.items():
        yield label, str(each.support), percent(each.precision), percent(each.recall), share(each.f1)


def _table(rows: Any) -> str:
    first, *others = rows
    lines = [first, tuple("---" for _ in first), *others]
    return "\n".join(f"| {' | '.join(cell if cell == '---' else _plain(cell) for cell in line)} |" for line in lines)


def _plain(text: str) -> str:
    """Strangers' text as the words that it is: nothing in it is markup, and it stays on its line."""
    return _SPECIAL.sub(r"\\\1", _BREAKS.sub(" ", text.replace(NO_BREAK, " ")))
