"""Backbones of others: ONNX files, the Hugging Face hub's, timm's; parity with what they were made from."""

import io
import json
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hub import COMMIT, Hub, config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from picture_server import PictureServer
from pooling import centre_weights, mean_cube, root_mean_square
from torch import nn
from torch_vision import network, torchvision

import milliner
from milliner.backbones.adapt import adapt
from milliner.backbones.backbone import Backbone, backbone
from milliner.backbones.policy import IMAGENET_MEAN, IMAGENET_SCALE
from milliner.core.errors import ModelError, SettingsError
from milliner.images.resize import ResizePolicy
from milliner.probe.embed import recipe
from milliner.runtimes.runtime import RUNTIMES, open_runtime

assert torchvision, "it must be imported before timm is"


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLINER_CACHE", str(tmp_path / "cache"))


def images(side: int, count: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(side).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def outputs(found: Backbone, pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return open_runtime(found.onnx_file().read_bytes()).run(pictures, ["features", "embedding", "average"])


class Small(nn.Module):  # type: ignore[misc]
    """A convolutional network of 12 channels at stride 8, with a squeeze-and-excitation and a classifier."""

    def __init__(self, head: str = "classes") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = head
        self.first, self.second = nn.Conv2d(3, 8, 3, 4, 1), nn.Conv2d(8, 12, 3, 2, 1)
        self.excite, self.last = nn.Conv2d(12, 12, 1), nn.Linear(12, 5)

    def map(self, pictures: torch.Tensor) -> torch.Tensor:
        value = torch.relu(self.second(torch.relu(self.first(pictures))))
        return value * torch.sigmoid(self.excite(value.mean(dim=(2, 3), keepdim=True)))

    def forward(self, pictures: torch.Tensor) -> Any:
        found = self.map(pictures)
        pooled = found.mean(dim=(2, 3))
        by_head = {"classes": lambda: self.last(pooled), "pooled": lambda: pooled, "map": lambda: found}
        more = {"both": lambda: (pooled, found), "channels last": lambda: found.permute(0, 2, 3, 1)}
        return (by_head | more)[self.head]()


class SmallTransformer(nn.Module):  # type: ignore[misc]
    """Tokens of 8 x 8 patches, in the order of the rows, behind `prefix` others."""

    def __init__(self, prefix: int = 1, head: str = "tokens") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = head
        self.patch, self.mix = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 16)
        self.before = nn.Parameter(torch.randn(1, prefix, 16))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        patches = self.patch(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.before.expand(pictures.shape[0], -1, -1), patches], dim=1)
        tokens = self.mix(tokens) + tokens.mean(dim=1, keepdim=True)
        return tokens[:, 0] if self.head == "class token" else tokens


