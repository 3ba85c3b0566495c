"""Files that are whole or absent, also after a kill and on a full disk; and the ledger that keeps its rows."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from milliner.core.errors import DatasetError, MillinerError
from milliner.images.comparisons import JudgedRow, PairRow
from milliner.images.files import atomic_file, read_at_most, write_atomically
from milliner.images.ledger import FetchRow, Ledger, PictureRow


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def until(condition: Callable[[], bool]) -> None:
    """Waits for another process, which shows itself in the file system only."""
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("the other process did not get that far")


def test_a_written_file_appears_whole_in_a_folder_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file.bin"
    with atomic_file(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert names(path.parent) == ["file.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_failure_leaves_the_old_file_and_no_part(
    tmp_path: Path, error: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "file.bin"
    if old is not None:
        path.write_bytes(old)

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert (path.read_bytes() if path.exists() else None) == old
    assert names(tmp_path) == ([] if old is None else ["file.bin"])


def test_a_shorter_file_leaves_nothing_of_a_killed_writers_part(tmp_path: Path) -> None:
    (tmp_path / ".file.bin.part").write_bytes(b"x" * 1000)
    write_atomically(tmp_path / "file.bin", b"short")
    assert (tmp_path / "file.bin").read_bytes() == b"short"
    assert names(tmp_path) == ["file.bin"]


def test_a_second_writer_is_refused_and_does_not_disturb_the_first(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with atomic_file(path) as file:
        file.write(b"first")
        file.flush()
        with pytest.raises(MillinerError, match=r"file\.bin is being written by another process; wait for it to end\."):
            write_atomically(path, b"second")
    assert path.read_bytes() == b"first"


def test_no_more_is_read_than_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * 2**20)
    assert read_at_most(path, 2**20) == path.read_bytes()
    for large in (path, Path("/dev/zero")):
        with pytest.raises(DatasetError, match=rf"{large} is over 0 MiB; shrink it or check the path"):
            read_at_most(large, 2**20 - 1)
    with pytest.raises(FileNotFoundError):
        read_at_most(tmp_path / "missing.bin", 1)


WRITER = """
    import sys
    from pathlib import Path
    from milliner.images.files import atomic_file

    with atomic_file(Path(sys.argv[1])) as file:
        file.write(b"new" * 1000)
        file.flush()
        sys.stdin.read()
"""


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the midst of writing `path`."""
    part = path.with_name(f".{path.name}.part")
    with start(WRITER, path) as process:
        try:
            until(lambda: part.exists() and part.stat().st_size == 3000)
            yield process
        finally:
            process.kill()


