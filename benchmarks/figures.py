"""A figure with what was asked of it, and how whole processes are timed."""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

DATA = Path(os.environ.get("MILLINER_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")


@dataclass(frozen=True)
class Figure:
    """One row of the results."""

    name: str
    measured: str
    asked: str = "-"
    met: bool | None = None
    """None where nothing was asked."""

    def row(self) -> str:
        """As Markdown."""
        sign = {None: "", True: "yes", False: "**no**"}[self.met]
        return f"| {self.name} | {self.measured} | {self.asked} | {sign} |"


def seconds_of(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> float:
    """Wall time of a whole process that must succeed."""
    start = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return perf_counter() - start


def paired_ratio(first: Sequence[str], second: Sequence[str], pairs: int = 15) -> tuple[float, float, float]:
    """Medians of two commands run in turn, and the median of the ratios pair by pair."""
    seconds_of(first), seconds_of(second)
    times = [(seconds_of(first), seconds_of(second)) for _ in range(pairs)]
    ones, others = zip(*times, strict=True)
    return (
        statistics.median(ones),
        statistics.median(others),
        statistics.median(one / other for one, other in times),
    )


def peak_memory(code: str, *arguments: str) -> int:
    """Peak resident bytes of a Python process of its own, by Linux's account of it.

    Not by its parent's: that one begins with what the parent held when it started the child.
    """
    told = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    command = [sys.executable, "-c", f"{code}\n{told}", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) * 1024


def pack_helmets(into: Path) -> tuple[Path, Path]:
    """The original's own split of the helmets as record files: training, test."""
    from milliner import pack

    folder = DATA / "helmets"
    pack(folder, into=into, lists={"train": folder / "train.lst", "test": folder / "test.lst"})
    return into / "train.rec", into / "test.rec"