class Placed(SmallTransformer):
    """With an embedding of every place, so that it takes squares of 64 pixels a side only."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, 64, 16))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        patches = self.patch(pictures).flatten(2).transpose(1, 2) + self.places
        return torch.cat([self.before.expand(pictures.shape[0], -1, -1), self.mix(patches)], dim=1)


def exported(
    module: nn.Module, side: int = 64, *, free: bool = True, batch: bool = True, opset: int = 17, half: bool = False
) -> bytes:
    buffer = io.BytesIO()
    axes = ({0: "n"} if batch else {}) | ({2: "h", 3: "w"} if free else {})
    example = torch.zeros(2 if batch else 1, 3, side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval().half() if half else module.eval(),
            example.half() if half else example,
            buffer,
            dynamo=False,
            opset_version=opset,
            input_names=["features"],  # a name that is one of ours
            dynamic_axes={"features": axes} if axes else None,
        )
    return buffer.getvalue()


def opened(folder: Path, content: bytes, **preprocessing: Any) -> Backbone:
    (folder / "network.onnx").write_bytes(content)
    if preprocessing:
        (folder / "preprocessor_config.json").write_bytes(config(**preprocessing))
    return backbone(f"onnx:{folder / 'network.onnx'}")


def normalised(pictures: NDArray[np.uint8], mean: Any = IMAGENET_MEAN, scale: Any = IMAGENET_SCALE) -> torch.Tensor:
    values = (pictures.astype(np.float32) - np.float32(mean)) / np.float32(scale)
    return torch.from_numpy(values).permute(0, 3, 1, 2)


@pytest.mark.parametrize("head", ["classes", "pooled", "map", "both", "channels last"])
def test_the_last_map_of_a_convolutional_network_is_found(head: str, tmp_path: Path) -> None:
    module = Small(head)
    found = opened(tmp_path, exported(module))
    assert (found.width, found.input.stride, found.input.fixed, found.statistics) == (
        12,
        8,
        False,
        ("generalised-mean",),
    )
    for side in (64, 96):
        result = outputs(found, images(side))
        with torch.no_grad():
            expected = module.map(normalised(images(side))).numpy()
        np.testing.assert_allclose(result["features"], expected, atol=1e-5)
        np.testing.assert_allclose(result["average"], expected.mean(axis=(2, 3)), atol=1e-5)
        pooled = mean_cube(expected.astype(np.float64), centre_weights(*expected.shape[2:]))
        np.testing.assert_allclose(result["embedding"], pooled / root_mean_square(pooled), atol=1e-4)


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens_become_a_map_without_those_that_are_not_of_patches(prefix: int, tmp_path: Path) -> None:
    module = SmallTransformer(prefix)
    found = opened(tmp_path, exported(module))
    assert (found.width, found.input.stride, found.input.fixed, found.statistics) == (16, 8, False, ("average",))
    side = found.input.size + 8
    result = outputs(found, images(side))
    with torch.no_grad():
        tokens = module(normalised(images(side))).numpy()[:, prefix:]
    expected = tokens.reshape(2, side // 8, side // 8, 16).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(result["features"], expected, atol=1e-5)
    pooled = expected.mean(axis=(2, 3)).astype(np.float64)
    np.testing.assert_allclose(result["embedding"], pooled / root_mean_square(pooled), atol=1e-4)


def test_a_model_of_one_size_finds_boxes_at_that_size(class_folders: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(exported(Placed(), free=False))
    pictures = class_folders(red=5, blue=5)
    milliner.train(pictures, into=tmp_path / "m.onnx", backbone=f"onnx:{tmp_path / 'network.onnx'}")
    for runtime in RUNTIMES:
        model = milliner.load(tmp_path / "m.onnx", runtime)
        assert model.evidence((pictures / "red" / "000.jpg").read_bytes(), "red").shape == (8, 8)


def test_where_the_class_token_alone_comes_out_the_others_are_found(tmp_path: Path) -> None:
    found = opened(tmp_path, exported(SmallTransformer(head="class token"), free=False))
    assert outputs(found, images(64))["features"].shape == (2, 16, 8, 8)


class Excited(nn.Module):  # type: ignore[misc]
    """Weighs its channels by their mean, which is no last pooling: the map itself goes on as well."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 8, 8), nn.Linear(4 * 8 * 8, 7)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        found = self.first(pictures)
        weighed: torch.Tensor = self.last((found * found.mean(dim=(2, 3), keepdim=True)).flatten(1))
        return weighed


def test_a_pooling_that_not_everything_goes_through_is_not_the_last(tmp_path: Path) -> None:
    assert opened(tmp_path, exported(Excited(), free=False)).width == 7


def test_a_network_without_a_map_has_one_cell(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.Flatten(), nn.Linear(4 * 8 * 8, 7))
    found = opened(tmp_path, exported(module, free=False))
    assert (found.width, found.input.size, found.input.fixed) == (7, 64, True)
    result = outputs(found, images(64))
    assert result["features"].shape == (2, 7, 1, 1)
    with torch.no_grad():
        np.testing.assert_allclose(result["average"], module(normalised(images(64))).numpy(), atol=1e-5)


def test_a_side_that_the_file_fixes_is_the_only_one(tmp_path: Path) -> None:
    found = opened(tmp_path, exported(Small(), side=96, free=False))
    assert found.input.resize(None, "it") == ResizePolicy(96)
    with pytest.raises(SettingsError, match="squares of 96 pixels a side only, not 64"):
        found.input.resize(64, "it")


@pytest.mark.parametrize("opset", [11, 13])
def test_older_files_are_brought_to_our_operators(opset: int, tmp_path: Path) -> None:
    module = Small("map")
    found = opened(tmp_path, exported(module, opset=opset))
    assert onnx.load(found.onnx_file()).opset_import[0].version == 17
    with torch.no_grad():
        np.testing.assert_allclose(
            outputs(found, images(64))["features"], module.map(normalised(images(64))).numpy(), atol=1e-5
        )


def test_half_precision_is_taken_and_given_as_single(tmp_path: Path) -> None:
    found = opened(tmp_path, exported(Small("map"), half=True))
    with torch.no_grad():
        expected = Small("map").map(normalised(images(64))).numpy()
    np.testing.assert_allclose(outputs(found, images(64))["features"], expected, atol=0.02)


