"""Accuracy on the original's own split, every choice made on its training list alone."""

import tempfile
from pathlib import Path

import milliner as mn
from benchmarks.figures import Figure, pack_helmets
from milliner.evaluation.result import Evaluation


def measure() -> list[Figure]:
    """Packs the original's lists, trains with the defaults, and evaluates once on the test list."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        train, test = pack_helmets(place)
        trained = mn.train(train, into=place / "m.onnx", init={"helmet": "crash helmet"}, cache=place / "cache.sqlite")
        found = mn.evaluate(place / "m.onnx", test)
        mn.train(
            train,
            into=place / "averaged.onnx",
            init={"helmet": "crash helmet"},
            views="crops",
            average_views=True,
            cache=place / "cache.sqlite",
        )
        averaged = mn.evaluate(place / "averaged.onnx", test)
    low, high = found.after.interval
    accuracy, auc = found.after.accuracy, found.after.roc_auc or 0.0
    return [
        Figure(
            "accuracy on `test.lst`",
            f"{accuracy:.4f} (95 % interval {low:.3f} to {high:.3f})",
            ">= 0.985",
            accuracy >= 0.985,
        ),
        Figure("ROC AUC on `test.lst`", f"{auc:.4f}", ">= 0.998", auc >= 0.998),
        Figure("log loss on `test.lst`", f"{found.after.log_loss:.4f}"),
        _averaged(averaged),
        Figure("untrained: accuracy, AUC", f"{found.before.accuracy:.4f}, {found.before.roc_auc or 0:.4f}"),
        Figure("the original's own model: accuracy, AUC", "0.930, 0.994 (measured with MXNet 1.9.1)"),
        Figure("cross-validated accuracy on `train.lst`", f"{trained.choice.accuracy:.4f}"),
        Figure(
            "written file against what was trained", f"{trained.difference:.1e}", "<= 1e-4", trained.difference <= 1e-4
        ),
    ]


def _averaged(found: Evaluation) -> Figure:
    """The same with answers averaged over the picture and its middle, which takes twice as long."""
    after = found.after
    figures = f"{after.accuracy:.4f}, {after.roc_auc or 0:.4f}, {after.log_loss:.4f}"
    return Figure("with `views = crops`, averaged: accuracy, AUC, log loss", figures)
