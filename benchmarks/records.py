"""Record files: damage found and mended, opening ten million records, reading one, and writing."""

import random
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from time import perf_counter

import milliner as mn
from benchmarks.figures import DATA, Figure, peak_memory
from milliner.core.errors import DatasetError
from milliner.shards.format import Record
from milliner.shards.recordio import FORMAT
from milliner.shards.repair import repair

DAMAGES, PER_FILE = 10_000, 20
ENTRIES, FEW, SIZE = 10_000_000, 100_000, 44_040


def measure() -> list[Figure]:
    """On the photographs, except for the ten million records, which are an index beside a file full of holes."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        mn.pack(DATA / "helmets", into=place, split={"all": 1.0})
        return [*_damage(place), *_reading(place / "all.rec"), *_writing(place), *_opening(place)]
