"""Retraining with a warm cache against the first training, as whole processes; and what memory depends on."""

import io
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import milliner as mn
from benchmarks.figures import DATA, Figure, peak_memory, seconds_of

MAIN = "from milliner.cli.main import main; main()"
TRAIN = "import sys, milliner; milliner.train(sys.argv[1], into=sys.argv[2], size=64, cache=sys.argv[3])"


def measure() -> list[Figure]:
    """Cold and warm `milliner train` on the 805 training pictures; peak memory at 500 and 4,000 pictures."""
    return [*_time(), *_memory()]


def _time() -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        place, folder = Path(scratch), DATA / "helmets"
        mn.pack(folder, into=place, lists={"train": folder / "train.lst", "test": folder / "test.lst"})
        (place / "milliner.toml").touch()  # the cache lies in the project
        code = f"import os; os.chdir({scratch!r}); {MAIN}"
        command = [sys.executable, "-c", code, "train", "train.rec", "--into", "m.onnx"]
        cold, warm = [], []
        for _ in range(3):
            shutil.rmtree(place / ".milliner", ignore_errors=True)
            cold.append(seconds_of(command))
            warm.append(statistics.median(seconds_of(command) for _ in range(5)))
    ratio = statistics.median(one / other for one, other in zip(warm, cold, strict=True))
    return [
        Figure("first training on 805 pictures, whole process", f"{statistics.median(cold):.1f} s"),
        Figure("the same again, whole process", f"{statistics.median(warm):.2f} s"),
        Figure("again against first", f"1/{1 / ratio:.1f}", "<= 1/20", ratio <= 1 / 20),
    ]


def _memory() -> list[Figure]:
    few, many = 500, 4000
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        peaks = {}
        for count in (few, many):
            folder = place / f"n{count}"
            _copies(folder, count)
            mn.pack(folder, into=folder, split={"train": 0.999, "test": 0.001})
            for kind, dataset in (("folder", folder), ("record file", folder / "train.rec")):
                cache = place / f"{count}{kind}.sqlite"
                peaks[kind, count] = peak_memory(TRAIN, str(dataset), str(place / "m.onnx"), str(cache))
    embeddings = (many - few) * 1280 * 4
    figures = []
    for kind in ("folder", "record file"):
        growth = peaks[kind, many] - peaks[kind, few]
        text = f"{peaks[kind, few] / 1e6:.0f} MB at {few} pictures, {peaks[kind, many] / 1e6:.0f} MB at {many}"
        # The embeddings are held, copied once for a fold, once centred, and once more for the fold's complement.
        figures.append(
            Figure(
                f"peak memory of training from a {kind}",
                text,
                f"flat, embeddings aside (they take {embeddings / 1e6:.0f} MB more)",
                growth <= 6 * embeddings,
            )
        )
    return figures


def _copies(folder: Path, count: int) -> None:
    """So many different files of real photographs; a JPEG may end in anything."""
    for label in ("helmet", "nohelmet"):
        originals = sorted((DATA / "helmets" / label).iterdir())
        (folder / label).mkdir(parents=True)
        for number in range(count // 2):
            buffer = io.BytesIO(originals[number % len(originals)].read_bytes())
            buffer.seek(0, 2)
            buffer.write(number.to_bytes(4, "big"))
            (folder / label / f"{number}.jpg").write_bytes(buffer.getvalue())
