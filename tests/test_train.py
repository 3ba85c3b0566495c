"""Training: what it writes, what it remembers, what it refuses, and that a kill costs nothing."""

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import onnx
import pytest
from conftest import noise_jpeg

import milliner
from milliner.cli.training_texts import result_rows
from milliner.core.errors import DatasetError, MillinerError, ModelError, SettingsError
from milliner.probe.cache import default_cache
from milliner.probe.choose import choose
from milliner.probe.folds import stratified_folds
from milliner.training import export as exporting
from milliner.training.train import TrainResult
from milliner.training.wishes import Wishes

SIZE = 64


def train(dataset: Path, into: Path, **options: object) -> TrainResult:
    return milliner.train(dataset, into=into, size=SIZE, cache=into.parent / "cache.sqlite", **options)  # type: ignore[arg-type]


def test_the_result_has_the_promised_json(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    document = train(class_folders(red=6, blue=5), tmp_path / "m.onnx").to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["labels"] == ["blue", "red"]
    assert document["samples"] == 11
    assert set(document["seconds"]) == {"embed", "fit", "total"}
    assert 0.9 <= document["cross_validated"]["accuracy"] <= 1
    assert document["cache"] == {"hits": 0, "misses": 11}


def test_what_a_class_begins_as_is_told_and_where_it_cannot_that_too(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    found = train(class_folders(red=6, blue=5), tmp_path / "m.onnx", init={"red": "crash helmet"})
    assert ["begins as", "red: crash helmet"] in result_rows(found)
    assert found.to_json()["warm_start"]
    told = dict(result_rows(replace(found, warm=False)))
    assert told["begins as"].startswith("nothing: efficientnet_lite0's ImageNet classifier has several layers")
    assert "begins as" not in dict(result_rows(replace(found, init={}, warm=False)))


def test_the_file_is_what_the_readme_says(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    train(
        class_folders(red=6, blue=5),
        tmp_path / "m.onnx",
        init={"red": "crash helmet"},
        wishes=Wishes(abstain_below=0.75),
    )
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    (image,) = model.graph.input
    assert image.name == "image"
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert {"probabilities", "logits", "heatmap", "embedding"} <= {value.name for value in model.graph.output}
    (entry,) = model.metadata_props
    document = json.loads(entry.value)
    assert entry.key == "milliner"
    assert document["schema"] == 3
    assert document["labels"] == ["blue", "red"]
    sides = {"enlarge": 1.75, "least": SIZE, "multiple": 32}
    assert document["resize"] == {"mode": "squeeze", "size": SIZE, "filter": "bilinear", **sides}
    assert len(document["backbone"]["sha256"]) == len(document["dataset"]["fingerprint"]) == 64
    assert document["operating_point"]["abstain_below"] == 0.75
    assert document["init"] == {"red": "crash helmet"}
    assert document["dataset"]["per_class"] == {"blue": 5, "red": 6}
    assert len(base64.b64decode(document["trained_on"])) == 8 * 11
    assert document["metrics"]["cross_validated"]["accuracy"] >= 0.9


def test_a_second_training_embeds_nothing_and_gives_the_same_bytes(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    pictures = class_folders(red=6, blue=5)
    train(pictures, tmp_path / "first.onnx")
    again = train(pictures, tmp_path / "second.onnx")
    assert (again.hits, again.misses) == (11, 0)
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "second.onnx").read_bytes()


_OPENED = """
import sys
opened = []
sys.addaudithook(lambda event, values: opened.append(str(values[0])) if event == "open" else None)
import milliner
milliner.train(sys.argv[1] + "/train.rec", into=sys.argv[2], size=64, cache=sys.argv[3])
print(*{name for name in opened if name.startswith(sys.argv[1])}, sep="\\n")
"""


def test_training_does_not_open_the_test_split(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    milliner.pack(class_folders(red=9, blue=9), into=packed, quick=True)
    arguments = [str(packed), str(tmp_path / "m.onnx"), str(tmp_path / "cache.sqlite")]
    done = subprocess.run([sys.executable, "-c", _OPENED, *arguments], capture_output=True, text=True, check=True)
    opened = {Path(line).name for line in done.stdout.splitlines()}
    assert "train.rec" in opened
    assert not {name for name in opened if name.startswith("test.")}


def test_only_new_pictures_are_embedded(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures = class_folders(red=6, blue=5)
    train(pictures, tmp_path / "m.onnx")
    (pictures / "red" / "new.jpg").write_bytes(noise_jpeg(77))
    (pictures / "blue" / "000.jpg").rename(pictures / "blue" / "renamed.jpg")
    again = train(pictures, tmp_path / "m.onnx")
    assert (again.hits, again.misses) == (11, 1)


def test_another_size_is_another_recipe(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures = class_folders(red=3, blue=3)
    train(pictures, tmp_path / "m.onnx")
    other = milliner.train(pictures, into=tmp_path / "n.onnx", size=96, cache=tmp_path / "cache.sqlite")
    assert other.misses == 6


def test_unreadable_pictures_are_set_aside_by_name(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures = class_folders(red=6, blue=5)
    (pictures / "red" / "broken.jpg").write_bytes(noise_jpeg(5)[:300])
    (pictures / "blue" / "page.jpg").write_bytes(b"<html>404</html>")
    result = train(pictures, tmp_path / "m.onnx")
    assert result.samples == 11
    assert result.set_aside == {"blue/page.jpg": "not a picture", "red/broken.jpg": "truncated"}


def test_exact_copies_are_left_out_and_of_copies_in_two_classes_none_stays(
    class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    pictures = class_folders(red=6, blue=5)
    alone = train(pictures, tmp_path / "alone.onnx")
    (pictures / "red" / "copy.jpg").write_bytes((pictures / "red" / "000.jpg").read_bytes())
    again = train(pictures, tmp_path / "again.onnx")
    assert again.set_aside == {"red/copy.jpg": "equals red/000.jpg"}
    assert (tmp_path / "alone.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()
    (pictures / "red" / "torn.jpg").write_bytes((pictures / "blue" / "000.jpg").read_bytes())
    torn = train(pictures, tmp_path / "torn.onnx")
    assert set(torn.set_aside) == {"red/copy.jpg", "red/torn.jpg", "blue/000.jpg"}
    assert torn.samples == alone.samples - 1


@pytest.mark.parametrize(
    ("counts", "said"),
    [({"red": 3}, "one class"), ({"red": 3, "blue": 1}, r"'blue' .* has 1 usable picture"), ({}, "no class folders")],
)
def test_too_little_is_refused_in_one_sentence(
    class_folders: Callable[..., Path], tmp_path: Path, counts: dict[str, int], said: str
) -> None:
    pictures = class_folders(**counts)
    pictures.mkdir(exist_ok=True)
    with pytest.raises(DatasetError, match=said):
        train(pictures, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"init": {"green": "crash helmet"}}, "the classes are blue, red"),
        ({"init": {"red": "crash helmit"}}, "did you mean 'crash helmet'"),
        ({"wishes": Wishes(min_recall={"green": 0.5})}, "min_recall names the class 'green', but the classes are"),
        ({"wishes": Wishes(min_recall={"red": 0.9})}, "needs 9 pictures of it to be promised, and there are 3"),
        ({"seed": -1}, "seed must be 0 or more, not -1"),
    ],
)
def test_wrong_options_are_refused_with_a_remedy(
    class_folders: Callable[..., Path], tmp_path: Path, options: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        train(class_folders(red=3, blue=3), tmp_path / "m.onnx", **options)


@pytest.mark.parametrize("into", ["model", "model.pt"])
def test_a_model_file_ends_in_onnx(class_folders: Callable[..., Path], tmp_path: Path, into: str) -> None:
    with pytest.raises(SettingsError, match=r"\.onnx"):
        train(class_folders(red=3, blue=3), tmp_path / into)


@pytest.mark.parametrize("size", [0, 33, 4096])
def test_sizes_are_multiples_of_the_stride(class_folders: Callable[..., Path], tmp_path: Path, size: int) -> None:
    with pytest.raises(SettingsError, match="multiple of 32"):
        milliner.train(class_folders(red=3, blue=3), into=tmp_path / "m.onnx", size=size)


def test_a_file_that_differs_from_what_was_trained_never_gets_its_name(
    class_folders: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, path = class_folders(red=3, blue=3), tmp_path / "m.onnx"
    train(pictures, path)
    before = path.read_bytes()
    assemble = exporting.assemble

    def slightly_wrong(backbone, head, metadata, distance):  # type: ignore[no-untyped-def]
        return assemble(backbone, type(head)(head.weight * np.float32(1.01), head.bias), metadata, distance)

    monkeypatch.setattr(exporting, "assemble", slightly_wrong)
    with pytest.raises(ModelError, match="differ by"):
        train(pictures, path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_a_damaged_cache_is_made_anew(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_bytes(b"this is no database" * 100)
    assert train(class_folders(red=3, blue=3), tmp_path / "m.onnx").misses == 6
    assert remembered(tmp_path / "cache.sqlite") == 6


def test_a_cache_that_cannot_be_written_is_named(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures = class_folders(red=3, blue=3)
    (tmp_path / "file").touch()
    with pytest.raises(MillinerError, match=r"embedding cache .* cannot be used"):
        milliner.train(pictures, into=tmp_path / "m.onnx", size=SIZE, cache=tmp_path / "file" / "cache.sqlite")


def test_the_cache_lies_in_the_project_or_else_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "deep")
    assert default_cache().is_relative_to(os.environ["MILLINER_CACHE"])
    (tmp_path / "project" / "milliner.toml").touch()
    assert default_cache() == tmp_path / "project" / ".milliner" / "embeddings.sqlite"


def test_folds_are_stratified_even_and_seeded() -> None:
    targets = np.array([0] * 13 + [1] * 7 + [2] * 5)
    folds = stratified_folds(targets, 5, seed=3)
    for label, size in ((0, 13), (1, 7), (2, 5)):
        counts = np.bincount(folds[targets == label], minlength=5)
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1
    assert np.bincount(folds).tolist() == [5] * 5
    assert (folds == stratified_folds(targets, 5, seed=3)).all()
    assert (folds != stratified_folds(targets, 5, seed=4)).any()


def test_strength_is_what_left_out_samples_reward() -> None:
    random = np.random.default_rng(0)
    targets = np.arange(120) % 2
    noise = random.normal(size=(120, 40)).astype(np.float32)
    signal_free = choose(noise, targets, 2, seed=0)
    informed = noise.copy()
    informed[:, 0] += 12 * targets
    informative = choose(informed, targets, 2, seed=0)
    assert signal_free.strength > informative.strength
    assert informative.accuracy > 0.97
    assert 0.3 < signal_free.accuracy < 0.7


KILLED = """
import sys, milliner
milliner.train(sys.argv[1], into=sys.argv[2], size=256, cache=sys.argv[3])
"""


def test_a_killed_training_goes_on_where_it_stopped(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    pictures, path, cache = class_folders(red=60, blue=60), tmp_path / "m.onnx", tmp_path / "cache.sqlite"
    command = [sys.executable, "-c", KILLED, str(pictures), str(path), str(cache)]
    process = subprocess.Popen(command)
    pause = Event()
    while remembered(cache) == 0:
        assert process.poll() is None, "it ended before it could be killed"
        pause.wait(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    kept = remembered(cache)
    assert 0 < kept < 120
    again = milliner.train(pictures, into=path, size=256, cache=cache)
    assert again.hits >= kept
    undisturbed = milliner.train(pictures, into=tmp_path / "n.onnx", size=256, cache=tmp_path / "other.sqlite")
    assert undisturbed.misses == 120
    assert path.read_bytes() == (tmp_path / "n.onnx").read_bytes()


def remembered(cache: Path) -> int:
    """How many embeddings are in the cache; none where it is not made yet."""
    if not cache.exists():
        return 0
    connection = sqlite3.connect(cache, timeout=10)
    try:
        (count,) = connection.execute("SELECT count(*) FROM embeddings").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
    return int(count)
