"""The command line as its users meet it: what goes where, exit codes, and one sentence for every mistake."""

import io
import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from threading import Event
from typing import Any

import click
import pytest
from conftest import fill_class_folders, noise_jpeg
from picture_server import PictureServer, picture
from PIL import Image

from milliner.backbones.backbone import DEFAULT, backbone
from milliner.cli import options
from milliner.cli.main import COMMANDS, call, milliner
from milliner.cli.options import Pairs
from milliner.cli.program import typed
from milliner.cli.terminal import progress
from milliner.cli.text import printable

Run = Callable[..., tuple[int, str, str]]

MAIN = "from milliner.cli.main import main; main()"
SMALL_DISK = (
    "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (500000, 500000))"
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process: exit code, stdout, stderr."""

    def call_it(*arguments: object) -> tuple[int, str, str]:
        code = call([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call_it


def shell(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Runs a command line in a process of its own."""
    command = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False, **options)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_is_in_the_readme(name: str, run: Run) -> None:
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert f"milliner {name}" in out
    assert "--json" in out
    assert "--debug" in out
    assert f"`{name}" in (Path(__file__).parents[1] / "README.md").read_text()


def test_the_list_of_commands_is_complete(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert re.findall(r"^  (\w+)  ", out.partition("Commands:")[2], re.MULTILINE) == list(COMMANDS)
    modules = {path.stem for path in (Path(__file__).parents[1] / "src/milliner/cli").glob("*.py")}
    assert set(COMMANDS) <= modules


def test_options_have_the_same_names_in_shell_and_python(run: Run) -> None:
    import inspect

    import milliner as package

    context = click.Context(milliner)
    for name in ("fetch", "check", "pack", "train", "evaluate"):
        command = milliner.get_command(context, name)
        assert command is not None
        shown = {parameter.name for parameter in command.params} - {"as_json", "debug"}
        offered = set(inspect.signature(getattr(package, name)).parameters) - {"progress"}
        if name == "fetch":  # the manners are one value in Python, and two ways to look back are calls of their own
            offered |= {field.name for field in fields(package.Manners)} | {"report", "attribution"}
        if name == "train":  # two ways to look are calls of their own, and what is wished or tuned is one value each
            offered |= {"history", "list_backbones"} & set(dir(package)) | {"tune_size"}
            offered |= {field.name for value in (package.Wishes, package.FineTuning) for field in fields(value)}
        assert shown <= offered | {"sources"}, name


def test_the_stages_meet_and_print_the_promised_json(
    class_folders: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    pictures, fetched, packed = class_folders(red=12, blue=10), tmp_path / "fetched", tmp_path / "packed"
    (pictures / "red" / "copy.jpg").write_bytes((pictures / "red" / "000.jpg").read_bytes() + b"\0")
    (pictures / "red" / "page.jpg").write_bytes(b"<html>")
    model = tmp_path / "m.onnx"

    code, out, err = run("fetch", f"folder:{pictures}", "--into", fetched, "--json")
    assert code == 0
    red = next(row for row in json.loads(out)["classes"] if row["label"] == "red")
    assert (red["stored"], red["rejected"]) == (13, {"web page": 1})

    code, out, err = run("check", fetched, "--json")
    assert json.loads(out)["kept"] == {"blue": 10, "red": 13}

    code, out, err = run("pack", fetched, "--into", packed, "--json")
    shards = json.loads(out)["shards"]
    assert [(shard["split"], Path(shard["path"]).name) for shard in shards] == [
        ("train", "train.rec"),
        ("test", "test.rec"),
    ]
    assert sum(shard["records"] for shard in shards) == 23
    assert shards[0]["per_class"] == {"blue": 7, "red": 9}
    assert json.loads(out)["set_aside"] == []

    code, out, err = run("train", packed / "train.rec", "--into", model, "--size", 64, "--json")
    assert code == 0, err
    assert json.loads(out)["samples"] == 16

    report = tmp_path / "report.html"
    seen = ["--card", tmp_path / "card.md", "--train", packed / "train.rec"]
    code, out, err = run("evaluate", model, packed / "test.rec", "--report", report, *seen, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["leakage"]["across"]["train"] == str(packed / "train.rec")
    assert "# m.onnx" in (tmp_path / "card.md").read_text()
    for figures in (document, document["before"]):
        assert figures["samples"] == 7
        assert set(figures["accuracy"]) == {"value", "interval"}
        assert {"roc_auc", "log_loss", "per_class", "confusion"} <= set(figures)
    assert document["accuracy"]["value"] == 1
    assert "<h1>" in report.read_text()

    code, out, err = run("predict", model, pictures / "red" / "000.jpg", "--json")
    (found,) = json.loads(out)
    assert set(found) == {"source", "label", "probabilities", "abstained", "reason", "distance"}
    assert found["label"] == "red"


def test_check_tells_by_kind_and_moves_what_it_is_told_to(
    class_folders: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    pictures = class_folders(red=3, blue=3)
    (pictures / "red" / "tiny.png").write_bytes(png(4))
    for number in range(12):
        (pictures / "red" / f"cut{number:02}.png").write_bytes(png(4)[: 20 + number])
    code, out, _ = run("check", pictures, "--quick", "--report", tmp_path / "page.html")
    assert code == 0
    assert re.search(r"^unreadable +12 +left out of training$", out, re.MULTILINE)
    assert f"... and 2 more, see {tmp_path / 'page.html'}" in out
    assert "3 kept" not in out.splitlines()[-1]
    assert "6 kept, 13 set aside, 19 looked at just now" in out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert "see --report PAGE.html or --json" in run("check", pictures, "--quick")[1]
    moved = json.loads(run("check", pictures, "--quick", "--fix", "tiny", "--json")[1])["moved"]
    assert moved == [{"file": "red/tiny.png", "now": "set-aside/tiny/red/tiny.png", "kind": "tiny"}]
    assert "12 moved to set-aside/ (--undo moves them back)" in run("check", pictures, "--quick", "--fix")[1]
    assert "13 moved back" in run("check", pictures, "--quick", "--undo")[1]
    assert (pictures / "red" / "tiny.png").exists()


def test_check_tells_what_crosses_between_splits(class_folders: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    train, test = class_folders(red=4, blue=4), fill_class_folders(tmp_path / "test", 500, red=2, blue=2)
    (test / "red" / "seen.jpg").write_bytes((train / "red" / "000.jpg").read_bytes())
    out = run("check", "--quick", "--splits", f"train={train},test={test}")[1]
    assert re.search(r"^test, seen in train +5 +1 \(20\.0%\) +0 +0$", out, re.MULTILINE)
    assert re.search(r"^test/red/seen\.jpg +the same bytes: train/red/000\.jpg$", out, re.MULTILINE)


def test_tables_are_for_people(class_folders: Callable[..., Path], small_model: Path, run: Run, tmp_path: Path) -> None:
    pictures = class_folders(red=3, blue=3)
    unseen = fill_class_folders(tmp_path / "unseen", 500, red=3, blue=3)
    (pictures / "red" / "tiny.png").write_bytes(png(4))
    assert re.search(r"red/tiny\.png +tiny", run("check", pictures)[1])
    out = run("pack", pictures, "--into", tmp_path / "p")[1]
    assert re.search(r"train\.rec +4$", out, re.MULTILINE)
    assert re.search(r"^class +train +test\nblue +2 +1\nred +2 +1$", out, re.MULTILINE)
    assert re.search(
        r"pictures +6 \(\d+ remembered", run("train", pictures, "--into", tmp_path / "m.onnx", "--size", 64)[1]
    )
    assert re.search(r"accuracy +50\.0% .* +100\.0%", run("evaluate", small_model, unseen)[1])
    assert re.search(r"000\.jpg +blue +\d", run("predict", small_model, pictures / "blue" / "000.jpg")[1])
    code, out, _ = run("fetch", f"folder:{pictures}", "--into", tmp_path / "f")
    assert code == 0
    assert re.search(r"red +4 +3 +0 +1 too small +0", out)


def test_the_table_of_what_was_packed_fits_a_terminal_with_many_classes(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [f"class number {number}" for number in range(15)]
    fill_class_folders(tmp_path / "pictures", **dict.fromkeys(labels, 2))
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("pack", "pictures", "--into", "packed")
    assert code == 0
    assert [re.sub(" +", " ", line) for line in out.splitlines() if line.startswith("class number")] == [
        f"{label} 1 1" for label in sorted(labels)
    ]
    assert max(len(line) for line in out.splitlines()) < 80


def test_an_evaluation_says_how_many_pictures_it_left_out(tmp_path: Path, small_model: Path, run: Run) -> None:
    pictures = fill_class_folders(tmp_path / "pictures", 11, red=3, blue=3)  # small_model has one of them
    code, out, _ = run("evaluate", small_model, pictures)
    assert code == 0
    assert "\nLeft out: 1 picture that small.onnx was trained on.\n" in out


def test_an_evaluation_shows_slices_and_another_model_beside_it(
    tmp_path: Path, class_folders: Callable[..., Path], small_model: Path, run: Run
) -> None:
    unseen = fill_class_folders(tmp_path / "unseen", 500, red=4, blue=3)
    other = tmp_path / "other.onnx"
    assert run("train", class_folders(red=5, blue=4), "--into", other, "--size", 96)[0] == 0
    arguments = ["evaluate", small_model, unseen, "--against", other, "--slices", "size,aspect"]
    code, out, _ = run(*arguments, "--at-false-alarms", "0.1")
    assert code == 0
    assert re.search(r"^found at false alarms of +0\.1 +95 % interval$", out, re.MULTILINE)
    assert re.search(r"^size +under 128 pixels +7 +100\.0% +64\.6% to 100\.0% +- ", out, re.MULTILINE)
    assert re.search(r"^ +small\.onnx +other\.onnx +difference +95 % interval$", out, re.MULTILINE)
    assert "No difference in accuracy between small.onnx and other.onnx can be shown" in out
    code, out, _ = run(*arguments, "--json")
    document = json.loads(out)
    assert document["comparison"]["samples"] == 7
    assert [each["column"] for each in document["slices"]] == ["size", "aspect"]


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_predict_takes_files_folders_addresses_and_stdin(
    class_folders: Callable[..., Path], small_model: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = class_folders(red=2, blue=1)
    (pictures / ".hidden.jpg").write_bytes(b"no")
    assert run("check", pictures)[0] == 0  # leaves its ledger in the folder
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(noise_jpeg(5, tint=(90, 0, 0)))))
    with PictureServer() as server:
        address = server.serve("/a.jpg", picture(noise_jpeg(6, tint=(0, 90, 0))))
        code, out, _ = run("predict", small_model, pictures, address, "-", "--json")
    assert code == 0
    assert [(found["source"], found["label"]) for found in json.loads(out)] == [
        (str(pictures / "blue/000.jpg"), "blue"),
        (str(pictures / "red/000.jpg"), "red"),
        (str(pictures / "red/001.jpg"), "red"),
        (address, "blue"),
        ("-", "red"),
    ]


def test_unreadable_pictures_do_not_stop_the_others(
    class_folders: Callable[..., Path], small_model: Path, run: Run
) -> None:
    pictures = class_folders(red=1)
    (pictures / "page.jpg").write_bytes(b"<html>")
    with PictureServer() as server:
        code, out, err = run("predict", small_model, pictures, "nowhere.jpg", f"{server.url}/gone.jpg", "--json")
    assert code == 1
    assert len(json.loads(out)) == 1
    assert "page.jpg: the file is a web page" in err
    assert "nowhere.jpg" in err
    assert "gone.jpg" in err
    assert "3 of 4 pictures could not be read" in err


def test_heatmaps_are_pictures_of_the_same_shape(
    class_folders: Callable[..., Path], small_model: Path, run: Run, tmp_path: Path
) -> None:
    pictures = class_folders(red=2)
    Image.new("RGB", (60, 30), "green").save(pictures / "red" / "a b\n'é.png")
    code, _, _ = run("predict", small_model, pictures, "--heatmap", tmp_path / "maps")
    found = sorted((tmp_path / "maps").iterdir())
    assert code == 0
    assert len(found) == 3
    sizes = [Image.open(io.BytesIO(path.read_bytes())).size for path in found]
    assert sorted(sizes) == [(60, 30), (64, 64), (64, 64)]


def test_heatmaps_go_into_a_folder_of_their_own(
    class_folders: Callable[..., Path],
    small_model: Path,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = class_folders(red=1)
    picture = pictures / "red" / "000.jpg"
    for looked_at, folder, told in (
        (picture, picture, "is a file, and heatmaps go into a folder; give another name"),
        (picture, picture.parent, "would be taken for pictures; give another folder"),
        (pictures, pictures / "maps", "would be taken for pictures; give another folder"),
    ):
        code, _, err = run("predict", small_model, looked_at, "--heatmap", folder)
        assert (code, len(err.splitlines())) == (1, 1)
        assert told in err
    assert [path.name for path in pictures.rglob("*") if path.is_file()] == ["000.jpg"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(noise_jpeg(5))))
    assert run("predict", small_model, "-", "--heatmap", tmp_path / "maps")[0] == 0
    assert [path.name.partition("-")[0] for path in (tmp_path / "maps").iterdir()] == ["stdin"]


def test_spaces_that_do_not_break_are_plain_in_a_terminal() -> None:
    assert printable("5\N{NO-BREAK SPACE}%, 1\N{NARROW NO-BREAK SPACE}000\x1b") == "5 %, 1 000\\x1b"


MISTAKES: list[tuple[list[str], int, str]] = [
    ([], 2, "Usage"),
    (["fly"], 2, "no command 'fly'"),
    (["trian"], 2, "did you mean 'train'"),
    (["train"], 2, "Missing argument"),
    (["train", "{red}", "--into", "{tmp}/m.onnx"], 1, "one class"),
    (["train", "{tmp}/nowhere", "--into", "{tmp}/m.onnx"], 1, "There is no"),
    (["train", "{empty}", "--into", "{tmp}/m.onnx"], 1, "no class folders"),
    (["train", "{texts}", "--into", "{tmp}/m.onnx"], 1, "usable"),
    (["train", "{both}", "--into", "{tmp}/m.onnx", "--init", "red"], 2, "label=name"),
    (["train", "{both}", "--into", "/dev/null/m.onnx"], 1, "/dev/null"),
    (["train", "{cut}", "--into", "{tmp}/m.onnx"], 1, "cut short"),
    (["check", "{empty}"], 1, "no class folders"),
    (["check"], 2, "Give a FOLDER, or --splits"),
    (["check", "{empty}", "--fix", "ugly"], 1, "Nothing is set aside as 'ugly'; give one or more of unreadable"),
    (["check", "{empty}", "--engine", "abacus"], 2, "'abacus' is not one of"),
    (["check", "{texts}"], 1, "no usable picture"),
    (["pack", "{both}", "--into", "{tmp}/p", "--split", "train=0.7,test=0.7"], 1, "sum to 1"),
    (["pack", "{both}", "--into", "{tmp}/p", "--split", "train=x"], 2, "not a number"),
    (["pack", "{both}", "--into", "{tmp}/p", "--split", "train=1", "--lists", "a=b"], 2, "not both"),
    (["pack", "{both}", "--into", "{tmp}/p", "--lists", "train={tmp}/none.lst"], 1, "cannot be read"),
    (["pack", "{both}", "--into", "/dev/null/p"], 1, "/dev/null"),
    (["pack", "{single}", "--into", "{tmp}/p"], 1, "too few"),
    (["fetch", "carrier:pigeon", "--into", "{tmp}/f"], 1, "no source"),
    (["fetch", "urls:{tmp}/none.csv", "--into", "{tmp}/f"], 1, "cannot be read"),
    (["fetch", "scenes:0", "--into", "{tmp}/f"], 1, "scenes"),
    (["evaluate", "{text}", "{both}"], 1, "not an ONNX model"),
    (["evaluate", "{model}", "{others}"], 1, "does not know"),
    (["evaluate", "{model}", "{both}", "--against", "{text}"], 1, "not an ONNX model"),
    (["evaluate", "{model}", "{both}", "--slices", "sauce"], 1, "no slices by 'sauce'"),
    (["evaluate", "{model}", "{both}", "--slices", "size,,day"], 2, "an empty word"),
    (["evaluate", "{model}", "{both}", "--slices", "source"], 1, "no ledger beside it"),
    (["evaluate", "{model}", "{both}", "--at-false-alarms", "0.1,1"], 2, "not above 0 and below 1"),
    (["evaluate", "{model}", "{both}", "--at-false-alarms", "few"], 2, "not a list of numbers"),
    (["predict", "{model}"], 2, "Missing argument"),
    (["predict", "{model}", "{empty}", "--json"], 1, "no file"),
    (["predict", "{text}", "x.jpg"], 1, "not an ONNX model"),
    (["predict", "{tmp}", "x.jpg"], 1, "cannot be read"),
    (["run", "{empty}"], 1, "milliner new"),
    (["new", "{tmp}/bad\nname"], 1, "cannot name a project"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "said"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
def test_every_mistake_is_one_sentence_with_a_remedy(
    class_folders: Callable[..., Path], small_model: Path, run: Run, tmp_path: Path,
    arguments: list[str], code: int, said: str,
) -> None:  # fmt: skip
    places = make_places(class_folders, tmp_path, small_model)
    before = {path for path in tmp_path.rglob("*") if not path.name.startswith("ledger.sqlite")}
    found, out, err = run(*(argument.format(**places) for argument in arguments))
    assert (found, said in err) == (code, True), err
    assert "Traceback" not in err
    assert out == ""
    left = {path for path in tmp_path.rglob("*") if not path.name.startswith("ledger.sqlite")} - before
    assert not [path for path in left if path.is_file() and not path.name.startswith(".fetch")]
    if code == 1:
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1
        assert err.rstrip().endswith((".", "?"))


def make_places(class_folders: Callable[..., Path], tmp_path: Path, model: Path) -> dict[str, Path]:
    empty, texts, text, cut = (tmp_path / name for name in ("empty", "texts", "text.onnx", "cut.rec"))
    empty.mkdir()
    (texts / "red").mkdir(parents=True)
    (texts / "blue").mkdir()
    (texts / "red" / "a.jpg").write_text("not a picture")
    (texts / "blue" / "b.jpg").write_text("nor this")
    text.write_text("hello")
    cut.write_bytes(b"\x0a\x23\xd7\xce" + (1000).to_bytes(4, "little") + b"short")
    return {
        "tmp": tmp_path,
        "empty": empty,
        "texts": texts,
        "text": text,
        "cut": cut,
        "model": model,
        "red": class_folders(tmp_path / "only", red=3),
        "both": class_folders(tmp_path / "both", red=4, blue=4),
        "single": class_folders(tmp_path / "single", red=4, blue=1),
        "others": class_folders(tmp_path / "others", cat=2, dog=2),
    }


def test_stdout_holds_results_and_stderr_the_rest(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    done = shell("check", str(class_folders(red=2, blue=2)), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["pictures"] == 4
    assert done.stderr == ""


def test_debug_shows_where_a_failure_came_from(tmp_path: Path) -> None:
    assert "Traceback" not in shell("check", str(tmp_path)).stderr
    assert "Traceback" in shell("check", str(tmp_path), "--debug").stderr


def test_an_interrupted_command_says_so_and_exits_130(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        MAIN,
        "fetch",
        "scenes:500",
        "--into",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pause = Event()
    while not list(tmp_path.glob("*/*.jpg")):
        assert process.poll() is None, "it ended before it could be interrupted"
        pause.wait(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    assert "Interrupted" in err
    assert "Traceback" not in err


def test_a_reader_that_has_enough_is_no_failure(class_folders: Callable[..., Path], small_model: Path) -> None:
    pictures = class_folders(red=30)
    command = shlex.join([sys.executable, "-c", MAIN, "predict", str(small_model), str(pictures), "--json"])
    line = f"{command} | head -c 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[", "")


def test_a_source_that_cannot_be_used_is_told_beside_what_came(
    class_folders: Callable[..., Path], run: Run, tmp_path: Path
) -> None:
    sources = [f"urls:{tmp_path / 'none.csv'}", f"folder:{class_folders(red=2)}"]
    for more in ([], ["--report"], ["--json"]):
        code, out, err = run("fetch", *sources, "--into", tmp_path / "out", *more)
        assert (code, err.count("none.csv cannot be read")) == (0, 1)
        if more == ["--json"]:
            document = json.loads(out)
            assert (document["label"], document["already"], len(document["faults"])) == ("red", 2, 1)
        else:
            assert "red" in out


def test_a_full_disk_is_one_sentence_and_leaves_nothing(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures, packed = class_folders(red=10, blue=10), tmp_path / "packed"
    for number, path in enumerate(sorted(pictures.rglob("*.jpg"))):
        path.write_bytes(noise_jpeg(number, side=300))
    backbone(DEFAULT).onnx_file()  # which alone is larger than the disk
    command = [sys.executable, "-c", f"{SMALL_DISK}; {MAIN}", "pack", str(pictures), "--into", str(packed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "space" in done.stderr
    assert str(packed / "train.rec") in done.stderr
    assert not packed.exists()


def test_terminal_output_is_bounded_by_the_terminal(class_folders: Callable[..., Path]) -> None:
    """Under a pseudo-terminal progress is a bar; nothing of it stays."""
    import pty

    pictures = class_folders(red=3, blue=3)
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", MAIN, "check", str(pictures)]
    process = subprocess.Popen(
        command, stdout=follower, stderr=follower, env=os.environ | {"TERM": "xterm", "COLUMNS": "60"}
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    os.close(leader)
    assert process.wait() == 0
    assert b"6 kept, 0 set aside" in seen
    assert b"check" in seen


def test_a_files_name_cannot_write_to_the_terminal(
    class_folders: Callable[..., Path], small_model: Path, run: Run
) -> None:
    pictures = class_folders(red=2, blue=2)
    (pictures / "red" / "a\nb\x1b[31m.jpg").write_text("not a picture")
    outputs = [run("check", pictures), run("pack", pictures, "--into", pictures), run("predict", small_model, pictures)]
    for _, out, err in outputs:
        assert r"a\nb\x1b[31m.jpg" in out + err
        assert "\x1b" not in out + err


def test_a_class_name_cannot_either(run: Run, tmp_path: Path) -> None:
    name = "a\x1b[31mb"
    pictures = fill_class_folders(tmp_path / "p", **{name: 4, "c": 3})
    assert run("train", pictures, "--into", tmp_path / "m.onnx", "--size", 64)[0] == 0
    others = fill_class_folders(tmp_path / "q", 500, **{name: 3, "c": 3})
    for arguments in (["evaluate", tmp_path / "m.onnx", others], ["predict", tmp_path / "m.onnx", others]):
        for option in ([], ["--json"]):
            code, out, err = run(*arguments, *option)
            assert code == 0
            assert "\x1b" not in out + err


def test_lines_of_progress_know_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 6.0, 12.0, 13.0])
    monkeypatch.setattr("milliner.cli.terminal.monotonic", lambda: next(clock))
    with progress("fetch", 40) as advance:
        advance(0)
        advance(10)
        advance(1)
    assert capsys.readouterr().err == "fetch 0, 0/s\nfetch 10/40, 1/s, 36 s left\n"


@pytest.mark.parametrize(("text", "pairs"), [("a=1,b=2", {"a": 1.0, "b": 2.0}), (" a = 0.5 ", {"a": 0.5})])
def test_pairs_are_read(text: str, pairs: dict[str, float]) -> None:
    assert Pairs(numbers=True).convert(text, None, None) == pairs


@pytest.mark.parametrize(
    ("started", "on_path", "expected"),
    [
        (".venv/bin/milliner", "", ".venv/bin/milliner"),
        ("{tmp}/.venv/bin/milliner", "", ".venv/bin/milliner"),
        ("{tmp}/.venv/bin/milliner", "other", ".venv/bin/milliner"),
        ("{tmp}/.venv/bin/milliner", ".venv/bin", "milliner"),
        ("{tmp}/milliner", "", "./milliner"),
        ("{outside}/of this/milliner", "", "'{outside}/of this/milliner'"),
        ("-c", "", "milliner"),
        ("{tmp}/.venv/bin/pytest", "", "milliner"),
        ("{tmp}/gone/milliner", "", "milliner"),
    ],
)
def test_the_program_knows_what_to_type_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str, on_path: str, expected: str
) -> None:
    here, outside = tmp_path / "here", tmp_path / "outside"
    places = {"tmp": here, "outside": outside}
    for folder in (here / ".venv/bin", here / "other", here, outside / "of this"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("milliner", "pytest"):
            (folder / name).touch(mode=0o755)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", str(here / on_path) if on_path else "/nowhere")
    monkeypatch.setattr(sys, "argv", [started.format(**places)])
    assert typed() == expected.format(**places)


def test_older_clicks_whose_types_are_not_generic_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class ParamType:
        """As it was before click 8.4."""

    monkeypatch.setattr(click, "ParamType", ParamType)
    found = runpy.run_path(options.__file__)
    assert issubclass(found["Pairs"], ParamType)
    assert issubclass(found["Naming"], ParamType)


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=1,,b=2", "a=1,a=2", "a=one"])
def test_wrong_pairs_are_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Pairs(numbers=True).convert(text, None, None)
