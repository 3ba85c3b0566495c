"""Training the whole network on, on the helmets' training list: what it takes, what it gives, whether it is kept."""

import tempfile
from pathlib import Path

import milliner as mn
from benchmarks.figures import Figure, pack_helmets
from milliner.images.resize import DEFAULT_SIZE
from milliner.training.finetune.figures import Figures

SIZE = 384
"""Pixels a side; the linear head's 512 would take twice as long."""


def measure() -> list[Figure]:
    """Trains once; the test list is only measured on."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        train, test = pack_helmets(place)
        trained = mn.train(
            train,
            into=place / "m.onnx",
            init={"helmet": "crash helmet"},
            fine_tune=mn.FineTuning(size=SIZE),
            cache=place / "cache.sqlite",
        )
        tested = mn.evaluate(place / "m.onnx", test).after
    found = trained.fine_tuning
    if found is None:
        raise RuntimeError("fine-tuning was asked for")
    seconds, epochs = trained.seconds["fine-tune"], len(found.epochs)
    kept = "fine-tuned" if found.kept else "linear head's"
    return [
        Figure(f"{epochs} epochs at {SIZE} pixels, this machine's cores", f"{seconds:.0f} s"),
        Figure(
            f"fine-tuned, best epoch {found.best}, on {found.tuned.pictures} held-out pictures", _words(found.tuned)
        ),
        Figure(f"linear head at {DEFAULT_SIZE} pixels on the same pictures", _words(found.linear)),
        Figure("written is the", kept),
        Figure("what was written, on `test.lst`", f"accuracy {tested.accuracy:.4f}, log loss {tested.log_loss:.4f}"),
    ]


def _words(figures: Figures) -> str:
    return f"accuracy {figures.accuracy:.4f}, log loss {figures.log_loss:.4f}"
