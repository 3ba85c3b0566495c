"""Models in 8-bit integers: the rewritten network, its ranges, what is measured, what is refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import fill_class_folders
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from milliner.classifier.model import load
from milliner.cli.main import call
from milliner.core.errors import DatasetError, ModelError, SettingsError
from milliner.runtimes.runtime import RUNTIMES, open_runtime
from milliner.training.int8 import quantise as quantising
from milliner.training.int8.calibrate import RULES, Histogram, calibrate
from milliner.training.int8.layout import lay_out
from milliner.training.int8.quantise import int8_path, quantise
from milliner.training.int8.rewrite import Grid, quantise_weights, rewrite
from milliner.training.train import train


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `small_model` was trained on."""
    return fill_class_folders(tmp_path_factory.mktemp("int8") / "pictures", red=12, blue=10)


@pytest.fixture(scope="module")
def small_int8(small_model: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "small.int8.onnx"
    quantise(small_model, pictures, into=path)
    return path


def network(nodes: list[onnx.NodeProto], weights: Mapping[str, NDArray[Any]], opset: int = 17) -> onnx.ModelProto:
    """A network from `image` [N, 8, 8, 3] to `out`, with pixels scaled to 0..1 as `planes`."""
    first = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "unit"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    constants = {"unit": np.array(1 / 255, np.float32)} | dict(weights)
    graph = helper.make_graph(
        [*first, *nodes],
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", "c", "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def kernel(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


JOINED = (
    [
        helper.make_node("Conv", ["planes", "a", "bias"], ["first"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["first"], ["positive"]),
        helper.make_node("MaxPool", ["positive"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pooled", "b"], ["left"]),
        helper.make_node("Conv", ["pooled", "c"], ["right"], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["left", "zero", "six"], ["clipped"]),
        helper.make_node("Concat", ["clipped", "right"], ["both"], axis=1),
        helper.make_node("Sigmoid", ["both"], ["soft"]),
        helper.make_node("Conv", ["soft", "d"], ["again"]),
        helper.make_node("Add", ["again", "both"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["out"]),
    ],
    {
        "a": kernel(1, 4, 3, 3, 3),
        "b": kernel(2, 4, 4, 1, 1),
        "c": kernel(3, 4, 4, 3, 3),
        "d": kernel(4, 8, 8, 1, 1),
        "bias": kernel(5, 4),
        "zero": np.array(0, np.float32),
        "six": np.array(6, np.float32),
    },
)
"""What networks are made of besides the default's parts: pooling, branches, no bias, nodes without a name."""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_networks_of_many_parts_compute_the_same_in_8_bits(rule: str, runtime: str) -> None:
    model = network(*JOINED)
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    layout = lay_out(model.graph)
    quantised = rewrite(model, layout, calibrate(model, layout, images).grids(rule))
    onnx.checker.check_model(quantised, full_check=True)
    assert {node.op_type for node in quantised.graph.node}.isdisjoint({"Relu", "Clip"})
    before = open_runtime(model.SerializeToString()).run(images, ["out"])["out"]
    after = open_runtime(quantised.SerializeToString(), runtime).run(images, ["out"])["out"]
    assert np.abs(after - before).max() < 0.05 * np.abs(before).max()
    assert not np.array_equal(after, before)


def test_a_clipping_that_others_read_stays() -> None:
    nodes = [
        helper.make_node("Conv", ["planes", "a"], ["first"]),
        helper.make_node("Relu", ["first"], ["positive"]),
        helper.make_node("Sub", ["positive", "first"], ["out"]),
    ]
    model = network(nodes, {"a": kernel(1, 4, 3, 3, 3)})
    assert lay_out(model.graph).clipped == frozenset()
    onto_the_output = network([*nodes[:1], helper.make_node("Relu", ["first"], ["out"])], {"a": kernel(1, 4, 3, 3, 3)})
    assert lay_out(onto_the_output.graph).clipped == frozenset()


def test_networks_that_cannot_be_quantised_are_refused() -> None:
    bare = network([helper.make_node("Identity", ["planes"], ["out"])], {})
    with pytest.raises(ModelError, match="no convolution"):
        lay_out(bare.graph)
    old = network([helper.make_node("Conv", ["planes", "a"], ["out"])], {"a": kernel(1, 4, 3, 3, 3)}, opset=11)
    with pytest.raises(ModelError, match="operator set 13"):
        rewrite(old, lay_out(old.graph), {})


@settings(deadline=None)
@given(low=st.floats(-1e4, 1e4), high=st.floats(-1e4, 1e4), share=st.floats(0, 1))
def test_a_grid_holds_zero_and_its_range(low: float, high: float, share: float) -> None:
    low, high = min(low, high), max(low, high)
    grid = Grid.of(low, high)
    value = low + share * (high - low)
    step = float(grid.scale)
    rounded = step * (np.clip(np.rint(value / step) + int(grid.zero), 0, 255) - int(grid.zero))
    assert abs(rounded - value) <= 1.01 * step
    assert 0 <= int(grid.zero) <= 255


@settings(deadline=None)
@given(seed=st.integers(0, 1000), size=st.floats(1e-6, 1e6))
def test_weights_keep_every_channel_to_half_a_step(seed: int, size: float) -> None:
    weights = (kernel(seed, 5, 3, 2, 2) * np.array([1, 10, 0.1, 0, 1]).reshape(-1, 1, 1, 1) * size).astype(np.float32)
    found, scales = quantise_weights(weights)
    assert found.min() >= -127
    errors = np.abs(found * scales.reshape(-1, 1, 1, 1) - weights)
    assert (errors <= 0.501 * scales.reshape(-1, 1, 1, 1)).all()


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(st.floats(-100, 100, width=32), min_size=26, max_size=60), min_size=1, max_size=4))
def test_every_range_lies_within_what_came(batches: list[list[float]]) -> None:
    found = Histogram()
    for batch in batches:
        found.add(np.array(batch, np.float32))
    numbers = [number for batch in batches for number in batch]
    for rule in RULES.values():
        low, high = rule(found)
        assert min(*numbers, 0) - 1e-3 <= low <= 0 <= high <= max(*numbers, 0) + 1e-3
    assert RULES["widest"](found) == pytest.approx((min(*numbers, 0), max(*numbers, 0)), abs=1e-30)


def test_rare_extremes_are_cut_by_the_least_error() -> None:
    found = Histogram()
    found.add(np.append(np.random.default_rng(0).normal(0, 1, 200_000), [1000.0] * 14).astype(np.float32))
    assert RULES["percentile"](found)[1] < 10 < RULES["least error"](found)[1] < RULES["widest"](found)[1] == 1000


def test_the_file_is_smaller_says_the_same_and_tells_its_figures(
    small_model: Path, small_int8: Path, pictures: Path
) -> None:
    before, after = load(small_model), load(small_int8)
    assert small_int8.stat().st_size < small_model.stat().st_size / 3
    assert after.labels == before.labels
    assert after.metadata.trained_on == before.metadata.trained_on
    assert after.metadata.lineage["quantised_from"] == before.sha256
    figures = after.metadata.metrics["int8"]
    assert figures["drop"] <= 0.5
    assert {"accuracy", "log_loss"} == set(figures["before"]) == set(figures["after"])
    assert figures["closeness"]["embedding"]["mean"] > 0.95
    assert figures["closeness"]["heatmap"]["mean"] > 0.9
    assert figures["calibrated"] + figures["measured"] == 22
    for path in sorted(pictures.glob("*/00*.jpg")):
        assert after.predict(path).label == before.predict(path).label


def test_the_same_pictures_and_seed_give_the_same_bytes(
    small_model: Path, small_int8: Path, pictures: Path, tmp_path: Path
) -> None:
    quantise(small_model, pictures, into=tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == small_int8.read_bytes()


@pytest.mark.parametrize("pooling", ["generalised-mean", "both"])
def test_the_head_stays_as_it_is_however_maps_are_pooled(pooling: str, pictures: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"size": 64, "pooling": pooling, "int8": True, "cache": tmp_path / "c.sqlite"}
    result = train(pictures, into=tmp_path / "m.onnx", **options)
    assert result.int8 is not None
    graph = onnx.load(result.int8.model).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    heads = [node for node in graph.node if node.op_type == "Conv" and node.output[0].startswith("head.")]
    others = [node for node in graph.node if node.op_type == "Conv" and not node.output[0].startswith("head.")]
    assert len(heads) == (2 if pooling == "both" else 1)
    assert {weights.get(node.input[1]) for node in heads} == {onnx.TensorProto.FLOAT}
    assert onnx.TensorProto.FLOAT not in {weights.get(node.input[1]) for node in others}


def ruined(model: onnx.ModelProto, layout: Any, grids: dict[str, Grid]) -> onnx.ModelProto:
    """A network of which every value is one of two steps."""
    return rewrite(model, layout, {name: Grid(np.float32(1000), np.uint8(254)) for name in grids})


def test_a_large_drop_is_refused_unless_allowed(
    small_model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantising, "rewrite", ruined)
    path = tmp_path / "m.int8.onnx"
    with pytest.raises(ModelError, match=r"was not written: in 8 bits .* --allow-drop \d+"):
        quantise(small_model, pictures, into=path)
    assert list(tmp_path.iterdir()) == []
    assert quantise(small_model, pictures, into=path, allow_drop=100).drop > 0.5
    assert load(path).metadata.metrics["int8"]["drop"] > 0.5


def test_the_model_stands_where_8_bits_are_refused(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantising, "rewrite", ruined)
    with pytest.raises(ModelError, match=r"m\.onnx was written and stands, but .*m\.int8\.onnx was not written"):
        train(pictures, into=tmp_path / "m.onnx", size=64, int8=True)
    assert load(tmp_path / "m.onnx").labels
    assert not (tmp_path / "m.int8.onnx").exists()


def test_only_pictures_of_the_training_are_taken(small_model: Path, pictures: Path, tmp_path: Path) -> None:
    others = fill_class_folders(tmp_path / "others", 500, red=9, blue=9)
    with pytest.raises(DatasetError, match="give its training dataset"):
        quantise(small_model, others, into=tmp_path / "m.onnx")
    foreign = fill_class_folders(tmp_path / "foreign", green=5, red=5)
    with pytest.raises(DatasetError, match="that it was trained on"):
        quantise(small_model, foreign, into=tmp_path / "m.onnx")
    for path in pictures.glob("*/*.jpg"):
        (others / path.parent.name / f"known-{path.name}").write_bytes(path.read_bytes())
    found = quantise(small_model, others, into=tmp_path / "m.onnx")
    assert found.calibrated + found.measured == 22


@pytest.mark.parametrize("drop", [-1, 101, float("nan")])
def test_an_impossible_allowance_is_refused(small_model: Path, pictures: Path, tmp_path: Path, drop: float) -> None:
    with pytest.raises(SettingsError, match="0 to 100"):
        quantise(small_model, pictures, into=tmp_path / "m.onnx", allow_drop=drop)


def test_train_writes_the_quantised_file_beside_the_model(
    class_folders: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.onnx"
    options = ["--into", str(model), "--size", "64", "--int8", "--json"]
    assert call(["train", str(class_folders(red=8, blue=8)), *options]) == 0
    document = json.loads(capsys.readouterr().out)["int8"]
    assert document["model"] == str(int8_path(model)) == str(tmp_path / "m.int8.onnx")
    assert document["bytes"]["after"] == int8_path(model).stat().st_size
    assert load(int8_path(model)).labels == ("blue", "red")


def test_an_allowance_without_int8_is_refused(
    class_folders: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--into", str(tmp_path / "m.onnx"), "--allow-drop", "2"]
    assert call(["train", str(class_folders(red=3, blue=3)), *options]) == 2
    assert "--allow-drop goes with --int8" in capsys.readouterr().err
    assert not (tmp_path / "m.onnx").exists()
