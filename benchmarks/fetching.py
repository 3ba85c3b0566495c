"""Fetching: every servable picture of a bad host, and how fast, against img2dataset and a bare client.

img2dataset is installed into a throw-away environment with pip; where that fails, its rows say so.
"""

import asyncio
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp

from benchmarks.figures import Figure, peak_memory
from benchmarks.picture_host import BUSY, FINE, THROTTLED, fault_of, pictures
from milliner.images.ledger import FetchRow, Ledger
from milliner.sources.web.manners import POLITE

PAIRS, KILLS, MANY = 5, 10, 100_000
PEER_SECONDS = 120
WIDE = 32


def measure() -> list[Figure]:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        return [
            *_bad_host(place / "bad"),
            *_good_host(place / "good"),
            *_many(place / "many"),
            *_kills(place / "kills"),
        ]


def _bad_host(place: Path) -> list[Figure]:
    servable = [path for number, path in enumerate(pictures()) if fault_of(number) in (FINE, BUSY, THROTTLED)]
    wanted = {hashlib.sha256(path.read_bytes()).hexdigest() for path in servable}
    rates, complete = [], True
    for turn in range(3):
        with _host(faults=True) as port:
            into = place / f"ours{turn}"
            seconds = _fetch(_list(place, port), into)
        stored = [hashlib.sha256(file.read_bytes()).hexdigest() for file in into.glob("*/*.jpg")]
        complete &= sorted(stored) == sorted(wanted)
        rates.append(len(stored) / seconds)
    ours = statistics.median(rates)
    peer = _img2dataset(place)
    figures = [
        Figure(
            "bad host: servable pictures stored, each once, undamaged",
            f"{len(wanted) if complete else 'not all'} of {len(wanted)}",
            "all",
            complete,
        ),
        Figure("bad host: pictures/s, whole process", f"{ours:.0f}"),
    ]
    if peer is None:
        return [*figures, Figure("bad host: img2dataset", "could not be installed here")]
    fine, bad, ending = peer
    with _host(faults=True, ends=True) as port:
        kinder = len(servable) / _fetch(_list(place, port), place / "ours-ends")
    return [
        *figures,
        Figure("good host: img2dataset, its best of three settings, whole process", fine.told()),
        Figure("bad host: img2dataset with these settings, whole process", bad.told()),
        Figure("bad host: ours against img2dataset", f"{ours / bad.rate:.1f}", ">= 3", ours >= 3 * bad.rate),
        Figure("bad host without endless bodies: img2dataset, whole process", ending.told()),
        Figure(
            "bad host without endless bodies: ours, and against img2dataset",
            f"{kinder:.0f} pictures/s, {kinder / ending.rate:.1f}",
        ),
    ]


def _good_host(place: Path) -> list[Figure]:
    with _host(faults=False) as port:
        source = _list(place, port)
        usual = [_pair(place / f"usual{turn}", source, port, POLITE.connections_per_host) for turn in range(PAIRS)]
        wide = [_pair(place / f"wide{turn}", source, port, WIDE) for turn in range(PAIRS)]
    bare, ours, whole, ratio = (statistics.median(column) for column in zip(*usual, strict=True))
    wide_bare, wide_ours, _, wide_ratio = (statistics.median(column) for column in zip(*wide, strict=True))
    connections = POLITE.connections_per_host
    return [
        Figure(f"good host: a bare client that only writes files, {connections} connections", f"{bare:.0f} pictures/s"),
        Figure("good host: ours with every check, as many (the default)", f"{ours:.0f} pictures/s"),
        Figure("good host: ours against the bare client", f"{ratio:.2f}", ">= 0.8", ratio >= 0.8),
        Figure("good host: ours, whole process", f"{whole:.0f} pictures/s"),
        Figure(
            f"good host: both with {WIDE} connections, where our processor is the limit",
            f"{wide_bare:.0f} and {wide_ours:.0f} pictures/s, {wide_ratio:.2f}",
        ),
    ]


