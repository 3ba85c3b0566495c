"""Record files: damage found and mended, opening ten million records, reading one, and writing."""

import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import milliner as mn
from benchmarks.figures import DATA, Figure, peak_memory
from milliner.core.errors import DatasetError
from milliner.shards.format import Record
from milliner.shards.recordio import FORMAT
from milliner.shards.repair import repair

DAMAGES, PER_FILE, BARE = 10_000, 20, 10
RECORDS = 200
ENTRIES, FEW, SIZE = 10_000_000, 100_000, 44_040
PAIRS = 5


def measure() -> list[Figure]:
    """On the photographs, except for the ten million records, which are an index beside a file of holes."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        # Given lists, since a drawn split is remembered beside the pictures, which are not ours to write to.
        lists = {name: DATA / "helmets" / f"{name}.lst" for name in ("train", "test")}
        mn.pack(DATA / "helmets", into=place / "packed", lists=lists)
        packed = FORMAT.open([place / "packed" / "train.rec"])
        records = [packed.record(index) for index in range(len(packed))]
        return [
            *_damage(place, records[:RECORDS]),
            *_reading(place / "packed" / "train.rec", records),
            *_opening(place),
            *_writing(place, records),
        ]


@dataclass(frozen=True)
class _Sound:
    """A file as it was written, and where each record lies in it."""

    content: bytes
    spans: tuple[tuple[int, int], ...]

    def whole(self, content: bytes) -> list[bool]:
        """Which records are as they were."""
        return [self.content[start:end] == content[start:end] for start, end in self.spans]


def _damage(place: Path, records: Sequence[Record]) -> list[Figure]:
    """Twenty places of a file at a time; every fourth file is also cut short."""
    folder = place / "damaged"
    sound, chance = _written(folder, records), random.Random(0)
    damaged = found = falsely = whole = salvaged = wrong = 0
    for _ in range(DAMAGES // PER_FILE):
        intact = _spoil(folder, sound, chance)
        lost = {record.key for record, is_whole in zip(records, intact, strict=True) if not is_whole}
        named = {item.record for item in FORMAT.open([folder / "a.rec"]).damage() if item is not None}
        damaged, found, falsely = damaged + len(lost), found + len(lost & named), falsely + len(named - lost)
        kept = _mended(folder)
        whole, salvaged = whole + sum(intact), salvaged + _same(kept, records, intact)
        wrong += len(kept) - _same(kept, records, intact) + _wrongly_read(folder / "a.rec", records)
    return [
        Figure(
            f"{DAMAGES:,} flipped bits and cuts: damaged records found; falsely accused",
            f"{found:,} of {damaged:,}; {falsely}",
            "all; 0",
            (found, falsely) == (damaged, 0),
        ),
        Figure("intact records salvaged, byte for byte", f"{salvaged:,} of {whole:,}", "all", salvaged == whole),
        Figure("wrong pictures read or salvaged", str(wrong), "0", wrong == 0),
        *_bare_damage(folder, sound, records, chance),
    ]


def _bare_damage(folder: Path, sound: _Sound, records: Sequence[Record], chance: random.Random) -> list[Figure]:
    """The same without anything beside the records, where frames and pictures must tell."""
    for suffix in (".idx", ".lst", ".labels", ".sums"):
        (folder / f"a{suffix}").unlink()
    damaged = unseen = whole = salvaged = 0
    for _ in range(DAMAGES // PER_FILE // BARE):
        intact = _spoil(folder, sound, chance)
        kept = _mended(folder)
        whole, salvaged = whole + sum(intact), salvaged + _same(kept, records, intact)
        damaged, unseen = damaged + intact.count(False), unseen + len(kept) - _same(kept, records, intact)
    return [
        Figure(
            f"{DAMAGES // BARE:,} of them without checksums, index and list: intact records salvaged",
            f"{salvaged:,} of {whole:,}",
            "all",
            salvaged == whole,
        ),
        Figure("and damaged records told by frame and decoder alone", f"{damaged - unseen:,} of {damaged:,}"),
    ]


def _written(folder: Path, records: Sequence[Record]) -> _Sound:
    with FORMAT.writer(folder, "a", ["helmet", "nohelmet"]) as writer:
        for record in records:
            writer.add(record)
    starts = [int(line.split("\t")[1]) for line in (folder / "a.idx").read_text().splitlines()]
    content = (folder / "a.rec").read_bytes()
    return _Sound(content, tuple(zip(starts, [*starts[1:], len(content)], strict=True)))


def _spoil(folder: Path, sound: _Sound, chance: random.Random) -> list[bool]:
    """Writes a damaged file, and says which records are whole in it."""
    content = bytearray(sound.content)
    if chance.random() < 0.25:
        del content[chance.randrange(len(content) // 2, len(content)) :]
    for _ in range(PER_FILE - (len(content) < len(sound.content))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    (folder / "a.rec").write_bytes(content)
    return sound.whole(bytes(content))


def _mended(folder: Path) -> dict[int, Record]:
    """What is salvaged, by the records' ids."""
    (path,) = repair(folder / "a.rec", into=folder / "new" / "a.rec").files
    dataset = FORMAT.open([path])
    return {record.id: record for record in map(dataset.record, range(len(dataset)))}