@pytest.mark.parametrize("channels_last", [True, False])
def test_pixels_go_in_as_they_are_where_bytes_are_wanted(channels_last: bool, tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).random((6, 3, 16, 16), np.float32)
    shape: list[str | int | None] = ["n", "h", "w", 3] if channels_last else ["n", 3, "h", "w"]
    steps: list[tuple[str, dict[str, Any]]] = [("Transpose", {"perm": [0, 3, 1, 2]})] if channels_last else []
    nodes, value = [], "x"
    for operator, attributes in [*steps, ("Cast", {"to": TensorProto.FLOAT})]:
        nodes.append(helper.make_node(operator, [value], [f"{value}{operator}"], **attributes))
        value = f"{value}{operator}"
    nodes.append(helper.make_node("Conv", [value, "kernel"], ["y"], strides=[16, 16]))
    graph = helper.make_graph(
        nodes,
        "bytes",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    found = opened(tmp_path, model.SerializeToString())
    pixels = torch.from_numpy(images(64).astype(np.float32)).permute(0, 3, 1, 2)
    expected = nn.functional.conv2d(pixels, torch.from_numpy(kernel), stride=16).numpy()
    np.testing.assert_allclose(outputs(found, images(64))["features"], expected, rtol=1e-5)


def test_the_preprocessing_beside_the_file_is_obeyed(tmp_path: Path) -> None:
    module = Small("map")
    said = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "resample": 2, "size": {"shortest_edge": 80}}
    plain = opened(tmp_path, exported(module))
    found = opened(tmp_path, exported(module), **said)
    policy = found.input.resize(None, "it")
    assert (policy.size, policy.filter, policy.multiple) == (80, "bilinear", 8)
    assert recipe(plain, ResizePolicy(64)) != recipe(found, ResizePolicy(64)), "the same weights see other numbers"
    mean, scale = np.array([0.5, 0.4, 0.3]) * 255, np.array([0.2, 0.3, 0.4]) * 255
    with torch.no_grad():
        expected = module.map(normalised(images(64), mean, scale)).numpy()
    np.testing.assert_allclose(outputs(found, images(64))["features"], expected, atol=1e-5)


def test_it_is_found_out_about_once_and_opened_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(tmp_path, exported(Small()))
    monkeypatch.setattr("milliner.backbones.onnx_file.adapt", None)
    again = pickle.loads(pickle.dumps(found.reference)).open()
    assert (again.sha256, again.identity, again.onnx_file()) == (found.sha256, found.identity, found.onnx_file())
    assert again.name == "onnx:network.onnx", "models say no path of this machine"


def _two_inputs() -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "two", values, [values[0]])
    graph.output[0].name = "c"
    return bytes(helper.make_model(graph).SerializeToString())


def _of(shape: list[Any], element: int = TensorProto.FLOAT) -> bytes:
    value = helper.make_tensor_value_info("a", element, shape)
    graph = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "one", [value], [value])
    graph.output[0].name = "b"
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def _elsewhere() -> bytes:
    model = onnx.load_model_from_string(exported(Small()))
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a network", "damaged or not an ONNX file"),
        (b"", "damaged or not an ONNX file"),
        (exported(Small())[:2000], "damaged or not an ONNX file"),
        (_two_inputs(), "takes 2 inputs, not one picture"),
        (_of(["n", 10]), "its input is no picture"),
        (_of(["n", 5, 64, 64]), "no axis of three colours"),
        (_of(["n", 3, 64, 96]), "pictures of 64 x 96, and only squares"),
        (_of(["n", 3, "h", "w"], TensorProto.INT64), "its input is no picture"),
        (_elsewhere(), "its weights are in another file"),
        (exported(SmallTransformer(), batch=False, free=False), "one picture at a time only"),
    ],
)
def test_what_cannot_be_a_backbone_is_one_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said) as raised:
        opened(tmp_path, content)
    assert str(raised.value).startswith(f"{tmp_path / 'network.onnx'} cannot be a backbone: ")
    assert not list((tmp_path / "cache").rglob("*.onnx"))


SOUND = {"convolutional": exported(Small()), "transformer": exported(SmallTransformer(), free=False)}
PLACES = st.floats(0, 1, exclude_max=True)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SOUND)), st.lists(st.tuples(PLACES, st.integers(0, 255)), max_size=3))
def test_a_damaged_file_is_refused_or_is_a_backbone(name: str, changes: list[tuple[float, int]]) -> None:
    content = bytearray(SOUND[name])
    for place, value in changes:
        content[int(place * len(content))] = value
    with suppress(ModelError):
        assert adapt(bytes(content)).width > 0


