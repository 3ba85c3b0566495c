"""Runs and their history: what is kept of a training, that it is whole, and what the comparison says."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

import milliner
from milliner.backbones.backbone import backbone
from milliner.cli import terminal
from milliner.cli.main import call
from milliner.core.errors import MillinerError
from milliner.training import runs as running
from milliner.training.history import MOST_RUNS, history
from milliner.training.runs import PARTS, Run, record
from milliner.training.wishes import Wishes

SIZE = 64


def train(dataset: Path, into: Path, size: int = SIZE, **options: object) -> Path:
    found = milliner.train(dataset, into=into, size=size, cache=into.parent / "c.sqlite", **options)  # type: ignore[arg-type]
    return found.run


def test_a_training_leaves_a_folder_with_all_of_it(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    model, wishes = tmp_path / "m.onnx", Wishes(abstain_below=0.6, class_weight={"red": 2.0})
    run = train(class_folders(red=8, blue=7), model, wishes=wishes)
    assert run.parent == tmp_path / "runs"
    assert {path.name for path in run.iterdir()} == {"model.onnx", *(f"{kind}.json" for kind in PARTS)}
    assert (run / "model.onnx").read_bytes() == model.read_bytes()
    documents = {kind: json.loads((run / f"{kind}.json").read_text()) for kind in PARTS}
    assert documents["settings"] == {
        **asdict(wishes),
        "backbone": "efficientnet_lite0",
        "weights": backbone("efficientnet_lite0").sha256[:12],
        "pooling": "generalised-mean",
        "views": "none",
        "average_views": False,
        "fine_tune": None,
        "int8": False,
        "init": {},
        "seed": 0,
        "size": SIZE,
        "strength": documents["settings"]["strength"],
        "width": documents["settings"]["width"],
    }
    assert documents["lineage"]["dataset"]["samples"] == 15
    assert {"milliner", "numpy", "onnxruntime"} <= documents["lineage"]["versions"].keys()
    assert documents["metrics"]["cross_validated"]["accuracy"] >= 0.9
    assert set(documents["seconds"]) == {"embed", "fit", "total"}
    assert json.loads(milliner.load(model).metadata.to_json())["lineage"]["run"] in run.name


def test_a_replaced_model_stays_in_its_run(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures, model = class_folders(red=5, blue=5), tmp_path / "m.onnx"
    first = train(pictures, model)
    before = model.read_bytes()
    second = train(pictures, model, seed=1)
    assert first != second
    assert (first / "model.onnx").read_bytes() == before != model.read_bytes()
    replaced = json.loads((second / "lineage.json").read_text())["replaced"]
    assert replaced == json.loads((first / "lineage.json").read_text())["sha256"]


def test_history_says_what_changed_and_which_is_there_now(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures, model = class_folders(red=5, blue=5), tmp_path / "m.onnx"
    for size in (SIZE, 96):
        train(pictures, model, size)
    train(pictures, tmp_path / "other.onnx")
    found = history(model)
    assert [run.current for run in found.runs] == [False, True]
    assert found.runs[0].changed is None
    assert "size 64 -> 96" in (found.runs[1].changed or ())
    assert len(history(tmp_path).runs) == 3
    document = found.to_json()
    assert json.loads(json.dumps(document)) == document
    low, high = document["runs"][0]["accuracy"][1:]
    assert 0 <= low < high <= 1
    (pictures / "red" / "000.jpg").rename(pictures / "blue" / "moved.jpg")
    train(pictures, model, 96)
    assert "other pictures or labels" in (history(model).runs[-1].changed or ())


def test_the_same_training_again_is_another_run_of_the_same_bytes(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    pictures, model = class_folders(red=5, blue=5), tmp_path / "m.onnx"
    runs = [train(pictures, model) for _ in range(3)]
    assert len(set(runs)) == 3
    assert len({(run / "model.onnx").read_bytes() for run in runs}) == 1
    found = history(model).runs
    assert [run.current for run in found] == [False, False, True]
    assert [run.changed for run in found] == [None, (), ()]


def a_run(**metrics: object) -> Run:
    return Run({"size": 64}, {"fingerprint": "f", "samples": 9}, metrics, {"total": 1.0})


def test_runs_of_one_second_never_collide_and_stay_in_order(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    now = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
    names = [record(model, a_run(), now=now).name for _ in range(12)]
    assert len(set(names)) == 12
    assert all(name.startswith("20250304T050607.000-") for name in names)
    assert [run.folder.name for run in history(tmp_path).runs] == names


def test_what_killed_runs_left_is_cleared_but_not_what_is_being_written(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    old, new = (tmp_path / "runs" / f".{name}.part" for name in ("old", "new"))
    for part in (old, new):
        part.mkdir(parents=True)
        (part / "settings.json").touch()
    os.utime(old, (1, 1))
    record(model, a_run())
    assert not old.exists()
    assert new.exists()
    assert len(history(tmp_path).runs) == 1


def test_where_a_disk_has_no_hard_links_the_model_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    run = record(model, a_run())
    assert (run / "model.onnx").read_bytes() == b"model"
    assert not (run / "model.onnx").samefile(model)


def test_a_run_that_cannot_be_written_is_explained_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(running, "_link", lambda model, place: full(place))
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    with pytest.raises(MillinerError, match=r"was written, but not its run .*No space left.*check the rights"):
        record(model, a_run())
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": "../m.onnx", "dataset": {}}', "[" * 100_000])
def test_a_damaged_run_is_named_and_the_others_are_shown(tmp_path: Path, content: str) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    bad, good = record(model, a_run()), record(model, a_run())
    (bad / "lineage.json").write_text(content)
    found = history(tmp_path)
    assert found.damaged == (bad.name,)
    assert [run.folder for run in found.runs] == [good]


def test_a_fine_tuned_run_has_the_figures_of_its_network_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "a-model-with-a-longer-name.onnx"
    model.write_bytes(b"model")
    tuning = {"tuned": {"accuracy": 0.9, "log_loss": 0.25}, "pictures": 40, "kept": True}
    settings = {"size": 512, "backbone": "efficientnet_lite0", "fine_tune": None}
    dataset = {"fingerprint": "f", "samples": 1234}
    linear = Run(settings, dataset, {"cross_validated": {"accuracy": 0.8, "log_loss": 0.5}}, {})
    whole = Run(settings | {"fine_tune": {"epochs": 3, "batch": 16}}, dataset, {"fine_tuning": tuning}, {})
    for number, run in enumerate((linear, whole)):
        record(model, run, now=datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC))
    first, second = history(tmp_path).runs
    assert (first.fine_tuned, second.fine_tuned) == (False, True)
    assert second.accuracy == pytest.approx((0.9, 0.7695, 0.9604), abs=1e-3)
    assert second.log_loss == 0.25
    assert second.changed == ("fine_tune off -> on",)
    monkeypatch.setattr(terminal, "console", lambda: Console(width=80, highlight=False))
    assert call(["train", "--history", "--into", str(model)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(model.name in line for line in lines) == 2
    assert sum("efficientnet_lite0" in line for line in lines) == 2
    assert any("fine-tuned network on the pictures held out" in line for line in lines)
    assert [line for line in lines if len(line) > 80 or line != line.rstrip()] == []


@pytest.mark.parametrize(
    "metrics",
    [
        {"cross_validated": 3},
        {"cross_validated": {"accuracy": "high"}},
        {"fine_tuning": 3},
        {"fine_tuning": {"tuned": 3}},
    ],
)
def test_figures_that_are_none_are_damage(tmp_path: Path, metrics: dict[str, object]) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    record(model, a_run(**metrics))
    assert len(history(tmp_path).damaged) == 1


def test_no_runs_is_said_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(MillinerError, match="holds no runs; train a model there first"):
        history(tmp_path)
    (tmp_path / "m.onnx").write_bytes(b"model")
    record(tmp_path / "m.onnx", a_run())
    with pytest.raises(MillinerError, match=r"holds no runs of other.onnx, but of m.onnx; name one of these"):
        history(tmp_path / "other.onnx")
    assert MOST_RUNS >= 1000


def test_the_command_shows_the_table_and_the_curve(
    class_folders: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures = class_folders(red=20, blue=18)
    monkeypatch.chdir(tmp_path)
    assert call(["train", str(pictures), "--into", "m.onnx", "--size", str(SIZE)]) == 0
    told = capsys.readouterr().out
    assert "5 per class" in told
    assert "50 more" in told or "too few pictures to tell" in told
    assert call(["train", "--history"]) == 0
    table = capsys.readouterr().out
    assert "the first" in table
    assert "m.onnx" in table
    assert "1 run in runs" in table
    assert call(["train", "--history", "--json", "--into", "m.onnx"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["current"] is True
    assert call(["train"]) == 2
    assert call(["train", "--history", "--into", "elsewhere/m.onnx"]) == 1


KILLED = """
import os, signal, sys, milliner
from milliner.training import train as training
step = sys.argv[4]
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
if step == "link":
    from milliner.training import runs
    runs._link = die