def test_another_process_is_refused_while_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with writing(path) as process:
        with pytest.raises(MillinerError, match="being written by another process"):
            write_atomically(path, b"mine")
        process.communicate("")
    assert path.read_bytes() == b"new" * 1000


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with writing(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.read_bytes() == b"old"
    write_atomically(path, b"mine")
    assert path.read_bytes() == b"mine"
    assert names(tmp_path) == ["file.bin"]


def test_writers_that_race_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"

    def write(number: int) -> int:
        """How often it was refused."""
        refused = 0
        for _ in range(200):
            try:
                write_atomically(path, bytes([number]) * 5000)
            except MillinerError:
                refused += 1
        return refused

    with ThreadPoolExecutor(6) as pool:
        assert 0 < sum(pool.map(write, range(6))) < 1200
    content = path.read_bytes()
    assert content == content[:1] * 5000
    assert names(tmp_path) == ["file.bin"]


# A file system of 100,000 bytes: the kernel answers "file too large" where a full disk answers "no space left".
ON_A_FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    from milliner.core.errors import MillinerError
    from milliner.images.files import write_atomically
    from milliner.images.ledger import FetchRow, Ledger

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    def fill_ledger(path):
        with Ledger.open(path) as ledger:
            for number in range(100_000):
                ledger.add(FetchRow(str(number), "red", "urls", "stored"))
                print(number)

    try:
        if sys.argv[1] == "file":
            write_atomically(Path(sys.argv[2]), bytes(int(sys.argv[3])))
        else:
            fill_ledger(Path(sys.argv[2]))
    except (OSError, MillinerError) as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("size", [100_001, 104_000, 300_000])
def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with start(ON_A_FULL_DISK, "file", path, str(size)) as process:
        said, errors = process.communicate()
    assert said.startswith("OSError"), errors
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_a_full_disk_costs_the_ledger_none_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with start(ON_A_FULL_DISK, "ledger", path) as process:
        said, errors = process.communicate()
    *written, sentence = said.splitlines()
    assert sentence.startswith(f"DatasetError The ledger {path} cannot be used"), errors
    assert len(written) > 10
    with Ledger.open(path) as ledger:
        assert {row.address for row in ledger.fetched()} >= set(written)
        ledger.add(FETCHED)
        assert FETCHED in list(ledger.fetched())


FETCHED = FetchRow("https://example.org/a.jpg", "red", "urls", "stored", "CC0", None, "ab" * 32, 1234, "red/a.jpg")
PICTURE = PictureRow("red/a.jpg", "red", 1234, 1_700_000_000_000_000_000, "kept", "ab" * 32, 64, 48, "JPEG")


def test_rows_are_there_after_the_ledger_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.add(FETCHED)
        ledger.add(PICTURE)
    with Ledger.open(path) as ledger:
        assert list(ledger.fetched()) == [FETCHED]
        assert ledger.pictures() == {"red/a.jpg": PICTURE}
    assert names(path.parent) == ["ledger.sqlite"]


def test_a_row_takes_the_place_of_an_earlier_one_of_the_same_thing(tmp_path: Path) -> None:
    failed = FetchRow(FETCHED.address, "red", "urls", "failed", reason="no answer")
    other_label = FetchRow(FETCHED.address, "green", "urls", "failed")
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        for row in (failed, other_label, FETCHED):
            ledger.add(row)
        assert list(ledger.fetched()) == [other_label, FETCHED]
        ledger.add_all([PICTURE, PictureRow("red/a.jpg", "red", 1, 2, "set aside", reason="tiny")])
        assert [row.reason for row in ledger.pictures().values()] == ["tiny"]
        ledger.add_all([])
        ledger.forget_pictures(["red/a.jpg", "red/never-there.jpg"])
        assert ledger.pictures() == {}


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # files are made, on whatever disk there is
@given(
    rows=st.lists(
        st.builds(
            PictureRow,
            text,
            text,
            st.integers(0, 2**40),
            st.integers(0, 2**63 - 1),
            st.sampled_from(["kept", "set aside"]),
            sha256=st.none() | text,
            width=st.none() | st.integers(1, 10**6),
            reason=st.none() | text,
            root=text,
            rules=text,
            likeness=st.sampled_from([None, "00ff00ff00ff00ff"]),
            notes=st.sampled_from(["", "long", "long,blurred"]),
        ),
        max_size=5,
        unique_by=lambda row: row.file,
    )
)
def test_any_row_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[PictureRow]) -> None:
    with Ledger.open(tmp_path_factory.mktemp("ledger") / "ledger.sqlite") as ledger:
        ledger.add_all(rows)
        assert ledger.pictures() == {row.file: row for row in rows}


def test_a_failed_batch_writes_none_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    unfit = PictureRow("red/b.jpg", "red", 2**70, 0, "kept")

    def write() -> None:
        with Ledger.open(path) as ledger:
            ledger.add_all([PICTURE, unfit])

    with pytest.raises((DatasetError, OverflowError)):
        write()
    with Ledger.open(path) as ledger:
        assert ledger.pictures() == {}


ADDER = """
    import sys
    from pathlib import Path
    from milliner.images.ledger import FetchRow, Ledger

    with Ledger.open(Path(sys.argv[1])) as ledger:
        for number in range(10**9):
            ledger.add(FetchRow(str(number), "red", "urls", "stored"))
            print(number, flush=True)
"""


def test_a_killed_run_loses_no_row_that_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with start(ADDER, path) as process:
        assert process.stdout is not None
        written = {process.stdout.readline().strip() for _ in range(200)}
        process.kill()
    with Ledger.open(path) as ledger:
        assert {row.address for row in ledger.fetched()} >= written


def test_two_may_read_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as first, Ledger.open(path) as second:
        first.add(FETCHED)
        second.add(PICTURE)
        assert list(second.fetched()) == [FETCHED]
        assert list(first.pictures()) == ["red/a.jpg"]


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.add(FETCHED)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DatasetError, match=r"newer Milliner \(ledger 99\); upgrade"), Ledger.open(path):
        pass
    assert path.read_bytes() == before


