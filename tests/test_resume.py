"""A run that is killed while it packs is gone on with; one that fails leaves nothing."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from milliner.core.errors import DatasetError
from milliner.shards.format import Record
from milliner.shards.recordio import FORMAT

COUNT, SIZE = 300, 40_000
LABELS = ("red", "green")
ENDINGS = (".rec", ".idx", ".lst", ".labels", ".sums")


def record(number: int) -> Record:
    return Record(number, (float(number % 2),), number.to_bytes(4, "big") * (SIZE // 4), f"red/é {number}.jpg")


def write(folder: Path, plan: str = "", labels: tuple[str, ...] = LABELS) -> int:
    """Writes all records that are not there yet, and returns how many were."""
    with FORMAT.writer(folder, "train", labels, plan=plan) as writer:
        done = writer.done
        for number in range(done, COUNT):
            writer.add(record(number))
    return done


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("expected")
    write(folder)
    return contents(folder)


KILLED = """
    import sys
    from pathlib import Path
    from threading import Event
    from milliner.shards.recordio import FORMAT
    from test_resume import LABELS, record

    folder, plan, before, after = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with FORMAT.writer(Path(folder), "train", LABELS, plan=plan) as writer:
        for number in range(writer.done, before):
            writer.add(record(number))
        writer.sync()
        for number in range(max(before, writer.done), before + after):
            writer.add(record(number))
        print(flush=True)
        Event().wait()
"""


def kill_after(folder: Path, plan: str, synced: int, more: int = 0) -> None:
    """Kills a process that has so many records on the disk, and some more on the way there."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), plan, str(synced), str(more)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        os.kill(process.pid, signal.SIGKILL)


def test_a_killed_run_is_gone_on_with_and_the_same_bytes_come_out(tmp_path: Path, expected: dict[str, bytes]) -> None:
    kill_after(tmp_path, "this", synced=100, more=60)
    assert all(name.startswith(".") for name in contents(tmp_path))
    kill_after(tmp_path, "this", synced=200)
    assert write(tmp_path, "this") >= 200
    assert contents(tmp_path) == expected


@pytest.mark.parametrize(("plan", "labels"), [("that", LABELS), ("", LABELS), ("this", ("red", "blue"))])
def test_another_plan_begins_anew(tmp_path: Path, plan: str, labels: tuple[str, ...]) -> None:
    kill_after(tmp_path, "this", synced=100)
    assert write(tmp_path, plan, labels) == 0
    fresh = tmp_path / "fresh"
    write(fresh, "", labels)
    assert contents_of_files(tmp_path) == contents(fresh)


def contents_of_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def cut(path: Path, count: int) -> None:
    with path.open("r+b") as file:
        file.truncate(count)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


LOSSES: dict[str, tuple[Callable[[Path], None], int]] = {
    "the records end early": (lambda folder: cut(folder / ".train.rec.part", 50 * 40_032 + 7), 50),
    "a record is damaged": (lambda folder: flip(folder / ".train.rec.part", 50 * 40_032 + 7), 50),
    "the list ends early": (lambda folder: cut(folder / ".train.lst.part", 100), 4),
    "the list is damaged": (lambda folder: flip(folder / ".train.lst.part", 15), 0),
    "the list is gone": (lambda folder: (folder / ".train.lst.part").unlink(), 0),
    "the plan ends early": (lambda folder: cut(folder / ".train.rec.plan", 40 + 70 * 16 + 3), 70),
    "the plan is gone": (lambda folder: (folder / ".train.rec.plan").unlink(), 0),
    "the records are gone": (lambda folder: (folder / ".train.rec.part").unlink(), 0),
}


@pytest.mark.parametrize("what", LOSSES)
def test_what_is_no_longer_there_is_written_again(tmp_path: Path, what: str, expected: dict[str, bytes]) -> None:
    kill_after(tmp_path, "this", synced=100)
    lose, kept = LOSSES[what]
    lose(tmp_path)
    assert write(tmp_path, "this") == kept
    assert contents(tmp_path) == expected


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_leaves_nothing_and_what_is_interrupted_is_gone_on_with(
    tmp_path: Path, error: type[BaseException], expected: dict[str, bytes]
) -> None:
    def stopped() -> None:
        with FORMAT.writer(tmp_path, "train", LABELS, plan="this") as writer:
            for number in range(100):
                writer.add(record(number))
            writer.sync()
            raise error

    with pytest.raises(error):
        stopped()
    assert bool(contents(tmp_path)) == (error is KeyboardInterrupt)
    assert write(tmp_path, "this") == (100 if error is KeyboardInterrupt else 0)
    assert contents(tmp_path) == expected


def test_without_a_plan_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stopped() -> None:
        with FORMAT.writer(tmp_path, "train", LABELS) as writer:
            writer.add(record(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert contents(tmp_path) == {}


def test_a_payload_that_a_record_cannot_hold_is_named(tmp_path: Path) -> None:
    huge = Record(1, (0.0,), bytes(2**29 - 24), "red/huge.jpg")
    with (
        pytest.raises(DatasetError, match=r"red/huge\.jpg has 536870888 bytes, and a record holds less than 512 MiB"),
        FORMAT.writer(tmp_path, "train", LABELS) as writer,
    ):
        writer.add(huge)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("key", ["a\tb.jpg", "a\nb.jpg", "a\rb.jpg"])
def test_a_key_that_a_list_cannot_hold_is_refused(tmp_path: Path, key: str) -> None:
    with (
        pytest.raises(DatasetError, match="holds a tab or a line break, which a list cannot hold; rename the file"),
        FORMAT.writer(tmp_path, "train", LABELS) as writer,
    ):
        writer.add(Record(1, (0.0,), b"x", key))
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    "wrong", [Record(-1, (0.0,), b"x", "a"), Record(2**64, (0.0,), b"x", "a"), Record(0, (1e39,), b"x", "a")]
)
def test_an_id_or_a_label_that_a_record_cannot_hold_is_refused(tmp_path: Path, wrong: Record) -> None:
    with (
        pytest.raises(DatasetError, match="a has an id or a label that a record cannot hold"),
        FORMAT.writer(tmp_path, "train", LABELS) as writer,
    ):
        writer.add(wrong)
    assert contents(tmp_path) == {}
