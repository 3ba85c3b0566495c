"""The model file at run time: predictions, and files that must not be believed."""

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import fill_class_folders, noise_jpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import milliner
from milliner.backbones.backbone import backbone
from milliner.classifier.metadata import Metadata
from milliner.classifier.model import Model, Picture, load
from milliner.classifier.operating_point import OperatingPoint
from milliner.core.errors import DatasetError, ModelError, UnreadableImageError
from milliner.core.picture_set import PictureSet
from milliner.probe.head import Head
from milliner.runtimes.runtime import open_runtime
from milliner.training.export import assemble

RED = noise_jpeg(901, tint=(90, 0, 0))
BLUE = noise_jpeg(902, tint=(0, 90, 0))


@pytest.fixture(scope="module")
def model(small_model: Path) -> Model:
    return load(small_model)


def with_metadata(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a model whose metadata has been changed."""
    proto = onnx.load(source)
    document = json.loads(proto.metadata_props[0].value)
    change(document)
    onnx.helper.set_model_props(proto, {"milliner": json.dumps(document)})
    onnx.save(proto, target)
    return target


def test_pictures_are_recognised_from_every_kind_of_input(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "red.jpg"
    path.write_bytes(RED)
    image = Image.open(io.BytesIO(RED))
    inputs: list[Picture] = [str(path), path, RED, image, np.asarray(image)]
    found = model.predict(inputs)
    assert [prediction.label for prediction in found] == ["red"] * 5
    for prediction in found:
        assert prediction.probabilities == pytest.approx(found[0].probabilities, abs=1e-5)
    assert model.predict(BLUE).label == "blue"


def test_a_prediction_carries_heatmap_and_embedding(model: Model) -> None:
    found = model.predict(RED)
    assert found.heatmap is not None
    assert found.embedding is not None
    assert found.heatmap.shape == (2, 2, 2)
    assert found.embedding.shape == (1952,)
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert 0 <= found.margin <= found.probability <= 1


@pytest.mark.parametrize("finer", [False, True])
def test_the_heatmap_is_what_each_cell_adds_to_the_logits(small_model: Path, finer: bool) -> None:
    proto = onnx.load(small_model)
    net, random = backbone("efficientnet_lite0"), np.random.default_rng(0)
    seen = net.embedding_width if finer else net.width
    head = Head(np.zeros((2, net.embedding_width), np.float32), random.normal(size=2).astype(np.float32))
    head.weight[:, :seen] = random.normal(size=(2, seen))
    metadata = Metadata.from_json(proto.metadata_props[0].value)
    graph = assemble(net, head, replace(metadata, operating_point=OperatingPoint()))
    images = random.integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    names = ["features", "features.mean", "detail"]
    found = net.graph()
    found.graph.output.append(onnx.helper.make_tensor_value_info("features.mean", 1, None))
    maps = open_runtime(found.SerializeToString()).run(images, names)
    norm = np.sqrt(np.square(maps["features.mean"]).mean(axis=1))[:, None, None, None]
    expected = np.einsum("nwyx,cw->ncyx", maps["features"] / norm, head.weight[:, : net.width])
    if finer:
        detail = np.einsum("nwyx,cw->ncyx", 3 * maps["detail"] / norm, head.weight[:, net.width :])
        halves = np.clip((np.arange(6) - 0.5) / 2, 0, 2)  # each cell becomes four, between their neighbours
        low, share = np.floor(halves).astype(int), halves - np.floor(halves)
        high = np.minimum(low + 1, 2)
        rows = expected[:, :, low] * (1 - share[:, None]) + expected[:, :, high] * share[:, None]
        expected = rows[..., low] * (1 - share) + rows[..., high] * share + detail
    heatmap = open_runtime(graph.SerializeToString()).run(images, ["heatmap"])["heatmap"]
    np.testing.assert_allclose(heatmap, expected + head.bias[:, None, None], atol=2e-3)


def test_a_turned_picture_is_turned_upright_as_in_training(model: Model) -> None:
    image = Image.open(io.BytesIO(noise_jpeg(903)))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    upright = image.transpose(Image.Transpose.ROTATE_270)
    assert model.predict(buffer.getvalue()).probabilities == pytest.approx(
        model.predict(upright).probabilities, abs=1e-5
    )


def test_the_model_abstains_below_its_operating_point(small_model: Path, tmp_path: Path) -> None:
    path = with_metadata(
        small_model, tmp_path / "m.onnx", lambda document: document["operating_point"].update(abstain_below=0.9999999)
    )
    doubtful = load(path).predict(RED)
    assert doubtful.abstained
    assert doubtful.label == "red"
    assert doubtful.reason == "below the least probability"
    assert not load(small_model).predict(RED).abstained


def test_what_is_said_is_what_the_operating_point_says(small_model: Path, tmp_path: Path) -> None:
    def prefer_blue(document: dict[str, Any]) -> None:
        document["operating_point"].update(weights={"blue": 1e9}, min_margin=0.0)

    found = load(with_metadata(small_model, tmp_path / "m.onnx", prefer_blue)).predict(RED)
    assert found.label == "blue"
    assert found.probability < 0.5
    assert found.probabilities == load(small_model).predict(RED).probabilities


@pytest.mark.parametrize("content", [b"", b"<html>", RED[:200]])
def test_an_unreadable_picture_is_named_as_such(model: Model, content: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        model.predict(content)


def test_a_missing_file_is_one_sentence(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"nowhere\.jpg cannot be read"):
        model.predict(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_must_be_rgb_bytes(model: Model, array: Any) -> None:
    with pytest.raises(ValueError, match="uint8 RGB"):
        model.predict(array)


def test_an_onnx_file_of_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not one of Milliner's"):
        load(backbone("efficientnet_lite0").onnx_file())


def test_a_newer_schema_is_refused(small_model: Path, tmp_path: Path) -> None:
    path = with_metadata(small_model, tmp_path / "m.onnx", lambda document: document.update(schema=4))
    with pytest.raises(ModelError, match=r"newer Milliner .*; upgrade"):
        load(path)


def test_a_file_of_the_first_schema_is_read(small_model: Path, tmp_path: Path) -> None:
    def of_the_first(document: dict[str, Any]) -> None:
        document.update(schema=1, operating_point={"abstain_below": 0.25})

    path = with_metadata(small_model, tmp_path / "m.onnx", of_the_first)
    assert load(path).metadata.operating_point == OperatingPoint(0.25)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("schema"),
        lambda document: document.update(labels=["a"]),
        lambda document: document.update(labels=["a", "a"]),
        lambda document: document.update(labels=["a", 3]),
        lambda document: document.update(labels=["a", "b", "c"]),
        lambda document: document.update(resize={"mode": "crop", "size": 64, "filter": "bilinear"}),
        lambda document: document.update(resize={"mode": "squeeze", "size": 10**9, "filter": "bilinear"}),
        lambda document: document.update(operating_point={"abstain_below": 7}),
        lambda document: document.update(operating_point={"abstain_below": 10**400}),
        lambda document: document.update(operating_point=None),
        lambda document: document.update(operating_point={"abstain_below": 0, "weights": {"nobody": 2}}),
        lambda document: document.update(init={"a": 1}),
        lambda document: document.update(backbone="lite"),
        lambda document: document.update(trained_on=3),
        lambda document: document.update(trained_on="é"),
        lambda document: document.update(trained_on="AAAA"),
        lambda document: document.update(trained_on=document["trained_on"][:-4]),
        lambda document: document.update(trained_on=base64.b64encode(bytes(16)).decode()),
    ],
)
def test_metadata_that_does_not_hold_together_is_refused(
    small_model: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = with_metadata(small_model, tmp_path / "m.onnx", change)
    with pytest.raises(ModelError, match="not a usable model"):
        load(path)


def test_a_missing_model_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 0.999))
def test_a_file_cut_short_is_refused(small_model: Path, tmp_path: Path, cut: float) -> None:
    content = small_model.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(ModelError, match=r"cannot be loaded|not one of"):
        load(path)


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_no_metadata_breaks_the_reader(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        Metadata.from_json(text)


def test_metadata_survives_its_round_trip(model: Model) -> None:
    assert Metadata.from_json(model.metadata.to_json()) == model.metadata


def test_a_model_that_gives_no_numbers_is_refused(small_model: Path, tmp_path: Path) -> None:
    proto = onnx.load(small_model)
    (bias,) = [entry for entry in proto.graph.initializer if entry.name == "head.bias"]
    bias.CopyFrom(onnx.numpy_helper.from_array(np.array([np.nan, 0], np.float32), "head.bias"))
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="train or copy it again"):
        load(tmp_path / "m.onnx").predict(RED)


def test_weights_outside_the_file_are_refused(small_model: Path, tmp_path: Path) -> None:
    onnx.save(onnx.load(small_model), tmp_path / "m.onnx", save_as_external_data=True, location="w", size_threshold=0)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(tmp_path / "m.onnx")


def test_evaluating_the_training_pictures_is_refused(small_model: Path, tmp_path: Path) -> None:
    pictures = fill_class_folders(tmp_path / "pictures", red=12, blue=10)
    with pytest.raises(DatasetError, match="the very pictures"):
        milliner.evaluate(small_model, pictures)
    (pictures / "red" / "000.jpg").unlink()
    (pictures / "red" / "broken.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="the very pictures"):
        milliner.evaluate(small_model, pictures)


def test_training_pictures_among_others_are_left_out_of_an_evaluation(small_model: Path, tmp_path: Path) -> None:
    pictures = fill_class_folders(tmp_path / "pictures", red=2, blue=1)
    (pictures / "blue" / "000.jpg").rename(pictures / "red" / "renamed.jpg")  # nor is it told by its name and class
    fill_class_folders(tmp_path / "others", 500, red=3, blue=4)
    alone = milliner.evaluate(small_model, tmp_path / "others")
    for path in sorted((tmp_path / "others").glob("*/*.jpg")):
        (pictures / path.parent.name / f"new-{path.name}").write_bytes(path.read_bytes())
    found = milliner.evaluate(small_model, pictures, report=tmp_path / "report.html")
    assert (found.after.samples, found.after.log_loss) == (7, alone.after.log_loss)
    assert {(each.file, each.reason) for each in found.set_aside} == {
        (f"red/{name}.jpg", "trained on") for name in ("000", "001", "renamed")
    }
    assert found.notes == ("Left out: 3 pictures that small.onnx was trained on.",)
    assert found.to_json()["notes"] == list(found.notes)
    assert found.notes[0] in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert alone.notes == ()


def test_a_file_that_does_not_name_its_training_pictures_knows_them_as_a_whole(
    small_model: Path, tmp_path: Path
) -> None:
    old = with_metadata(small_model, tmp_path / "old.onnx", lambda document: document.pop("trained_on"))
    pictures = fill_class_folders(tmp_path / "pictures", red=12, blue=10)
    with pytest.raises(DatasetError, match="the very pictures"):
        milliner.evaluate(old, pictures)
    (pictures / "red" / "000.jpg").unlink()
    assert milliner.evaluate(old, pictures).after.samples == 21


@given(known=st.sets(st.binary(min_size=3, max_size=3), max_size=40), other=st.binary(min_size=4, max_size=4))
def test_a_set_of_pictures_has_what_was_put_in_and_survives_being_written(known: set[bytes], other: bytes) -> None:
    digests = [hashlib.sha256(content).hexdigest() for content in known]
    found = PictureSet.of([*digests, *digests])
    assert len(found) == len(known)
    assert all(digest in found for digest in digests)
    assert hashlib.sha256(other).hexdigest() not in found
    assert PictureSet.from_text(found.to_text()) == found
    assert PictureSet.of(sorted(digests)).to_text() == found.to_text()


def test_folders_called_by_numbers_are_not_class_numbers(small_model: Path, tmp_path: Path) -> None:
    pictures = fill_class_folders(tmp_path / "pictures", **{"0": 2, "1": 2})
    with pytest.raises(DatasetError, match="does not know"):
        milliner.evaluate(small_model, pictures)


PREDICT = "import sys, milliner; print(milliner.load(sys.argv[1]).predict(sys.argv[2]).label)"


def test_predicting_leaves_nothing_in_the_users_home_and_tells_nobody(small_model: Path, tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "red.jpg"
    home.mkdir()
    path.write_bytes(RED)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "ORT_"))}
    command = [sys.executable, "-c", PREDICT, str(small_model), str(path)]
    done = subprocess.run(command, env=kept | {"HOME": str(home)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "red\n", "")
    assert list(home.rglob("*")) == []


def test_one_place_imports_the_runtime() -> None:
    package = Path(milliner.__file__).parent
    importing = re.compile(r"^\s*(?:import|from) onnxruntime\b", re.MULTILINE)
    found = [path for path in package.rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))]
    assert found == [package / "runtimes" / "onnx_runtime.py"]


def test_what_the_package_offers_is_listed() -> None:
    assert {"fetch", "check", "pack", "train", "evaluate", "load", "new", "run"} <= set(dir(milliner))
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        _ = milliner.fly
