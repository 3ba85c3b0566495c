"""The runtimes: the same answers from each, threads, what one that is not installed says."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import noise_jpeg
from PIL import Image

import milliner
from milliner.classifier.model import load
from milliner.core.errors import ModelError, SettingsError
from milliner.core.parallel import available_cores
from milliner.runtimes.runtime import RUNTIMES, open_runtime

OUTPUTS = ("probabilities", "logits", "heatmap", "embedding", "average", "distance")


def photographs(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("**/*.jpg"))[:6]:
        image = Image.open(path).convert("RGB")
        image.thumbnail((200, 200))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        yield buffer.getvalue()


@pytest.mark.parametrize("alone", [False, True])
def test_every_runtime_says_the_same_of_real_photographs(small_model: Path, test_data: Path, alone: bool) -> None:
    models = [load(small_model, runtime=name) for name in RUNTIMES]
    for picture in photographs(test_data / "helmets-unseen"):
        first, *others = [model.look(picture, OUTPUTS, alone=alone) for model in models]
        for other in others:
            for name in OUTPUTS:
                np.testing.assert_allclose(other[name], first[name], atol=1e-3)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_reads_what_the_file_says_of_itself(small_model: Path, name: str) -> None:
    runtime, reference = open_runtime(small_model.read_bytes(), name), open_runtime(small_model.read_bytes())
    assert runtime.metadata["milliner"] == reference.metadata["milliner"]
    assert runtime.inputs == {"image": "tensor(uint8)"}
    assert set(runtime.outputs) == set(OUTPUTS)
    assert runtime.outputs["probabilities"][1] == 2


@pytest.mark.parametrize("name", RUNTIMES)
def test_threads_share_a_model_alone_or_not(small_model: Path, name: str) -> None:
    model = load(small_model, runtime=name)
    pictures = [noise_jpeg(seed, tint=(90 * (seed % 2), 0, 0)) for seed in range(24)]
    expected = [model.look(picture, ("logits",))["logits"] for picture in pictures]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda picture: model.look(picture, ("logits",), alone=True)["logits"], pictures))
        singles = list(pool.map(model.predict, pictures))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert [one.label for one in singles] == [model.predict(picture).label for picture in pictures]


TOGETHER = """
import sys, threading
import numpy as np
from milliner.runtimes.runtime import open_runtime
runtime = open_runtime(open(sys.argv[1], "rb").read(), "openvino")
sys.setswitchinterval(1e-6)
start = threading.Barrier(2)
def first():
    start.wait()
    runtime.run(np.zeros((1, 64, 64, 3), np.uint8), ["logits"])
threads = [threading.Thread(target=first) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


def test_two_threads_that_are_the_first_do_not_wait_for_each_other(small_model: Path) -> None:
    """OpenVINO hangs in one process of twenty-five where it first meets numpy in two threads at once."""
    command = [sys.executable, "-c", TOGETHER, str(small_model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_picture_that_fails_takes_no_runtime_with_it(small_model: Path) -> None:
    """OpenVINO has as many requests as cores: one that a failure kept would stop the threads that wait for it."""
    runtime = open_runtime(small_model.read_bytes(), "openvino")
    good, bad = np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 64, 64, 4), np.uint8)
    for _ in range(2 * available_cores()):
        with pytest.raises(RuntimeError):
            runtime.run(bad, ["logits"])
    assert runtime.run(good, ["logits"])["logits"].shape == (1, 2)


@pytest.mark.parametrize("name", RUNTIMES)
def test_sizes_and_batches_other_than_the_models_own_are_computed(small_model: Path, name: str) -> None:
    runtime = open_runtime(small_model.read_bytes(), name)
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 64, 3), dtype=np.uint8)
    whole = runtime.run(images, ["heatmap"])["heatmap"]
    assert whole.shape == (3, 2, 3, 2)
    np.testing.assert_allclose(runtime.run(images[1:2], ["heatmap"])["heatmap"][0], whole[1], atol=1e-3)


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("cut", [0.0, 0.3, 0.99])
def test_a_damaged_file_is_refused_by_every_runtime(small_model: Path, tmp_path: Path, name: str, cut: float) -> None:
    content = small_model.read_bytes()
    (tmp_path / "m.onnx").write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(ModelError, match=r"cannot be loaded: it is damaged .*; train or copy it again"):
        load(tmp_path / "m.onnx", runtime=name)


@pytest.mark.parametrize("name", RUNTIMES)
def test_weights_outside_the_file_are_refused(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(onnx.load(small_model), "m.onnx", save_as_external_data=True, location="w", size_threshold=0)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load("m.onnx", runtime=name)


def test_an_absent_runtime_is_one_sentence(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SettingsError, match=r"pip install 'milliner\[openvino\]'"):
        load(small_model, runtime="openvino")
    assert load(small_model).predict(noise_jpeg(1)).label in ("red", "blue")


def test_an_unknown_runtime_is_one_sentence(small_model: Path) -> None:
    with pytest.raises(SettingsError, match="choose one of: onnxruntime, openvino"):
        milliner.load(small_model, runtime="tensorrt")


PREDICT = "import sys, milliner; print(milliner.load(sys.argv[1], runtime=sys.argv[3]).predict(sys.argv[2]).label)"


@pytest.mark.parametrize("name", RUNTIMES)
def test_predicting_leaves_nothing_in_the_users_home_and_says_nothing(
    small_model: Path, tmp_path: Path, name: str
) -> None:
    home, path = tmp_path / "home", tmp_path / "red.jpg"
    home.mkdir()
    path.write_bytes(noise_jpeg(901, tint=(90, 0, 0)))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    command = [sys.executable, "-c", PREDICT, str(small_model), str(path), name]
    done = subprocess.run(command, env=kept | {"HOME": str(home)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "red\n", "")
    assert list(home.rglob("*")) == []


def test_the_command_line_knows_the_runtimes_without_loading_anything() -> None:
    code = "import sys, milliner.cli.terminal; print({'numpy', 'onnxruntime', 'openvino'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("name", RUNTIMES)
def test_one_place_imports_each_runtime(name: str) -> None:
    package = Path(milliner.__file__).parent
    importing = re.compile(rf"^\s*(?:import|from) {name}\b|import_module\(\"{name}\"", re.MULTILINE)
    found = [path for path in package.rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))]
    assert found == [package / Path(*RUNTIMES[name].split(".")[1:]).with_suffix(".py")]
