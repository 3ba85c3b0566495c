"""Milliner with its defaults: packs the lists, trains from nothing remembered, and predicts the test pictures."""

import os
import tempfile
from pathlib import Path
from time import perf_counter

from pictures import listed, task, tell


def main() -> None:
    told = task()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MILLINER_CACHE"] = str(Path(scratch) / "user")
        start = perf_counter()
        import milliner as mn

        place = Path(scratch)
        chosen = place / "train.lst"
        rows = (
            f"{n}\t{label}\t{Path(path).relative_to(told.folder)}\n"
            for n, (path, label) in enumerate(listed(told, "train"))
        )
        chosen.write_text("".join(rows))
        mn.pack(told.folder, into=place, lists={"train": chosen})
        mn.train(place / "train.rec", into=place / "m.onnx", init={"helmet": "crash helmet"}, cache=place / "c.sqlite")
        seconds = perf_counter() - start
        model = mn.load(place / "m.onnx")
        tell(seconds, [model.predict(path).probabilities["nohelmet"] for path, _ in listed(told, "test")])


main()