def _pair(place: Path, source: Path, port: int, connections: int) -> tuple[float, float, float, float]:
    """Pictures a second of a bare client, ours without its start-up and with it, and the first two's ratio."""
    bare = _bare(port, place / "bare", connections)
    started = time.perf_counter()
    ours = _fetch_inside(source, place / "ours", connections)
    return bare, ours, len(pictures()) / (time.perf_counter() - started), ours / bare


def _many(place: Path) -> list[Figure]:
    """Lists of many addresses that the licence filter turns away, many downloads of few pictures, the ledger alone."""
    place.mkdir(parents=True)
    few, many = (_memory(place / f"list{count}", count, "-") for count in (MANY // 20, MANY))
    with _host(faults=False) as port:
        some, more = (_memory(place / f"down{count}", count, str(port)) for count in (MANY // 100, MANY // 10))
    started = time.perf_counter()
    with Ledger.open(place / "ledger.sqlite") as ledger:
        for number in range(MANY // 10):
            ledger.add(_row(number))
    rate = MANY // 10 / (time.perf_counter() - started)
    return [
        _flat(f"with {MANY // 20:,} and with {MANY:,} addresses in a list", few, many),
        _flat(f"with {MANY // 100:,} and with {MANY // 10:,} downloads", some, more),
        Figure("rows that the ledger takes, each committed", f"{rate:,.0f}/s", "more than pictures come", rate > 2000),
    ]


def _memory(place: Path, count: int, port: str) -> int:
    return peak_memory(_FETCH_MANY, str(place), str(count), port)


def _flat(name: str, few: int, many: int) -> Figure:
    return Figure(f"peak memory {name}", f"{few >> 20} MB and {many >> 20} MB", "flat", many < 1.15 * few)


def _kills(place: Path) -> list[Figure]:
    """The same fetch killed at random moments, then let finish; the host counts what it is asked."""
    random = Random(0)
    with _host(faults=False) as port:
        source, into = _list(place, port), place / "out"
        for _ in range(KILLS):
            process = subprocess.Popen(_command(source, into), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0.4, 1.2))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        _fetch(source, into)
    stored = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in into.glob("*/*.jpg"))
    wanted = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures())
    with Ledger.open(into / "ledger.sqlite") as ledger:
        rows = sum(row.file is not None for row in ledger.fetched())
    whole = stored == wanted and rows == len(wanted)
    return [Figure(f"pictures after {KILLS} kills and a last run", f"{len(stored)}, {rows} rows", "1150, 1150", whole)]


@contextmanager
def _host(*, faults: bool, ends: bool = False) -> Iterator[int]:
    flags = [*(["--faults"] if faults else []), *(["--ends"] if ends else [])]
    command = [sys.executable, "-m", "benchmarks.picture_host", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _list(place: Path, port: int) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    path = place / "list.csv"
    lines = [f"http://127.0.0.1:{port}/{n}.jpg,{picture.parent.name}\n" for n, picture in enumerate(pictures())]
    path.write_text("url,label\n" + "".join(lines))
    return path


def _command(source: Path, into: Path) -> list[str]:
    milliner = str(Path(sys.executable).with_name("milliner"))
    return [milliner, "fetch", f"urls:{source}", "--into", str(into), "--allow-private", "--json"]


def _fetch(source: Path, into: Path) -> float:
    started = time.perf_counter()
    subprocess.run(_command(source, into), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def _fetch_inside(source: Path, into: Path, connections: int) -> float:
    """Pictures a second by the command's own account, start-up left out, as with the bare client."""
    command = [
        *_command(source, into),
        "--connections-per-host",
        str(connections),
        "--connections",
        str(2 * connections),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    return float(result["stored"] / max(each["seconds"] for each in result["classes"]))


def _bare(port: int, into: Path, connections: int) -> float:
    """Pictures a second of a client that writes each answer to a file as it is."""

    async def run() -> float:
        into.mkdir(parents=True)
        numbers = iter(range(len(pictures())))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def work() -> None:
                for number in numbers:
                    async with session.get(f"http://127.0.0.1:{port}/{number}.jpg") as response:
                        (into / f"{number}.jpg").write_bytes(await response.read())

            started = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(connections)))
            return len(pictures()) / (time.perf_counter() - started)

    return asyncio.run(run())


@dataclass(frozen=True)
class _PeerRun:
    settings: tuple[int, int]
    seconds: float
    stored: int
    ended: bool

    @property
    def rate(self) -> float:
        return self.stored / self.seconds

    def told(self) -> str:
        end = "" if self.ended else f", stopped after {PEER_SECONDS} s before it had ended"
        processes, threads = self.settings
        return f"{self.rate:.0f} pictures/s ({processes} processes, {threads} threads; {self.stored} stored{end})"


def _img2dataset(place: Path) -> tuple[_PeerRun, _PeerRun, _PeerRun] | None:
    """Its best settings on the good host, these on the bad one, and there without endless bodies; None without it."""
    home = place / "peer"
    try:
        venv.create(home, with_pip=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "img2dataset"]
        subprocess.run(pip, check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError):
        return None
    tries = ((1, 32), (2, 32), (2, 128))
    fine = max((_run_img2dataset(home, place, settings, faults=False) for settings in tries), key=lambda run: run.rate)
    bad = _run_img2dataset(home, place, fine.settings, faults=True)
    return fine, bad, _run_img2dataset(home, place, fine.settings, faults=True, ends=True)


def _run_img2dataset(
    home: Path, place: Path, settings: tuple[int, int], *, faults: bool, ends: bool = False
) -> _PeerRun:
    """Files as they came, nothing encoded again, two retries, five seconds for each wait."""
    processes, threads = settings
    into = place / f"peer-{processes}-{threads}-{faults}-{ends}"
    into.mkdir(parents=True)
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    ended = True
    with _host(faults=faults, ends=ends) as port:
        options = {
            "url_list": _list(place, port),
            "input_format": "csv",
            "output_folder": into,
            "output_format": "files",
            "resize_mode": "no",
            "skip_reencode": True,
            "processes_count": processes,
            "thread_count": threads,
            "number_sample_per_shard": len(pictures()) // processes + 1,
            "retries": 2,
            "timeout": 5,
            "enable_wandb": False,
        }
        command = [str(home / "bin" / "img2dataset"), *(f"--{name}={value}" for name, value in options.items())]
        started = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
        ) as process:
            try:
                process.wait(PEER_SECONDS)
            except subprocess.TimeoutExpired:
                ended = False
                os.killpg(process.pid, signal.SIGKILL)
        seconds = time.perf_counter() - started
    return _PeerRun(settings, seconds, len(list(into.rglob("*.jpg"))), ended)


def _row(number: int) -> FetchRow:
    address, digest = f"https://pictures.example/{number}.jpg", hashlib.sha256(b"%d" % number).hexdigest()
    return FetchRow(
        address,
        "hat",
        "urls:list.csv",
        "stored",
        sha256=digest,
        bytes=1,
        file=f"hat/{digest[:16]}.jpg",
        likeness=digest[:16],
    )


_FETCH_MANY = """
import hashlib, sys
from pathlib import Path
from benchmarks.picture_host import pictures
from milliner.core.errors import FetchError
from milliner.sources.fetch import fetch
from milliner.sources.web.manners import Manners
place, count, port = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
place.mkdir()
digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures()]
with (place / "list.csv").open("w") as file:
    file.write("url,label,sha256\\n")
    for n in range(count):
        at = n % len(digests)
        file.write(f"http://127.0.0.1:{port if port != '-' else 9}/{at}.jpg?{n},hat,{digests[at]}\\n")
try:
    licences = ["cc0"] if port == "-" else []
    fetch(f"urls:{place / 'list.csv'}", into=place / "out", licenses=licences, manners=Manners(allow_private=True))
except FetchError:
    pass
"""
