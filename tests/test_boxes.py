"""Class activation maps: their surface and peak, boxes from them, the same on the command line."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import noise_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.interpolate import BSpline
from scipy.ndimage import label as scipy_label

from milliner.classifier.model import load
from milliner.cli.main import call
from milliner.core.errors import UnreadableImageError
from milliner.core.prediction import Box
from milliner.images.boxes import MAX_BOXES, boxes
from milliner.images.decode import decode, upright_size
from milliner.images.heatmap import outline, peak, surface

maps = arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.floats(-9, 9, width=32))


@settings(max_examples=60, deadline=None)
@given(evidence=maps, width=st.integers(1, 40), height=st.integers(1, 40))
def test_a_surface_never_leaves_the_range_of_its_cells(evidence: np.ndarray, width: int, height: int) -> None:
    found = surface(evidence, width, height)
    assert found.shape == (height, width)
    assert evidence.min() - 1e-4 <= found.min()
    assert found.max() <= evidence.max() + 1e-4


@settings(max_examples=30, deadline=None)
@given(evidence=arrays(np.float32, st.integers(4, 9), elements=st.floats(-9, 9, width=32)))
def test_the_surface_is_scipys_cubic_spline(evidence: np.ndarray) -> None:
    coefficients = np.pad(evidence, 2, mode="edge").astype(np.float64)
    knots = np.arange(len(coefficients) + 4) - 4.0  # coefficient number c is centred on c - 2: cell number c - 2
    places = (np.arange(50) + 0.5) * len(evidence) / 50 - 0.5
    expected = BSpline(knots, coefficients, 3)(places)
    np.testing.assert_allclose(surface(evidence[None], 50, 1)[0], expected, atol=1e-4)


def test_the_peak_is_between_two_cells_that_are_alike() -> None:
    evidence = np.zeros((6, 8), np.float32)
    evidence[2, 3:5] = 5
    x, y = peak(evidence)
    assert x == pytest.approx(4 / 8, abs=1 / 64)
    assert y == pytest.approx(2.5 / 6, abs=1 / 48)


@settings(max_examples=60, deadline=None)
@given(evidence=maps)
def test_boxes_hold_what_is_over_half_of_the_highest(evidence: np.ndarray) -> None:
    height, width = (4 * side for side in evidence.shape)
    found = boxes(evidence, "helmet", (width, height))
    level = surface(evidence, width, height)
    strong = level > max(float(level.max()), 0) / 2
    covered = np.zeros_like(strong)
    for box in found:
        covered[box.top : box.bottom, box.left : box.right] = True
        assert strong[box.top, box.left : box.right].any()
        assert strong[box.bottom - 1, box.left : box.right].any()
        assert strong[box.top : box.bottom, box.left].any()
        assert strong[box.top : box.bottom, box.right - 1].any()
        assert 0.5 <= box.probability <= 1
    assert len(found) == min(scipy_label(strong)[1], MAX_BOXES)
    assert not (strong & ~covered).any()
    assert [box.probability for box in found] == sorted((box.probability for box in found), reverse=True)


def test_boxes_are_in_pixels_of_the_picture() -> None:
    evidence = np.full((10, 20), -1, np.float32)
    evidence[2:5, 4:8] = 3
    evidence[7:9, 15:19] = 2
    first, second = boxes(evidence, "helmet", (2000, 500))
    assert first.label == "helmet"
    assert first.probability == pytest.approx(1 / (1 + np.exp(-3)), abs=0.01)
    assert (first.left, first.top, first.right, first.bottom) == pytest.approx((400, 100, 800, 250), abs=60)
    assert (second.left, second.top, second.right, second.bottom) == pytest.approx((1500, 350, 1900, 450), abs=60)
    assert boxes(np.full((3, 3), -2, np.float32), "helmet", (30, 30)) == ()


def test_evidence_is_finer_than_the_heatmap_and_about_the_same(small_model: Path) -> None:
    model, picture = load(small_model), noise_jpeg(901, tint=(90, 0, 0))
    assert model.evidence(picture, "red").shape == (4, 4)
    assert model.evidence(picture, "red", finer=1).shape == (2, 2)
    heatmap = model.look(picture, ("heatmap",))["heatmap"]
    np.testing.assert_allclose(model.evidence(picture, "red", finer=1), heatmap[1] - heatmap[0], atol=1e-4)
    np.testing.assert_allclose(model.evidence(picture, "red"), -model.evidence(picture, "blue"), atol=1e-4)
    with pytest.raises(ValueError, match="green"):
        model.evidence(picture, "green")
    with pytest.raises(UnreadableImageError):
        model.evidence(b"<html>", "red")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_upright_size_is_that_of_the_decoded_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "JPEG", exif=exif)
    assert upright_size(buffer.getvalue()) == decode(buffer.getvalue()).size


def test_a_frame_is_drawn_where_the_box_is() -> None:
    image = Image.new("RGB", (100, 50), "red")
    drawn = np.asarray(outline(image, [Box("helmet", 0.9, 400, 100, 800, 300)], (1000, 500)))
    changed = (drawn != np.asarray(image)).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (rows[0], rows[-1]) == pytest.approx((10, 30), abs=1)
    assert (columns[0], columns[-1]) == pytest.approx((40, 80), abs=1)
    assert not changed[15:25, 45:75].any()


def test_predict_tells_and_draws_the_boxes(
    small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "red.jpg"
    path.write_bytes(noise_jpeg(901, 120, tint=(90, 0, 0)))
    assert call(["predict", str(small_model), str(path), "--boxes", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["boxes"]
    for box in found["boxes"]:
        left, top, right, bottom = box["box"]
        assert 0 <= left < right <= 120
        assert 0 <= top < bottom <= 120
        assert box["label"] == found["label"] == "red"
    assert call(["predict", str(small_model), str(path), "--boxes", "--heatmap", str(tmp_path / "maps")]) == 0
    assert "left,top,right,bottom" in capsys.readouterr().out
    framed = next((tmp_path / "maps").glob("*.jpg")).read_bytes()
    assert call(["predict", str(small_model), str(path), "--heatmap", str(tmp_path / "plain"), "--json"]) == 0
    assert "boxes" not in json.loads(capsys.readouterr().out)[0]
    assert next((tmp_path / "plain").glob("*.jpg")).read_bytes() != framed


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_commands_take_the_runtime(
    small_model: Path,
    class_folders: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
) -> None:
    others = class_folders(tmp_path / "others", red=3, blue=3)
    for number, path in enumerate(sorted(others.glob("*/*.jpg"))):
        path.write_bytes(noise_jpeg(5000 + number, tint=(90, 0, 0)))
    documents = []
    for runtime in ("onnxruntime", "openvino"):
        assert call([command, str(small_model), str(others), "--runtime", runtime, "--json"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    first, second = documents
    if command == "predict":
        for one, other in zip(first, second, strict=True):
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-3)
    else:
        assert first["log_loss"]["value"] == pytest.approx(second["log_loss"]["value"], abs=1e-3)
