"""Engines: whatever computes, the same results in the same order, and the same failures."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import fill_class_folders
from engine_work import Failing, doubled, laborious_at_first, process_of, read
from PIL import Image

from milliner.backbones.backbone import DEFAULT, backbone
from milliner.cli.main import call
from milliner.core.errors import DatasetError, MillinerError, SettingsError, UnreadableImageError
from milliner.core.parallel import Spread
from milliner.curation import cluster as cluster_module
from milliner.curation.check import check
from milliner.curation.engine import ENGINES, engine
from milliner.curation.pack import pack
from milliner.images.resize import ResizePolicy
from milliner.probe.embed import embed
from milliner.shards.dataset import open_dataset

pytestmark = [
    pytest.mark.xdist_group("ray"),  # one Ray for all of them
    pytest.mark.filterwarnings("default"),  # Ray's own
]


@pytest.fixture(scope="session")
def running_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray with two workers, which finds this folder's modules and keeps out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLINER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_ADDRESS", "")
        patch.setattr(cluster_module, "available_cores", lambda: 2)
        ray = cluster_module._import()
        cluster_module._connect(ray)
        yield
        ray.shutdown()


@pytest.fixture(params=ENGINES)
def spread(request: pytest.FixtureRequest) -> Iterator[Spread]:
    if request.param == "ray":
        request.getfixturevalue("running_ray")
    with engine(str(request.param)) as found:
        yield found


def test_results_come_in_the_order_of_the_items(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_WINDOW", 100)
    assert list(spread(doubled, range(250))) == [2 * number for number in range(250)]
    assert list(spread(laborious_at_first, range(100))) == list(range(100))
    assert list(spread(doubled, [])) == []


def test_items_are_taken_as_they_are_needed(spread: Spread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_WINDOW", 64)
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10**9):
            taken.append(number)
            yield number

    results = spread(doubled, numbers())
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) <= 64
    del results


FAILURES: dict[str, tuple[type[Exception], str]] = {
    "unreadable": (UnreadableImageError, "it is cut short"),
    "dataset": (DatasetError, "it is not as it should be; mend it."),
    "system": (FileNotFoundError, "a.jpg"),
    "bug": (ValueError, "a mistake of ours"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_raised_where_its_result_would_have_come(spread: Spread, kind: str) -> None:
    results = spread(Failing(40, kind), range(60))
    before = [next(results) for _ in range(32)]
    assert before == list(range(32))
    expected, said = FAILURES[kind]
    with pytest.raises(expected, match=said) as caught:
        list(results)
    if isinstance(caught.value, UnreadableImageError):
        assert caught.value.reason == "truncated"


@pytest.mark.usefixtures("running_ray")
def test_ray_computes_in_other_processes_and_reads_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.bin").write_bytes(b"here")
    with engine("ray", [Path("a.bin")]) as spread:
        assert os.getpid() not in set(spread(process_of, range(64)))
        assert list(spread(read, ["a.bin"])) == [b"here"]


@pytest.mark.usefixtures("running_ray")
def test_machines_that_do_not_see_the_pictures_are_named(tmp_path: Path) -> None:
    sentence = r"The machine \S+ of the Ray cluster does not see \S+/nowhere; every machine must reach the pictures"
    with pytest.raises(MillinerError, match=sentence), engine("ray", [tmp_path, tmp_path / "nowhere"]):
        pass


def test_both_engines_give_the_same_embeddings(running_ray: None, tmp_path: Path) -> None:
    folder = fill_class_folders(tmp_path / "p", red=20, blue=20)
    (folder / "red" / "cut.jpg").write_bytes((folder / "red" / "000.jpg").read_bytes()[:400])
    found: dict[str, Any] = {}
    for name in ENGINES:
        with engine(name) as spread:
            dataset = open_dataset(folder)
            found[name] = embed(
                dataset, backbone(DEFAULT), ResizePolicy(64), tmp_path / f"{name}.sqlite", spread=spread
            )
    assert np.array_equal(found["ray"].embeddings, found["local"].embeddings)
    assert found["ray"].set_aside == found["local"].set_aside
    assert found["ray"].fingerprint == found["local"].fingerprint
    assert list(found["ray"].set_aside) == ["red/cut.jpg"]
    assert (found["ray"].misses, found["ray"].hits) == (40, 0)


def findings_of(folder: Path, name: str) -> dict[str, Any]:
    beside = folder.parent / name
    return check(folder, ledger=beside / "ledger.sqlite", cache=beside / "embeddings.sqlite", engine=name).to_json()


def test_both_engines_find_the_same(running_ray: None, tmp_path: Path) -> None:
    folder = fill_class_folders(tmp_path / "p", red=20, blue=20)
    (folder / "red" / "notes.txt").write_bytes(b"notes")
    (folder / "blue" / "copy.jpg").write_bytes((folder / "blue" / "003.jpg").read_bytes())
    blocks = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    smooth = Image.fromarray(blocks).resize((256, 256), Image.Resampling.BICUBIC)
    for quality in (95, 70):
        smooth.save(folder / "red" / f"saved-{quality}.jpg", quality=quality)
    local = findings_of(folder, "local")
    assert findings_of(folder, "ray") == local
    assert {"unreadable", "duplicate", "near-duplicate"} <= local["counts"].keys()


@pytest.mark.parametrize("options", [{}, {"to": "webdataset", "resize": 32, "format": "png"}, {"check": False}])
def test_both_engines_pack_the_same_bytes(running_ray: None, tmp_path: Path, options: dict[str, Any]) -> None:
    folder = fill_class_folders(tmp_path / "p", red=20, blue=20)
    packed: dict[str, dict[str, bytes]] = {}
    for name in ENGINES:
        pack(folder, into=tmp_path / name, engine=name, **options)
        files = (path for path in (tmp_path / name).iterdir() if "ledger" not in path.name)
        packed[name] = {path.name: path.read_bytes() for path in files}
    assert packed["ray"] == packed["local"]
    assert len(packed["ray"]) > 4


def test_lists_are_checked_by_either_engine(running_ray: None, tmp_path: Path) -> None:
    folder = fill_class_folders(tmp_path / "p", red=4, blue=4)
    (folder / "red" / "000.jpg").write_bytes(b"notes")
    lines = [f"{place}\t{place % 2}\t{path.relative_to(folder)}\n" for place, path in enumerate(folder.glob("*/*"))]
    (tmp_path / "all.lst").write_text("".join(lines))
    for name in ENGINES:
        result = pack(folder, into=tmp_path / name, lists={"all": tmp_path / "all.lst"}, engine=name)
        assert [(row.file, row.reason) for row in result.set_aside] == [("red/000.jpg", "not a picture")]
    assert (tmp_path / "ray" / "all.rec").read_bytes() == (tmp_path / "local" / "all.rec").read_bytes()


def test_training_gives_the_same_model_with_either_engine(running_ray: None, tmp_path: Path) -> None:
    folder = fill_class_folders(tmp_path / "p", red=8, blue=8)
    for name in ENGINES:
        options = ["--size", "64", "--engine", name]
        os.environ["MILLINER_CACHE"] = str(tmp_path / name)  # own_cache sets it back
        assert call(["train", str(folder), "--into", str(tmp_path / f"{name}.onnx"), *options]) == 0
    assert (tmp_path / "ray.onnx").read_bytes() == (tmp_path / "local.onnx").read_bytes()


# Without a cluster


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(SettingsError, match="There is no engine 'spark'; give one of local, ray"), engine("spark"):
        pass


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"needs another package; pip install 'milliner\[ray\]'"), engine("ray"):
        pass


APART = """
import sys
from milliner.core.errors import MillinerError
from milliner.curation.check import check
from milliner.curation.engine import engine
from engine_work import doubled, waiting

try:
    with engine("ray") as spread:
        if sys.argv[1] == "wait":
            for _ in spread(waiting, range(256)):
                print(flush=True)
        print(sum(spread(doubled, range(100))))
    import ray
    print(ray.is_initialized())
except MillinerError as error:
    print(error)
except KeyboardInterrupt:
    sys.exit(130)
"""


def apart(argument: str, **environment: str) -> "subprocess.Popen[str]":
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", APART, argument],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | environment,
    )


def test_a_ray_is_started_quietly_and_stopped_again() -> None:
    with apart("sum", RAY_ADDRESS="") as process:
        said, complaint = process.communicate()
    assert said.split() == ["9900", "False"]
    assert complaint == ""


def test_a_cluster_that_is_not_there_is_one_sentence() -> None:
    with apart("sum", RAY_ADDRESS="127.0.0.1:9") as process:
        said, _ = process.communicate()
    assert said.startswith("There is no Ray cluster at 127.0.0.1:9 (")
    assert said.endswith("start one with `ray start --head`, or unset RAY_ADDRESS.\n")


def test_an_interruption_stops_it() -> None:
    with apart("wait", RAY_ADDRESS="") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