def _same(kept: dict[int, Record], records: Sequence[Record], intact: Sequence[bool]) -> int:
    """How many of the intact records were kept as they are."""
    return sum(
        is_whole and record.id in kept and kept[record.id].encoded == record.encoded
        for record, is_whole in zip(records, intact, strict=True)
    )


def _wrongly_read(path: Path, records: Sequence[Record]) -> int:
    dataset, wrong = FORMAT.open([path]), 0
    for place, record in enumerate(records):
        with suppress(DatasetError):
            wrong += dataset.record(place) != record
    return wrong


def _reading(path: Path, records: Sequence[Record]) -> list[Figure]:
    """Records at random places, and nothing decoded."""
    chance = random.Random(0)
    places = [chance.randrange(len(records)) for _ in range(5000)]
    summed = _microseconds(path, places)
    path.with_suffix(".sums").unlink()
    indexed = _microseconds(path, places)
    return [
        Figure("reading a record at random, compared with its checksum", f"{summed:.0f} us", "< 50 us", summed < 50),
        Figure("the same by a foreign index and list", f"{indexed:.0f} us", "< 50 us", indexed < 50),
    ]


def _microseconds(path: Path, places: Sequence[int]) -> float:
    """Of the fastest round."""
    dataset = FORMAT.open([path])
    rounds = []
    for _ in range(PAIRS):
        start = perf_counter()
        for place in places:
            _ = dataset[place]
        rounds.append((perf_counter() - start) / len(places) * 1e6)
    return min(rounds)


_OPEN = """
import sys
from pathlib import Path
from time import perf_counter
from milliner.shards.recordio import FORMAT
FORMAT.open([Path(sys.argv[1])]).record(0)
start = perf_counter()
dataset = FORMAT.open([Path(sys.argv[2])])
count = len(dataset)
assert dataset.record(count - 1).id == count - 1
print(count, perf_counter() - start)
for place in range(0, count, count // 1000):
    dataset.record(place)
"""


def _opening(place: Path) -> list[Figure]:
    few, many = (_simulated(place / f"{count}.rec", count) for count in (FEW, ENTRIES))
    ran = subprocess.run([sys.executable, "-c", _OPEN, few, many], capture_output=True, text=True, check=True)
    seconds = float(ran.stdout.split()[1])
    small, large = (peak_memory(_OPEN, str(few), str(path)) >> 20 for path in (few, many))
    return [
        Figure(f"opening {ENTRIES:,} index entries", f"{seconds:.2f} s", "< 1 s", seconds < 1),
        Figure(
            f"peak memory of a process with {FEW:,} and with {ENTRIES:,}",
            f"{small} and {large} MiB",
            "flat",
            large - small < 16,
        ),
    ]


def _simulated(path: Path, count: int) -> Path:
    """An index of records of which only a thousand are more than holes."""
    with path.open("wb") as file:
        for number in (*range(0, count, count // 1000), count - 1):
            file.seek(number * SIZE)
            file.write(struct.pack("<4sIIfQQ", b"\x0a\x23\xd7\xce", SIZE - 8, 0, 0.0, number, 0))
        file.truncate(count * SIZE)
    with path.with_suffix(".idx").open("w") as index:
        index.writelines(f"{number}\t{number * SIZE}\n" for number in range(count))
    return path


def _writing(place: Path, records: Sequence[Record]) -> list[Figure]:
    """The records of twenty thousand pictures from memory, against their bytes written one behind the other."""
    many = [replace(records[number % len(records)], id=number) for number in range(20_000)]
    ours, plain = [], []
    for _ in range(PAIRS):
        start = perf_counter()
        with FORMAT.writer(place / "written", "a", ["helmet", "nohelmet"]) as writer:
            for record in many:
                writer.add(record)
        ours.append(perf_counter() - start)
        start = perf_counter()
        with (place / "plain").open("wb") as file:
            for record in many:
                file.write(record.encoded)
            file.flush()
            os.fsync(file.fileno())
        plain.append(perf_counter() - start)
    ratio = statistics.median(one / other for one, other in zip(plain, ours, strict=True))
    each, bare = (statistics.median(times) / len(many) * 1e6 for times in (ours, plain))
    return [
        Figure("writing a record, with index, list, checksums and all on disk", f"{each:.0f} us"),
        Figure("writing the picture's bytes alone, on disk", f"{bare:.0f} us"),
        Figure("speed against those", f"{ratio:.2f}", ">= 0.7", ratio >= 0.7),
    ]
