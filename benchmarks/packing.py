"""Packing and reading against MXNet's own tools, against a plain copy, and against what Pillow reaches by itself."""

import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import DATA, Figure, seconds_of
from benchmarks.mxnet_peer import im2rec, mxnet_python
from milliner.core.parallel import available_cores, ordered_map
from milliner.core.sample import Sample
from milliner.images.decode import decode
from milliner.shards.dataset import open_dataset

CROPS, PAIRS, SIDE, QUALITY = 20_000, 5, 256, 95
RESIZE = ["--resize", str(SIDE), "--quality", str(QUALITY)]

MAIN = [sys.executable, "-c", "from milliner.cli.main import main; main()"]

INSIDE = """
import sys
from time import perf_counter
from pathlib import Path
from milliner.curation.pack import pack
import milliner.curation.given, milliner.images.decode, milliner.shards.recordio
root, into, lst, resize = sys.argv[1:]
start = perf_counter()
pack(root, into=into, lists={"all": lst}, check=False, resize=int(resize) or None)
print(perf_counter() - start)
"""

IMPORTS = "import mxnet, random, argparse, cv2, time, traceback, multiprocessing"

ITERATE = """
import sys
from time import perf_counter
import mxnet
records = mxnet.io.ImageRecordIter(
    path_imgrec=sys.argv[1], data_shape=(3, 224, 224), batch_size=64, resize=256, preprocess_threads=int(sys.argv[2]),
    round_batch=False,
)
count, start = 0, perf_counter()
for batch in records:
    batch.data[0].wait_to_read()
    count += batch.data[0].shape[0] - batch.pad
print(count / (perf_counter() - start))
"""


def measure() -> list[Figure]:
    """Everything on one machine in one run; what is compared is run in turn."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        photographs, crops = _photographs(place), _crops(place)
        return [*_whole(photographs), *_net(crops), *_reading(crops)]


class _Set:
    """A folder of pictures with its list, and places to pack them into."""

    def __init__(self, root: Path, lst: Path) -> None:
        self.root, self.lst = root, lst
        self.ours, self.theirs = lst.parent / "ours", lst.parent / "theirs"
        self.theirs.mkdir()
        shutil.copy(lst, self.theirs / "all.lst")

    @property
    def paths(self) -> list[str]:
        """Of the pictures, in the list's order."""
        return [f"{self.root}/{line.split()[-1]}" for line in self.lst.read_text().splitlines()]

    def by_us(self, *options: str) -> list[str]:
        """The command that packs it into `ours`."""
        return [*MAIN, "pack", str(self.root), "--into", str(self.ours), "--lists", f"all={self.lst}", *options]

    def by_im2rec(self, *options: str) -> list[str]:
        """The command that packs it into `theirs`."""
        return [str(mxnet_python()), str(im2rec()), str(self.theirs / "all"), str(self.root), *options]


def _photographs(place: Path) -> _Set:
    (place / "photographs").mkdir()
    lst = place / "photographs" / "all.lst"
    lst.write_text("".join((DATA / "helmets" / f"{name}.lst").read_text() for name in ("train", "test")))
    return _Set(DATA / "helmets", lst)


def _crops(place: Path) -> _Set:
    """Crops of 200 to 300 pixels a side, drawn by a seed, as JPEG of the photographs' own size a pixel, about."""
    root, random = place / "crops" / "pictures", Random(0)
    photographs = sorted((DATA / "helmets").glob("*/*.jpg"))
    lines = []
    for number in range(CROPS):
        path = photographs[number % len(photographs)]
        box = (random.randint(200, 300), random.randint(200, 300), random.random(), random.random())
        key = f"{path.parent.name}/{number:05}.jpg"
        lines.append((number, path, box, key))
    for label in ("helmet", "nohelmet"):
        (root / label).mkdir(parents=True)
    list(ordered_map(lambda line: _crop(line[1], line[2], root / line[3]), lines))
    lst = place / "crops" / "all.lst"
    lst.write_text("".join(f"{number}\t{int(key[0] == 'n')}\t{key}\n" for number, _, _, key in lines))
    os.sync()
    return _Set(root, lst)


