"""Datasets at URLs: read through a copy that is fetched once, written by an upload that a kill does not spoil."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import pytest
from conftest import fill_class_folders, noise_jpeg
from hypothesis import given
from hypothesis import strategies as st
from object_store import LOGIN, ObjectStore

import milliner
from milliner.cli.main import call
from milliner.core.errors import DatasetError, SettingsError
from milliner.core.progress import Advance
from milliner.curation.check import check
from milliner.curation.pack import pack
from milliner.images import local_copy as local_copy_module
from milliner.images.listing import expand_braces
from milliner.images.local_copy import local_copy
from milliner.images.published import published
from milliner.shards.dataset import open_dataset

Folders = Callable[..., Path]


class Told:
    """A `Progress` that remembers what was done."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    @contextmanager
    def __call__(self, task: str, total: int | None) -> Iterator[Advance]:
        def advance(count: int = 1, note: str = "") -> None:
            self.notes.append((task, note))

        yield advance

    def of(self, task: str) -> list[str]:
        """The notes of one task."""
        return [note for name, note in self.notes if name == task]


@pytest.fixture(scope="module")
def running_store() -> Iterator[ObjectStore]:
    with ObjectStore.running() as store:
        yield store


@pytest.fixture
def store(running_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in (LOGIN | {"AWS_ENDPOINT_URL": running_store.url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MILLINER_CACHE", str(tmp_path / "cache"))
    return running_store


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("MILLINER_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture(params=["s3", "memory", "file", "http"])
def packed_at(request: pytest.FixtureRequest, class_folders: Folders, tmp_path: Path) -> Iterator[str]:
    """The URL of a folder with `train.rec` and `test.rec`."""
    pictures = class_folders(red=10, green=20)
    kind = str(request.param)
    if kind == "http":
        request.getfixturevalue("memory")
        pack(pictures, into=tmp_path / "web")
        with web_server(tmp_path / "web") as url:
            yield url
        return
    if kind == "file":
        url = f"file://{tmp_path}/packed"
    elif kind == "s3":
        request.getfixturevalue("store").fill(f"packed-{os.getpid()}", {})
        url = f"s3://packed-{os.getpid()}/sets/one"
    else:
        request.getfixturevalue("memory")
        url = "memory://sets/one"
    pack(pictures, into=url)
    yield url


def samples(dataset: str | Path) -> list[tuple[str, str, bytes]]:
    opened = open_dataset(dataset)
    return [(each.key, each.label, each.encoded) for each in map(opened.__getitem__, range(len(opened)))]


def test_what_is_packed_into_a_url_is_read_back_from_there(packed_at: str, tmp_path: Path) -> None:
    pack(tmp_path / "pictures", into=tmp_path / "here")
    for split in ("train", "test"):
        dataset = open_dataset(f"{packed_at}/{split}.rec")
        assert dataset.labels == ("green", "red")
        assert samples(f"{packed_at}/{split}.rec") == samples(tmp_path / "here" / f"{split}.rec")
        last = len(dataset) - 1
        assert dataset[last].encoded == (tmp_path / "pictures" / dataset.key(last)).read_bytes()


# Reading


def test_what_has_not_changed_is_not_asked_for_again(store: ObjectStore, tmp_path: Path) -> None:
    pack(fill_class_folders(tmp_path / "p", red=6, green=6), into=tmp_path / "packed")
    files = {path.name: path.read_bytes() for path in (tmp_path / "packed").glob("t*")}
    store.fill("changes", files)
    told = Told()
    first = open_dataset("s3://changes/train.rec", told)
    assert sorted(told.of("copy")) == sorted(name for name in files if name.startswith("train."))
    again = Told()
    open_dataset("s3://changes/train.rec", again)
    assert again.notes == []
    pack(fill_class_folders(tmp_path / "p", 100, red=6, green=6), into=tmp_path / "packed")
    store.fill("changes", {path.name: path.read_bytes() for path in (tmp_path / "packed").glob("t*")})
    old = first[0].encoded
    assert samples("s3://changes/train.rec") == samples(tmp_path / "packed" / "train.rec")
    assert first[0].encoded == old  # what is open stays whole
    store.remove("changes", "train.sums")  # which would know other names
    open_dataset("s3://changes/train.rec")
    changed = Told()
    store.fill("changes", {"train.labels": b"a\nb\n"})
    assert open_dataset("s3://changes/train.rec", changed).labels == ("a", "b")
    assert changed.of("copy") == ["train.labels"]
    store.remove("changes", "train.labels")
    assert open_dataset("s3://changes/train.rec").labels == ("0", "1")


def test_a_folder_of_class_folders_is_checked_packed_and_trained_on_from_its_url(memory: Any, tmp_path: Path) -> None:
    pictures = fill_class_folders(tmp_path / "p", red=6, green=5)
    shutil.copy(pictures / "red" / "000.jpg", pictures / "red" / "copy.jpg")
    (pictures / ".hidden").mkdir()
    (pictures / ".hidden" / "000.jpg").write_bytes(noise_jpeg(77))
    (pictures / "ledger.sqlite").write_bytes(b"of another machine")
    memory.put(f"{pictures}/", "/site/pictures/", recursive=True)
    result = check("memory://site/pictures")
    assert [(row.file, row.reason) for row in result.set_aside] == [("red/copy.jpg", "equals red/000.jpg")]
    assert check("memory://site/pictures").looked_at == 0
    assert not [name for name in memory.find("/site") if "ledger" in name and memory.cat(name) != b"of another machine"]
    shutil.rmtree(pictures / ".hidden")
    (pictures / "ledger.sqlite").unlink()
    pack(pictures, into=tmp_path / "here")
    packed = pack("memory://site/pictures", into="memory://site/packed")
    assert [shard.path for shard in packed.shards] == [
        "memory://site/packed/train.rec",
        "memory://site/packed/test.rec",
    ]
    assert samples("memory://site/packed/train.rec") == samples(tmp_path / "here" / "train.rec")
    trained = milliner.train("memory://site/packed/train.rec", into=tmp_path / "m.onnx", size=64)
    assert trained.samples == packed.shards[0].records
    memory.rm("/site/pictures/red/000.jpg")
    keys = [key for key, _, _ in samples("memory://site/pictures")]
    assert "red/copy.jpg" in keys
    assert "red/000.jpg" not in keys


def test_a_pattern_brings_all_its_files_and_what_lies_beside(memory: Any) -> None:
    for number in range(12):
        memory.pipe(f"/tars/train-{number:03}.tar", bytes(number))
    memory.pipe({"/tars/train.sums": b"s", "/tars/test-000.tar": b"", "/tars/train.labels": b"l"})
    for pattern, count in {
        "train-{000..011}.tar": 12,
        "train-{003,004}.tar": 2,
        "train-*.tar": 12,
        "t*-000.tar": 2,
    }.items():
        path = local_copy(f"memory://tars/{pattern}")
        assert path.name == pattern
        found = {each.name: each.stat().st_size for each in path.parent.iterdir()}
        assert len([name for name in found if name.endswith(".tar")]) == count
        assert ("train.sums" in found) == pattern.startswith("train")
    memory.rm("/tars/train-005.tar")
    assert len(list(local_copy("memory://tars/train-*.tar").parent.glob("*.tar"))) == 11
    with pytest.raises(DatasetError, match=r"There is no memory://tars/train-\{000\.\.011\}\.tar; check the address"):
        local_copy("memory://tars/train-{000..011}.tar")
    with pytest.raises(DatasetError, match="There is nothing at memory://tars/val-"):
        local_copy("memory://tars/val-*.tar")


@pytest.mark.parametrize(("to", "pattern"), [("webdataset", "train-*.tar"), ("parquet", "train-*.parquet")])
def test_shards_in_a_bucket_are_opened_by_a_pattern(
    to: str, pattern: str, store: ObjectStore, class_folders: Folders, tmp_path: Path
) -> None:
    pictures = class_folders(red=12, green=12)
    store.fill(f"shards-{to}", {})
    (shard, _) = pack(pictures, into=f"s3://shards-{to}/all", to=to, shard_size=16_000).shards
    assert shard.path == f"s3://shards-{to}/all/{pattern}"
    pack(pictures, into=tmp_path / "here", to=to, shard_size=16_000)
    dataset = open_dataset(str(shard.path))
    assert dataset.labels == ("green", "red")
    assert samples(str(shard.path)) == samples(tmp_path / "here" / pattern)
    assert call(["shards", "verify", str(shard.path)]) == 0
    assert call(["shards", "ls", str(shard.path)]) == 0
    told = Told()
    open_dataset(str(shard.path), told)
    assert told.notes == []
    pack(pictures, into=f"s3://shards-{to}/all", to=to)  # fewer shards: the others go
    assert samples(str(shard.path)) == samples(tmp_path / "here" / pattern)


def test_converting_into_a_url_leaves_none_of_the_earlier_files(memory: Any, class_folders: Folders) -> None:
    pack(class_folders(red=12, green=12), into="memory://out")
    convert = ["shards", "convert", "memory://out/train.rec", "--into", "memory://tars/", "--to", "webdataset"]
    assert call([*convert, "--shard-size", "16KB"]) == 0
    many = names(memory, "/tars")
    assert call(convert) == 0
    assert many > names(memory, "/tars") == {"train-000000.tar", "train-000000.sums", "train.labels"}
    assert samples("memory://tars/train-*.tar") == samples("memory://out/train.rec")
    assert samples("memory://tars/train-000000.tar") == samples("memory://out/train.rec")


def test_pictures_at_a_url_are_not_moved(memory: Any) -> None:
    with pytest.raises(SettingsError, match=r"Pictures at memory://site cannot be moved; check a folder of this"):
        check("memory://site", fix=True)


def test_leaks_between_splits_at_urls_are_found(memory: Any, class_folders: Folders) -> None:
    pictures = class_folders(red=8, green=8)
    pack(pictures, into="memory://out")
    splits = {"train": "memory://out/train.rec", "test": "memory://out/train.rec"}
    assert len(check(splits=splits, quick=True).leaks) > 0


def test_an_imagefolder_keeps_its_list_of_records(memory: Any, class_folders: Folders, tmp_path: Path) -> None:
    pictures = class_folders(red=6, green=6)
    pack(pictures, into="memory://out", to="imagefolder")
    pack(pictures, into=tmp_path / "here", to="imagefolder")
    assert samples("memory://out/train") == samples(tmp_path / "here" / "train")
    assert call(["shards", "verify", "memory://out/train"]) == 0


@given(st.integers(0, 200), st.integers(0, 300), st.integers(1, 5))
def test_braces_stand_for_what_a_shell_makes_of_them(first: int, more: int, width: int) -> None:
    written = f"{first:0{width}}..{first + more:0{width}}"
    expected = [f"a-{number:0{width}}{end}" for number in range(first, first + more + 1) for end in (".tar", ".x")]
    assert list(expand_braces(f"a-{{{written}}}{{.tar,.x}}")) == expected


def test_braces_without_an_end_are_refused() -> None:
    with pytest.raises(DatasetError, match="stands for over 10000000 files"):
        next(expand_braces("{0..99999}{0..99999}"))


SENTENCES = {
    "s3://not-there/train.rec": r"There is no s3://not-there/train\.rec; check the address\.",
    "s3://there/val.rec": r"There is no s3://there/val\.rec; check the address\.",
    "s3://there/notes.txt": r"notes\.txt is not a dataset; give ",
    "moon://base/train.rec": r"moon://base/train\.rec cannot be read \(.*moon.*\); check the address and your rights\.",
    "http://inspector:s3cret@127.0.0.1:9/train.rec": r"http://127\.0\.0\.1:9/train\.rec cannot be read \(.*\); check",
    "s3://there/up/": r"There is nothing at s3://there/up/; check the address\.",
    "s3://there/odd/": r"s3://there/odd/ has a file named 'odd/a/.*x\.jpg', which cannot be kept here; rename it",
}


@pytest.mark.parametrize("url", SENTENCES)
def test_what_cannot_be_read_is_one_sentence(url: str, store: ObjectStore, tmp_path: Path) -> None:
    store.fill(
        "there", {"notes.txt": b"notes", "up/../../../x.jpg": noise_jpeg(1), "odd/a/a\\..\\x.jpg": noise_jpeg(1)}
    )
    with pytest.raises(DatasetError, match=SENTENCES[url]) as caught:
        open_dataset(url)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert not list(tmp_path.rglob("*.jpg"))


def test_wrong_credentials_are_one_sentence(
    store: ObjectStore, class_folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fill("guarded", {"train.rec": b""})
    pictures = class_folders(red=4, green=4)

    def allow(count: int) -> None:
        headers = {"Content-Type": "text/plain"}
        urlopen(Request(f"{store.url}/moto-api/reset-auth", str(count).encode(), headers, method="POST")).close()

    allow(0)
    try:
        with pytest.raises(DatasetError, match=r"s3://guarded/train\.rec cannot be read \(.*\); check the address and"):
            open_dataset("s3://guarded/train.rec")
        told = Told()
        with pytest.raises(DatasetError, match=r"s3://guarded/out cannot be written \(.*\); check the address and"):
            pack(pictures, into="s3://guarded/out", progress=told)
        assert told.notes == []  # said before the work
    finally:
        allow(10**9)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DatasetError, match=r"s3://guarded/train\.rec cannot be read \(.*credentials"):
        open_dataset("s3://guarded/train.rec")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    with pytest.raises(DatasetError, match=r"s3:// addresses need another package; pip install 'milliner\[s3\]'\."):
        open_dataset("s3://bucket/train.rec")


def test_a_copy_leaves_room_on_the_disk(memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory.pipe("/big/train.rec", bytes(2**20))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40 - 2**30, 2**30))
    with pytest.raises(DatasetError, match=r"takes 0\.0 GiB, and the disk of .* has 1\.0 GiB free.*MILLINER_CACHE"):
        local_copy("memory://big/train.rec")
    assert not list(tmp_path.rglob("*train.rec*"))


def test_a_file_that_changes_meanwhile_is_not_taken_for_either(memory: Any) -> None:
    memory.pipe({"/live/train.rec": bytes(9), "/live/train.idx": bytes(9)})

    @contextmanager
    def progress(task: str, total: int | None) -> Iterator[Advance]:
        yield lambda count=1, note="": memory.pipe("/live/train.idx", b"new" * 3)

    with pytest.raises(DatasetError, match=r"memory://live/train\.rec was changed while it was being copied; run"):
        local_copy("memory://live/train.rec", progress)
    assert local_copy("memory://live/train.rec").with_suffix(".idx").read_bytes() == b"new" * 3


_STOPPED = """
import sys
from contextlib import contextmanager
from threading import Event
from milliner.curation.pack import pack
from milliner.images.local_copy import local_copy

@contextmanager
def progress(task, total):
    done = [0]
    def advance(count=1, note=""):
        done[0] += count
        if task == sys.argv[1] and done[0] == int(sys.argv[2]):
            print(flush=True)
            Event().wait()
    yield advance

if sys.argv[1] == "copy":
    local_copy(sys.argv[3], progress)
else:
    pack(sys.argv[3], into=sys.argv[4], progress=progress)
"""


def kill_at(task: str, count: int, *arguments: str) -> None:
    """Runs in a process of its own until the task has told so many times, and kills it there and then."""
    command = [sys.executable, "-c", _STOPPED, task, str(count), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        os.kill(process.pid, signal.SIGKILL)


def test_a_killed_copy_goes_on_with_files_and_within_one(store: ObjectStore) -> None:
    piece = local_copy_module._PIECE
    big = os.urandom(5 * piece // 2)
    store.fill("large", {"a/1.bin": b"one", "b/2.bin": big, "c/3.bin": b"three"})
    kill_at("copy", 3, "s3://large/")
    rest = Told()
    copy = local_copy("s3://large/", rest)
    assert rest.of("copy") == ["large/b/2.bin", "large/c/3.bin"]  # the last of three pieces
    assert (copy / "b" / "2.bin").read_bytes() == big
    assert sorted(path.name for path in copy.rglob("*.bin")) == ["1.bin", "2.bin", "3.bin"]
    assert not list(copy.rglob("*.part"))


# Writing


def names(memory: Any, folder: str) -> set[str]:
    return {name.removeprefix(folder).lstrip("/") for name in memory.find(folder)}


def test_earlier_files_go_and_others_stay(memory: Any, class_folders: Folders) -> None:
    pictures = class_folders(red=8, green=8)
    pack(pictures, into="memory://out", split={"a": 0.5, "b": 0.5})
    memory.pipe({"/out/notes.txt": b"mine", "/out/foreign.rec": b"too"})
    pack(pictures, into="memory://out")
    endings = (".rec", ".idx", ".lst", ".labels")
    expected = {f"{split}{ending}" for split in ("train", "test") for ending in endings}
    assert {name for name in names(memory, "/out") if not name.endswith(".sums")} == {
        *expected,
        "notes.txt",
        "foreign.rec",
    }


def test_what_is_there_is_not_uploaded_again(memory: Any, class_folders: Folders) -> None:
    pictures, told = class_folders(red=8, green=8), Told()
    pack(pictures, into="memory://out", progress=told)
    uploaded = told.of("upload")
    assert {"train.rec", "test.rec", "train.lst"} < set(uploaded)
    assert set(uploaded[-2:]) == {"train.rec", "test.rec"}  # what makes them visible
    again = Told()
    pack(pictures, into="memory://out", progress=again)
    assert again.of("upload") == []
    memory.pipe("/out/train.lst", b"changed by hand")
    memory.rm("/out/test.labels")
    mended = Told()
    pack(pictures, into="memory://out", progress=mended)
    assert sorted(mended.of("upload")) == ["test.labels", "train.lst"]


def test_a_failure_uploads_nothing(memory: Any, class_folders: Folders, tmp_path: Path) -> None:
    pictures = class_folders(red=8, green=8)
    (tmp_path / "bad.lst").write_text("0\t0\tnowhere.jpg\n")
    with pytest.raises(DatasetError, match="there is no file nowhere"):
        pack(pictures, into="memory://out", lists={"train": tmp_path / "bad.lst"})

    def fail() -> None:
        with published("memory://out") as folder:
            (folder / "train.rec").write_bytes(b"half")
            raise OSError("unforeseen")

    with pytest.raises(OSError, match="unforeseen"):
        fail()
    assert names(memory, "/out") == set()


def test_a_killed_upload_goes_on(store: ObjectStore, class_folders: Folders, tmp_path: Path) -> None:
    pictures = class_folders(red=8, green=8)
    store.fill("killed", {})
    kill_at("upload", 3, str(pictures), "s3://killed/out")
    with pytest.raises(DatasetError, match=r"There is no s3://killed/out/train\.rec"):
        open_dataset("s3://killed/out/train.rec")
    told = Told()
    pack(pictures, into="s3://killed/out", progress=told)
    whole = Told()
    pack(pictures, into="s3://killed/other", progress=whole)
    assert len(told.of("upload")) == len(whole.of("upload")) - 3
    pack(pictures, into=tmp_path / "here")
    for split in ("train", "test"):
        assert samples(f"s3://killed/out/{split}.rec") == samples(tmp_path / "here" / f"{split}.rec")
    assert not list((tmp_path / "cache").rglob("uploads/*/files/*.rec"))  # uploaded, so it needs no room here


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "s3://not-there/out",
            r"s3://not-there/out cannot be written \(.*bucket.*\); check the address and your rights",
        ),
        (
            "https://site.example/out",
            r"https://site\.example/out is a web address, which takes no files; give a bucket",
        ),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(
    url: str, sentence: str, store: ObjectStore, class_folders: Folders
) -> None:
    told = Told()
    with pytest.raises(DatasetError, match=sentence):
        pack(class_folders(red=4, green=4), into=url, progress=told)
    assert told.notes == []


def test_commands_take_urls(
    memory: Any, class_folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = class_folders(red=8, green=8)
    assert call(["pack", str(pictures), "--into", "memory://sets/", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [shard["path"] for shard in document["shards"]] == ["memory://sets/train.rec", "memory://sets/test.rec"]
    memory.put(f"{pictures}/", "/site/pictures/", recursive=True)
    assert call(["check", "memory://site/pictures", "--json"]) == 0
    assert call(["train", "memory://sets/train.rec", "--into", str(tmp_path / "m.onnx"), "--size", "64"]) == 0
    assert call(["evaluate", str(tmp_path / "m.onnx"), "memory://sets/test.rec"]) == 0
    capsys.readouterr()
    assert call(["train", "memory://sets/none.rec", "--into", str(tmp_path / "m.onnx")]) == 1
    assert capsys.readouterr().err == "error: There is no memory://sets/none.rec; check the address.\n"
