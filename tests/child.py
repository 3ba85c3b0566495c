"""Fetches in a process of their own, to be killed, measured, or kept from a library."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPT = """
import json, sys
from pathlib import Path
from threading import Event

asked = json.loads(sys.argv[1])
for name in asked.pop("missing"):
    sys.modules[name] = None

from milliner.core.errors import MillinerError
from milliner.images.ledger import Ledger
from milliner.sources.fetch import fetch
from milliner.sources.web.manners import Manners

written, keep, stop_after = [], Ledger.add, asked.pop("stop_after")

def add(ledger, row):
    keep(ledger, row)
    written.append(row)
    if len(written) == stop_after:
        print(flush=True)
        Event().wait()

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024

fetch("scenes:1", into=asked["into"] + "-warm")
Ledger.add = add
before = peak()
try:
    counts = fetch(**asked, manners=Manners(allow_private=True, pause=0.01))
    told = [sum(count.stored for count in counts.classes), " ".join(counts.faults)]
except MillinerError as error:
    told = [0, str(error)]
print(json.dumps([*told, peak() - before]))
"""


@dataclass(frozen=True)
class Told:
    """What a fetch in a process of its own came to."""

    stored: int
    sentence: str
    """Its faults or its error, empty where there was none."""
    grown: int
    """MiB by which its memory passed what the interpreter, the libraries and a small fetch had taken."""


def fetch_apart(sources: str, into: Path, missing: tuple[str, ...] = (), **options: Any) -> Told:
    """Fetches to the end, as if the packages `missing` were not installed."""
    with _start(sources, into, missing, options) as process:
        said, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    return Told(*json.loads(said))


def fetch_and_kill(sources: str, into: Path, rows: int, **options: Any) -> None:
    """Fetches until so many rows are in the ledger, and kills the process there and then."""
    with _start(sources, into, (), {**options, "stop_after": rows}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        os.kill(process.pid, signal.SIGKILL)


def _start(sources: str, into: Path, missing: tuple[str, ...], options: dict[str, Any]) -> "subprocess.Popen[str]":
    asked = {"sources": sources, "into": str(into), "missing": missing, "stop_after": 0, **options}
    command = [sys.executable, "-c", _SCRIPT, json.dumps(asked)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