@pytest.mark.parametrize(
    "said", ["[]", "{", '{"size": 7}', '{"image_std": [0, 1, 1]}', '{"image_mean": ["a"]}', '{"rescale_factor": -1}']
)
def test_preprocessing_that_says_nothing_usable_is_explained(said: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(said)
    with pytest.raises(ModelError, match=r"preprocessor_config\.json says nothing usable"):
        opened(tmp_path, exported(Small()))


# The Hugging Face hub


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with PictureServer() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


DINO = config(
    image_mean=[0.485, 0.456, 0.406],
    image_std=[0.229, 0.224, 0.225],
    size={"shortest_edge": 256},
    crop_size={"height": 64, "width": 64},
    do_center_crop=True,
    resample=3,
)


def dino(server: PictureServer, **files: bytes) -> Hub:
    content = {
        "README.md": b"# A network",
        "config.json": json.dumps({"model_type": "dinov2_with_registers", "num_register_tokens": 4}).encode(),
        "preprocessor_config.json": DINO,
        "onnx/model.onnx": exported(SmallTransformer(prefix=5)),
        "onnx/model_int8.onnx": b"another",
    }
    return Hub(server, "ann/dino-small", content | files)


def test_a_transformer_of_the_hub_is_a_backbone(server: PictureServer) -> None:
    hub = dino(server)
    found = backbone("hf:ann/dino-small")
    assert found.name == f"hf:ann/dino-small@{COMMIT}"
    assert (found.licence, found.origin) == ("apache-2.0", f"{server.url}/ann/dino-small")
    policy = found.input.resize(None, "it")
    assert (policy.size, policy.filter, policy.multiple) == (64, "bicubic", 8)
    result = outputs(found, images(64))
    with torch.no_grad():
        tokens = SmallTransformer(prefix=5)(normalised(images(64))).numpy()[:, 5:]
    np.testing.assert_allclose(result["features"], tokens.reshape(2, 8, 8, 16).transpose(0, 3, 1, 2), atol=1e-5)
    asked = server.requests.total()
    hub.gated = True  # what was fetched once needs the hub no more, here or in another process
    assert pickle.loads(pickle.dumps(found.reference)).open().identity == found.identity
    assert server.requests.total() == asked


def test_a_revision_and_a_file_can_be_named(server: PictureServer) -> None:
    hub = dino(server, **{"other.onnx": exported(Small())})
    hub.revisions["v2"] = COMMIT
    assert backbone("hf:ann/dino-small@v2:other.onnx").width == 12
    assert backbone(f"hf:ann/dino-small@{COMMIT}").width == 16


def _without(server: PictureServer, *names: str, **files: bytes) -> None:
    hub = dino(server, **files)
    for name in names:
        del hub.files[name]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("ann/nothing", dino, "has no hf:ann/nothing for everybody"),
        ("ann/dino-small@v9", dino, "has no hf:ann/dino-small at v9"),
        ("ann/dino-small:onnx/none.onnx", dino, "has no ONNX file onnx/none.onnx: it has onnx/model.onnx"),
        ("ann/dino-small", lambda server: setattr(dino(server), "gated", True), "log in with `hf auth login`"),
        (
            "ann/dino-small",
            lambda server: _without(server, "onnx/model.onnx", "onnx/model_int8.onnx"),
            "it has none; look",
        ),
        (
            "ann/dino-small",
            lambda server: _without(server, "onnx/model.onnx", **{"b.onnx": b""}),
            "has 2 ONNX files; add one, such as :b.onnx",
        ),
        ("ann/dino-small", lambda server: dino(server, **{"onnx/model.onnx_data": b"x"}), "are in another file"),
        ("ann/dino-small:onnx/model_int8.onnx", dino, "cannot be a backbone: it is damaged"),
        (
            "ann/dino-small",
            lambda server: dino(server).promised.update({"onnx/model.onnx": "0" * 64}),
            "came damaged",
        ),
        ("ann/dino-small", lambda server: dino(server, **{"config.json": b"{"}), "says nothing usable"),
        ("dino-small", dino, "names no repository"),
        ("ann/../../x", dino, "names no repository"),
    ],
)
def test_what_the_hub_cannot_give_is_one_sentence(
    server: PictureServer, name: str, change: Callable[[PictureServer], Any], said: str
) -> None:
    change(server)
    with pytest.raises((ModelError, SettingsError), match=said):
        backbone(f"hf:{name}")