else:
    setattr(training, step, die)
milliner.train(sys.argv[1], into=sys.argv[2], size=64, cache=sys.argv[3])
"""


@pytest.mark.parametrize("step", ["fit", "export", "link"])
def test_a_killed_training_leaves_no_run(class_folders: Callable[..., Path], tmp_path: Path, step: str) -> None:
    pictures, model = class_folders(red=4, blue=4), tmp_path / "m.onnx"
    command = [sys.executable, "-c", KILLED, str(pictures), str(model), str(tmp_path / "c.sqlite"), step]
    assert subprocess.run(command, check=False).returncode == -9
    assert model.exists() == (step == "link")
    with pytest.raises(MillinerError, match="holds no runs"):
        history(tmp_path)
    for part in (tmp_path / "runs").glob(".*.part"):
        os.utime(part, (1, 1))
    train(pictures, model)
    assert [path.name[0] for path in (tmp_path / "runs").iterdir()] == ["2"]


def test_odd_vectors_in_the_cache_are_computed_again(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures, cache = class_folders(red=3, blue=3), tmp_path / "c.sqlite"
    milliner.train(pictures, into=tmp_path / "m.onnx", size=SIZE, cache=cache)
    connection = sqlite3.connect(cache)
    connection.execute("UPDATE embeddings SET vector = x'010203' WHERE rowid % 3 = 0")
    connection.execute("UPDATE embeddings SET vector = 'words' WHERE rowid % 3 = 1")
    connection.commit()
    connection.close()
    again = milliner.train(pictures, into=tmp_path / "n.onnx", size=SIZE, cache=cache)
    assert (again.hits, again.misses) == (2, 4)
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "n.onnx").read_bytes()
