"""Retraining with a warm cache against the first training, as whole processes; and what memory depends on."""

import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import milliner as mn
from benchmarks.figures import DATA, Figure, pack_helmets, peak_memory

MAIN = "from milliner.cli.main import main; main()"
TRAIN = "import sys, milliner; milliner.train(sys.argv[1], into=sys.argv[2], size=64, cache=sys.argv[3])"


def measure() -> list[Figure]:
    """Cold and warm `milliner train` on the 805 training pictures; peak memory at 500 and 4,000 pictures."""
    return [*_time(), *_memory()]


def _time() -> list[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        pack_helmets(place)
        (place / "milliner.toml").touch()  # the cache lies in the project
        cold, warm = [], []
        for _ in range(3):
            shutil.rmtree(place / ".milliner", ignore_errors=True)
            cold.append(_train(place))
            again = [_train(place) for _ in range(7)]
            warm.append((statistics.median(each[0] for each in again), statistics.median(each[1] for each in again)))
    training = statistics.median(two[0] / one[0] for one, two in zip(cold, warm, strict=True))
    process = statistics.median(two[1] / one[1] for one, two in zip(cold, warm, strict=True))
    return [
        Figure("first training on 805 pictures; its whole process", _seconds(cold)),
        Figure("the same again; its whole process", _seconds(warm)),
        Figure("training again against first", f"1/{1 / training:.1f}", "<= 1/20", training <= 1 / 20),
        Figure("the same of the whole processes, start-up and imports included", f"1/{1 / process:.1f}"),
    ]


def _train(folder: Path) -> tuple[float, float]:
    """Seconds of a training as `train --json` tells them, and of its whole process."""
    code = f"import os; os.chdir({str(folder)!r}); {MAIN}"
    command = [sys.executable, "-c", code, "train", "train.rec", "--into", "m.onnx", "--json"]
    start = perf_counter()
    done = subprocess.run(command, check=True, capture_output=True)
    return json.loads(done.stdout)["seconds"]["total"], perf_counter() - start


def _seconds(times: list[tuple[float, float]]) -> str:
    return "; ".join(f"{statistics.median(column):.2f} s" for column in zip(*times, strict=True))


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
