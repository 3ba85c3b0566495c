"""A network whose maps are pooled in another way: what its embedding is, and that models of it are whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from pooling import centre_weights, mean_cube, root_mean_square

import milliner as mn
from milliner.backbones.backbone import Backbone, Reference, backbone
from milliner.backbones.pooling import EVERY, POOLINGS, Statistic, check_pooling, name_of
from milliner.classifier.metadata import Metadata
from milliner.classifier.operating_point import OperatingPoint
from milliner.core.errors import SettingsError
from milliner.probe.embed import recipe
from milliner.probe.head import Head
from milliner.runtimes.runtime import open_runtime
from milliner.training.export import assemble

NET = backbone("efficientnet_lite0")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
WAYS = [*POOLINGS.values(), EVERY]

Floats = NDArray[np.float64]


def looked(net: Backbone, *names: str) -> dict[str, NDArray[np.float32]]:
    return open_runtime(net.onnx_file().read_bytes()).run(IMAGES, names)


def row(values: Floats, statistic: Statistic, weights: Floats | float) -> Floats:
    if statistic == "average":
        return np.asarray(values.mean(axis=(2, 3)))
    if statistic == "maximum":
        return np.asarray(values.max(axis=(2, 3)))
    return mean_cube(values, weights)


@pytest.mark.parametrize("statistics", WAYS, ids=name_of)
def test_the_embedding_is_each_statistic_of_each_map(statistics: tuple[Statistic, ...]) -> None:
    net = NET.pooled(statistics)
    features, detail = (looked(NET, name)[name].astype(np.float64) for name in ("features", "detail"))
    rows = {statistic: row(features, statistic, centre_weights(3, 3)) for statistic in statistics}
    norms = {statistic: root_mean_square(pooled) for statistic, pooled in rows.items()}
    finer = [3 * row(detail, statistic, 1.0) / norms[statistic] for statistic in statistics]
    expected = np.concatenate([*(rows[each] / norms[each] for each in statistics), *finer], axis=1)
    found = looked(net, "embedding", "average")
    assert net.embedding_width == expected.shape[1]
    assert net.widths == (1280 * len(statistics), 1952 * len(statistics))
    np.testing.assert_allclose(found["embedding"], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found["average"], features.mean(axis=(2, 3)), atol=1e-5)


def test_its_own_pooling_is_the_network_itself() -> None:
    assert NET.pooled(POOLINGS["generalised-mean"]) is NET


def test_embeddings_of_different_poolings_are_not_confused() -> None:
    policy = NET.input.resize(96, NET.name)
    nets = [NET.pooled(statistics) for statistics in WAYS]
    assert len({recipe(net, policy) for net in nets}) == len({net.onnx_file() for net in nets}) == len(WAYS)


def test_another_process_opens_the_same() -> None:
    net = NET.pooled(("average", "maximum"))
    opened = net.reference.open()
    assert opened.identity == net.identity
    assert opened.onnx_file() == net.onnx_file()
    assert Reference(NET.name, None, NET.sha256).open() is NET


def test_the_imagenet_classifier_is_the_networks() -> None:
    net = NET.pooled(("maximum",))
    assert net.has_imagenet_head
    np.testing.assert_array_equal(net.imagenet_head().weight, NET.imagenet_head().weight)


def test_the_heatmap_adds_what_each_statistic_says(small_model: Path) -> None:
    """A head that weighs the average and the maximum alike sees both maps twice, each by its own norm."""
    net, random = NET.pooled(("average", "maximum")), np.random.default_rng(0)
    head = Head(np.zeros((2, net.embedding_width), np.float32), random.normal(size=2).astype(np.float32))
    head.weight[:, : net.widths[0]] = random.normal(size=(2, net.widths[0]))
    metadata = replace(
        Metadata.from_json(onnx.load(small_model).metadata_props[0].value), operating_point=OperatingPoint()
    )
    graph = assemble(net, head, metadata)
    features = looked(NET, "features")["features"].astype(np.float64)
    norms = [root_mean_square(row(features, each, 1.0))[:, :, None, None] for each in net.statistics]
    weights = [head.weight[:, :1280], head.weight[:, 1280:2560]]
    expected = head.bias[:, None, None] + sum(
        np.einsum("nwyx,cw->ncyx", features, weight) / norm for weight, norm in zip(weights, norms, strict=True)
    )
    found = open_runtime(graph.SerializeToString()).run(IMAGES, ["heatmap"])["heatmap"]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("pooling", ["average", "both"])
def test_a_model_of_another_pooling_is_written_and_says_so(
    pooling: str, class_folders: Callable[..., Path], tmp_path: Path
) -> None:
    scenes = class_folders(red=6, blue=5)
    result = mn.train(scenes, into=tmp_path / "m.onnx", size=96, pooling=pooling, cache=tmp_path / "cache.sqlite")
    assert result.difference <= 1e-4
    model = mn.load(result.model)
    assert model.metadata.lineage["pooling"] == pooling
    assert f'"pooling": "{pooling}"' in (result.run / "settings.json").read_text()


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(SettingsError, match="choose one of: average, generalised-mean, maximum, both"):
        check_pooling("median")