def _crop(path: Path, box: tuple[int, int, float, float], to: Path) -> None:
    with Image.open(path) as image:
        width, height = min(box[0], image.width), min(box[1], image.height)
        left, top = int(box[2] * (image.width - width)), int(box[3] * (image.height - height))
        image.crop((left, top, left + width, top + height)).convert("RGB").save(to, quality=92)


def _in_turn(*works: Callable[[], float], pairs: int = PAIRS) -> list[list[float]]:
    """Seconds of each work, run one after the other, several times."""
    for work in works[:1]:
        work()  # the files come into the system's cache
    return [list(times) for times in zip(*([work() for work in works] for _ in range(pairs)), strict=True)]


def _times_as_fast(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(their / our for our, their in zip(ours, theirs, strict=True))


def _whole(photographs: _Set) -> list[Figure]:
    """Whole processes on the 1,150 photographs."""
    figures = []
    for name, options, their_options, asked in (
        ("untouched", ["--no-check"], ["--pass-through"], 3.0),
        (f"resized to {SIDE}", ["--no-check", *RESIZE], [*RESIZE, "--num-thread", str(available_cores())], 1.5),
    ):
        ours = [_cleared(photographs.ours, photographs.by_us(*options))]
        peer = [_cleared(None, photographs.by_im2rec(*their_options))] if im2rec() else []
        times = _in_turn(*ours, *peer)
        figures.append(Figure(f"1,150 photographs {name}, whole process", _seconds(times[0])))
        if peer:
            ratio = _times_as_fast(*times)
            figures += [
                Figure(f"im2rec, {name}, whole process", _seconds(times[1])),
                Figure(f"packing {name} against im2rec", f"{ratio:.2f} times as fast", f">= {asked}", ratio >= asked),
            ]
    checked = _in_turn(_cleared(photographs.ours, photographs.by_us()))[0]
    return [*figures, Figure("untouched with every picture checked first, whole process", _seconds(checked))]


def _net(crops: _Set) -> list[Figure]:
    """Without start-up and imports, on 20,000 pictures."""
    one_file, paths = crops.lst.parent / "one.bin", crops.paths
    ours = _inside(crops, 0)
    peer = [_without_imports(crops.by_im2rec("--pass-through"))] if im2rec() else []
    times = _in_turn(
        ours,
        lambda: _timed(lambda: _append_all(paths, one_file)),
        lambda: _timed(lambda: _copy(crops.ours / "all.rec", one_file)),
        *peer,
        pairs=3,
    )
    size = sum(Path(path).stat().st_size for path in paths)
    ratio = _times_as_fast(times[0], times[1])
    figures = [
        Figure(f"{CROPS:,} crops ({size / 1e6:.0f} MB) untouched, net", _seconds(times[0])),
        Figure("reading the same files in a loop and appending them to one", _seconds(times[1])),
        Figure("packing untouched against that", f"{ratio:.2f}", ">= 0.7", ratio >= 0.7),
        Figure("packing untouched against copying the .rec", f"{_times_as_fast(times[0], times[2]):.2f}"),
        *(
            Figure("packing untouched against im2rec, net", f"{_times_as_fast(times[0], each):.2f}")
            for each in times[3:]
        ),
    ]
    one_file.unlink()
    return [*figures, *_net_resized(crops)]


def _net_resized(crops: _Set) -> list[Figure]:
    encoded = [Path(path).read_bytes() for path in crops.paths[:4000]]
    options = [*RESIZE, "--num-thread", str(available_cores())]
    peer = [_without_imports(crops.by_im2rec(*options))] if im2rec() else []
    bare = [
        lambda: _timed(lambda: _bare(ThreadPoolExecutor(available_cores()), encoded)) * CROPS / len(encoded),
        lambda: _timed(lambda: _bare(_processes(), encoded)) * CROPS / len(encoded),
    ]
    _keep_memory()
    times = _in_turn(_inside(crops, SIDE), *bare, *peer, pairs=2)
    fastest = min(times[1:3], key=statistics.median)
    ratio = _times_as_fast(times[0], fastest)
    figures = [
        Figure(f"{CROPS:,} crops resized to {SIDE}, net", _rates(times[0])),
        Figure("bare Pillow from memory, threads; processes", f"{_rates(times[1])}; {_rates(times[2])}"),
        Figure("packing resized against the faster one", f"{ratio:.2f}", ">= 0.85", ratio >= 0.85),
    ]
    for each in times[3:]:
        ratio = _times_as_fast(times[0], each)
        figures += [
            Figure(f"im2rec resized with {available_cores()} threads, net", _rates(each)),
            Figure("packing resized against im2rec, net", f"{ratio:.2f} times as fast", ">= 1.5", ratio >= 1.5),
        ]
    return figures


def _reading(crops: _Set) -> list[Figure]:
    """From a record file to pixels, 224 x 224 from the middle of a shorter side of 256."""
    _inside(crops, 0)()
    path = crops.ours / "all.rec"
    dataset = open_dataset(path)

    def ours() -> float:
        return _timed(lambda: sum(1 for _ in ordered_map(lambda place: _pixels(dataset[place]), range(len(dataset)))))

    def theirs() -> float:
        command = [str(mxnet_python()), "-c", ITERATE, str(path), str(available_cores())]
        return CROPS / float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    times = _in_turn(ours, *([theirs] if mxnet_python() else []), pairs=3)
    figures = [Figure("reading records as 224 x 224 pixels in parallel", _rates(times[0]))]
    for each in times[1:]:
        ratio = _times_as_fast(times[0], each)
        figures += [
            Figure("MXNet's ImageRecordIter, the same", _rates(each)),
            Figure("reading against ImageRecordIter", f"{ratio:.2f} times as fast", ">= 1", ratio >= 1),
        ]
    return figures


def _pixels(sample: Sample) -> NDArray[np.uint8]:
    image = decode(sample.encoded, shrink_to=256)
    shorter = min(image.size)
    side = 224 * shorter / 256
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR, box=box), np.uint8)