def rubbish(path: Path) -> None:
    path.write_bytes(b"this is no database at all, but long enough to look like one" * 20)


def a_folder(path: Path) -> None:
    path.mkdir()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@pytest.mark.parametrize("make", [rubbish, a_folder, below_a_file])
def test_a_ledger_that_cannot_be_used_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "folder" / "ledger.sqlite"
    path.parent.mkdir()
    make(path)
    with pytest.raises(DatasetError, match=r"The ledger .*ledger\.sqlite cannot be used"), Ledger.open(path):
        pass


def test_a_failure_of_the_caller_is_not_blamed_on_the_ledger(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), Ledger.open(tmp_path / "ledger.sqlite"):
        raise BrokenPipeError  # such as a terminal's that was closed while the work went on


def test_verdicts_of_an_older_ledger_are_given_anew_and_what_was_fetched_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE fetched (address TEXT NOT NULL, label TEXT NOT NULL, source TEXT NOT NULL, licence TEXT,
          status TEXT NOT NULL, reason TEXT, sha256 TEXT, bytes INTEGER, file TEXT, PRIMARY KEY (address, label)
        ) WITHOUT ROWID;
        CREATE TABLE pictures (file TEXT PRIMARY KEY, label TEXT NOT NULL, sha256 TEXT, bytes INTEGER NOT NULL,
          modified_ns INTEGER NOT NULL, width INTEGER, height INTEGER, format TEXT, status TEXT NOT NULL, reason TEXT
        ) WITHOUT ROWID;
        INSERT INTO fetched (address, label, source, status) VALUES ('http://a/1.jpg', 'hat', 'urls:a.csv', 'failed');
        INSERT INTO pictures (file, label, bytes, modified_ns, status) VALUES ('hat/1.jpg', 'hat', 1, 1, 'kept');
        PRAGMA user_version = 1;
        """
    )
    connection.close()
    with Ledger.open(path) as ledger:
        assert [row.address for row in ledger.fetched()] == ["http://a/1.jpg"]
        assert ledger.pictures() == {}


def test_a_ledger_of_version_3_keeps_its_rows_and_can_hold_notes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.add_all([FETCHED])
        ledger.add_all([PICTURE])
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE pictures DROP COLUMN likeness; ALTER TABLE pictures DROP COLUMN notes; PRAGMA user_version = 3;"
    )
    connection.close()
    with Ledger.read(path) as ledger:  # also where nothing may be written
        assert ledger.pictures() == {"red/a.jpg": PICTURE}
    noted = replace(PICTURE, likeness="00ff00ff00ff00ff", notes="long,blurred")
    with Ledger.open(path) as ledger:
        assert ledger.pictures() == {"red/a.jpg": PICTURE}
        assert list(ledger.fetched()) == [FETCHED]
        ledger.add(noted)
        assert ledger.pictures() == {"red/a.jpg": noted}
        assert (noted.remarks, PICTURE.remarks) == (("long", "blurred"), ())


def test_what_comparing_found_is_kept_by_recipe_and_content(tmp_path: Path) -> None:
    pair, other = PairRow("aa", "bb", 0.9, 0.95), PairRow("aa", "cc", 0.8, 0.1)
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        found = ledger.comparisons
        found.add("one", ["aa", "bb"], [pair])
        found.add("one", ["cc"], [other])
        found.add("two", ["aa"], [])
        assert (found.compared("one"), found.compared("two")) == ({"aa", "bb", "cc"}, {"aa"})
        assert found.pairs("one") == [pair, other]
        found.judge("one", [JudgedRow("aa", 0.2, "red", 0.7), JudgedRow("bb", 0.9, None, 0.9)])
        found.note_fact("one", "0.5")
        found.note_fact("old", "0.4")
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.add_all(replace(PICTURE, file=f"red/{sha256}.jpg", sha256=sha256) for sha256 in ("aa", "bb"))
        found = ledger.comparisons
        assert [row.said for row in found.judged("one")] == ["red", None]
        found.forget_gone()  # of cc, so that aa, which was like it, is to be compared again
        found.forget_all_but(["one"], ["one"])
        assert (found.compared("one"), found.compared("two")) == ({"bb"}, set())
        assert found.pairs("one") == [pair]
        assert (found.fact("one"), found.fact("old")) == ("0.5", None)