def test_without_a_network_or_the_client_the_remedy_is_named(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PictureServer() as gone:
        address = gone.url
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(ModelError, match=f"cannot be fetched from {address} .no connection.*HF_ENDPOINT"):
        backbone("hf:ann/dino-small")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SettingsError, match=r"pip install 'milliner\[hf\]'"):
        backbone("hf:ann/dino-small")


# timm


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[str], Path]:
    import timm
    from safetensors.torch import save_file

    def make(name: str) -> Path:
        torch.manual_seed(0)
        state = timm.create_model(name).state_dict()
        if name.endswith("vit"):
            save_file(state, tmp_path / "w.safetensors")
            return tmp_path / "w.safetensors"
        torch.save(state, tmp_path / f"{name}.pth")
        return tmp_path / f"{name}.pth"

    return make


@pytest.mark.parametrize(("name", "stride"), [("test_resnet", 32), ("test_vit", 16)])
def test_networks_of_timm_compute_what_timm_computes(
    name: str, stride: int, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    import timm.data

    found = backbone(f"timm:{name}", checkpoint(name))
    torch.manual_seed(0)
    theirs = timm.create_model(name).eval()
    known = timm.data.resolve_model_data_config(theirs)
    mean, scale = np.array(known["mean"]) * 255, np.array(known["std"]) * 255
    assert (found.input.size, found.input.stride) == (known["input_size"][1], stride)
    pictures = images(found.input.size)
    with torch.no_grad():
        expected = theirs.forward_features(normalised(pictures, mean, scale)).numpy()
    if name == "test_vit":
        cells = found.input.size // stride
        expected = expected[:, 1:].reshape(2, cells, cells, -1).transpose(0, 3, 1, 2)
    result = outputs(found, pictures)
    np.testing.assert_allclose(result["features"], expected, atol=1e-4 * np.abs(expected).max())
    monkeypatch.setattr("milliner.backbones.timm_model._library", None)  # exported once
    assert pickle.loads(pickle.dumps(found.reference)).open().identity == found.identity


def test_what_timm_cannot_give_is_one_sentence(
    checkpoint: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    weights = checkpoint("test_resnet")
    with pytest.raises(SettingsError, match="no network 'test_resnat'; did you mean test_resnet"):
        backbone("timm:test_resnat", weights)
    with pytest.raises(ModelError, match="does not hold the weights of timm:test_vit"):
        backbone("timm:test_vit", weights)
    (tmp_path / "w.safetensors").write_text("no tensors")
    with pytest.raises(ModelError, match="damaged or not a safetensors file"):
        backbone("timm:test_vit", tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"cannot be read \(No such file"):
        backbone("timm:test_vit", tmp_path / "none.pth")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="check the network and the name, or give a checkpoint by --weights"):
        backbone("timm:test_vit")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SettingsError, match=r"pip install 'milliner\[torch\]'"):
        backbone("timm:test_vit", weights)


def test_torchvisions_networks_are_adapted_to_what_is_built_for_them(tmp_path: Path) -> None:
    """Two ways to the same features: the exported classifier, and the graph of the plug-in."""
    torch.save(network("mobilenet_v3_small").state_dict(), tmp_path / "w.pth")
    built = backbone("mobilenet_v3_small", tmp_path / "w.pth")
    found = opened(tmp_path, exported(network("mobilenet_v3_small")))
    assert (found.width, found.input.stride, found.input.fixed) == (built.width, 32, False)
    first, second = outputs(found, images(96))["features"], outputs(built, images(96))["features"]
    np.testing.assert_allclose(first, second, atol=1e-4 * np.abs(second).max())


def test_a_trained_model_is_no_backbone(small_model: Path) -> None:
    with pytest.raises(ModelError, match="a model that Milliner trained; name the backbone that it was trained on"):
        backbone(f"onnx:{small_model}")


def test_of_several_vectors_the_widest_are_the_features() -> None:
    random = np.random.default_rng(0)
    weights = [random.random((3 * 32 * 32, width), np.float32) for width in (2, 7)]
    nodes = [helper.make_node("Flatten", ["pixels"], ["flat"])]
    nodes += [helper.make_node("MatMul", ["flat", f"w{number}"], [f"out{number}"]) for number in range(2)]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info(f"out{number}", TensorProto.FLOAT, ["N", None]) for number in range(2)],
        [numpy_helper.from_array(values, f"w{number}") for number, values in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert adapt(model.SerializeToString()).width == 7