def _cleared(folder: Path | None, command: Sequence[str]) -> Callable[[], float]:
    def run() -> float:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return seconds_of(command)

    return run


def _inside(pictures: _Set, resize: int) -> Callable[[], float]:
    """Seconds of packing in a process that has imported everything."""

    def run() -> float:
        shutil.rmtree(pictures.ours, ignore_errors=True)
        command = [sys.executable, "-c", INSIDE, str(pictures.root), str(pictures.ours), str(pictures.lst), str(resize)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return run


def _without_imports(command: Sequence[str]) -> Callable[[], float]:
    imports = statistics.median(seconds_of([command[0], "-c", IMPORTS]) for _ in range(3))
    return lambda: seconds_of(command) - imports


def _timed(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _append_all(paths: list[str], to: Path) -> None:
    """A plain sequential copy of the same bytes: one file after the other, on the disk at the end as packing has it."""
    with to.open("wb") as file:
        for path in paths:
            with open(path, "rb") as picture:  # noqa: PTH123 - the fastest way is measured against
                file.write(picture.read())
        file.flush()
        os.fsync(file.fileno())


def _copy(path: Path, to: Path) -> None:
    shutil.copyfile(path, to)
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _bare(pool: ThreadPoolExecutor | ProcessPoolExecutor, encoded: list[bytes]) -> None:
    with pool:
        for _ in pool.map(_bare_picture, encoded, chunksize=16):
            pass


def _processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(available_cores(), mp_context=get_context("fork"), initializer=_keep_memory)


def _keep_memory() -> None:
    Image.core.set_blocks_max(8)  # type: ignore[attr-defined]


def _bare_picture(encoded: bytes) -> bytes:
    """What Pillow's manual would have one write."""
    with Image.open(io.BytesIO(encoded)) as image:
        shorter = min(image.size)
        width, height = (side * SIDE // shorter for side in image.size)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    resized.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s"


def _rates(times: list[float]) -> str:
    return f"{CROPS / statistics.median(times):,.0f} pictures/s"
