"""A backbone's graph in torch: values of ONNX Runtime, gradients of a model written by hand, steps of torch's AdamW."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch.nn import functional

from milliner.backbones.backbone import DEFAULT, backbone
from milliner.backbones.graph import GraphWriter
from milliner.core.errors import ModelError
from milliner.probe.head import Head
from milliner.training.finetune.network import Network
from milliner.training.finetune.schedule import share_of_rate
from milliner.training.finetune.settings import FineTuning
from milliner.training.finetune.state import LOGITS, State, with_head

Floats = NDArray[np.float32]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two processes of tests would wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_of(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def small_backbone() -> ModelProto:
    """A strided and a depthwise convolution, a residual sum, and every pooling."""
    writer = GraphWriter()
    value = writer.normalised("image", 127.0, 128.0)
    value = writer.relu6(writer.convolution(value, "stem", random_of(8, 3, 3, 3), random_of(8), 2))
    wide = writer.relu6(writer.convolution(value, "wide", random_of(8, 1, 5, 5, seed=1), random_of(8, seed=1), 1, 8))
    back = writer.convolution(wide, "back", random_of(8, 8, 1, 1, seed=2), random_of(8, seed=2), 1)
    features = writer.node("Relu", [writer.add(value, back)], "features")
    writer.average(features, "average")
    writer.generalised_mean(features, "embedding")
    return writer.finish("small", {"features": ["N", 8, "h", "w"], "embedding": ["N", 8], "average": ["N", 8]})


def written_by_hand(weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """What `small_backbone` means, as one would write it in torch."""
    value = (images.float().permute(0, 3, 1, 2) - 127) / 128
    value = functional.pad(value, (0, 1, 0, 1))
    value = functional.relu6(functional.conv2d(value, weights["stem.weight"], weights["stem.bias"], stride=2))
    wide = functional.relu6(functional.conv2d(value, weights["wide.weight"], weights["wide.bias"], padding=2, groups=8))
    value = functional.relu(value + functional.conv2d(wide, weights["back.weight"], weights["back.bias"]))
    return value.pow(3).mean((2, 3)).clamp_min(1e-20).pow(1 / 3)


def pixels(count: int, side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def test_gradients_are_those_of_a_model_written_by_hand() -> None:
    network = Network.of(small_backbone(), "embedding")
    assert set(network.weights) == {
        f"{name}.{part}" for name in ("stem", "wide", "back") for part in ("weight", "bias")
    }
    assert {"mean", "scale", "zero", "six", "three", "third"} <= set(network.constants)
    images, towards = torch.from_numpy(pixels(3, 16)), torch.from_numpy(random_of(3, 8, seed=9))
    (network(images) * towards).sum().backward()
    copies = {name: value.detach().clone().requires_grad_() for name, value in network.weights.items()}
    expected = written_by_hand(copies, images)
    (expected * towards).sum().backward()
    torch.testing.assert_close(network(images), expected)
    for name, value in network.weights.items():
        torch.testing.assert_close(value.grad, copies[name].grad, rtol=1e-4, atol=1e-5)


def test_a_channel_that_is_nothing_everywhere_has_a_gradient_that_is_a_number() -> None:
    writer = GraphWriter()
    kernel = np.zeros((4, 3, 1, 1), np.float32)
    value = writer.convolution(writer.normalised("image", 127.0, 128.0), "stem", kernel, kernel[:, 0, 0, 0], 1)
    writer.generalised_mean(value, "embedding")
    network = Network.of(writer.finish("nothing", {"embedding": ["N", 4]}), "embedding")
    found = network(torch.from_numpy(pixels(2, 16)))
    assert found.abs().max() < 1e-6
    for gradient in torch.autograd.grad(found.sum(), list(network.weights.values())):
        assert gradient.isfinite().all()


def test_the_default_backbone_gives_in_torch_what_its_file_gives() -> None:
    net = backbone(DEFAULT)
    images = pixels(2, 64)
    session = onnxruntime.InferenceSession(net.onnx_file().read_bytes(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["embedding"], {"image": images})
    np.testing.assert_allclose(Network.of(net.graph(), "embedding").look(images), expected, atol=2e-5)


def test_mixed_precision_gives_about_the_same_and_gradients_that_are_numbers() -> None:
    network, images = Network.of(small_backbone(), "embedding"), torch.from_numpy(pixels(2, 16))
    with torch.autocast("cpu", torch.bfloat16):
        found = network(images)
    gradients = torch.autograd.grad(found.float().sum(), list(network.weights.values()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    torch.testing.assert_close(found.float(), network(images), rtol=0.05, atol=0.05)


def test_changed_weights_are_written_into_the_graph_and_the_rest_stays() -> None:
    model = small_backbone()
    network = Network.of(model, "embedding")
    other = network.with_weights({name: value * 1.5 for name, value in network.weights.items()})
    written = other.written()
    onnx.checker.check_model(written, full_check=True)
    session = onnxruntime.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(
        session.run(["embedding"], {"image": pixels(2, 16)})[0], other.look(pixels(2, 16)), rtol=1e-4
    )
    assert [node.SerializeToString() for node in written.graph.node] == [
        n.SerializeToString() for n in model.graph.node
    ]
    assert np.abs(other.look(pixels(2, 16)) - network.look(pixels(2, 16))).max() > 0.1


# Operator, shape of its input, its other inputs, its attributes.
NODES: list[tuple[str, tuple[int, ...], list[Any], dict[str, Any]]] = [
    (
        "Conv",
        (2, 4, 9, 9),
        [random_of(6, 2, 3, 3), random_of(6)],
        {"group": 2, "strides": [2, 2], "pads": [0, 1, 1, 1]},
    ),
    ("Conv", (2, 4, 8, 8), [random_of(6, 4, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", (2, 4, 9, 9), [random_of(6, 4, 3, 3)], {"pads": [2, 2, 2, 2], "dilations": [2, 2]}),
    ("MaxPool", (1, 3, 12, 12), [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", (1, 3, 8, 8), [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("AveragePool", (1, 3, 8, 8), [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("GlobalAveragePool", (2, 3, 5, 5), [], {}),
    ("GlobalMaxPool", (2, 3, 5, 5), [], {}),
    ("BatchNormalization", (2, 3, 5, 5), [*(random_of(3, seed=s) for s in (1, 2, 3)), np.ones(3, np.float32)], {}),
    ("LayerNormalization", (2, 5, 8), [random_of(8), random_of(8, seed=1)], {"epsilon": 1e-6}),
    ("Gemm", (4, 5), [random_of(3, 5), random_of(3)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("MatMul", (2, 4, 5), [random_of(5, 6)], {}),
    ("Clip", (3, 4), [np.float32(-0.5), np.float32(0.25)], {}),
    ("Clip", (3, 4), [np.float32(0)], {}),
    ("Relu", (3, 4), [], {}),
    ("LeakyRelu", (3, 4), [], {"alpha": 0.2}),
    ("HardSigmoid", (3, 4), [], {"alpha": 1 / 6, "beta": 0.5}),
    ("HardSwish", (3, 4), [], {}),
    ("Sigmoid", (3, 4), [], {}),
    ("Tanh", (3, 4), [], {}),
    ("Erf", (3, 4), [], {}),
    ("Softmax", (3, 4), [], {"axis": 0}),
    ("Pow", (3, 4), [np.float32(3)], {}),
    ("Add", (3, 4), [random_of(4)], {}),
    ("Sub", (3, 4), [random_of(4)], {}),
    ("Mul", (3, 4), [random_of(4)], {}),
    ("Div", (3, 4), [random_of(4)], {}),
    ("ReduceL2", (3, 4), [], {"axes": [1], "keepdims": 1}),
    ("ReduceMean", (3, 4, 5), [], {"axes": [1, 2], "keepdims": 0}),
    ("ReduceMean", (3, 4, 5), [], {}),
    ("Flatten", (2, 3, 4), [], {}),
    ("Reshape", (2, 3, 4), [np.array([0, -1], np.int64)], {}),
    ("Squeeze", (2, 1, 4, 1), [np.array([1, 3], np.int64)], {}),
    ("Unsqueeze", (2, 4), [np.array([0, -1], np.int64)], {}),
    ("Transpose", (2, 3, 4), [], {"perm": [2, 0, 1]}),
    ("Concat", (2, 3), [random_of(2, 4)], {"axis": 1}),
    ("Identity", (2, 3), [], {}),
    ("Cast", (2, 3), [], {"to": TensorProto.INT32}),
]


@pytest.mark.parametrize(("operator", "shape", "others", "attributes"), NODES, ids=[node[0] for node in NODES])
def test_an_operator_means_what_onnx_runtime_takes_it_to_mean(
    operator: str, shape: tuple[int, ...], others: list[Any], attributes: dict[str, Any]
) -> None:
    names = [f"other{place}" for place in range(len(others))]
    node = helper.make_node(operator, ["x", *names], ["y"], **attributes)
    kind = attributes.get("to", TensorProto.FLOAT)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in zip(names, others, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    value = random_of(*shape, seed=7)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["y"], {"x": value})
    found = Network.of(model, "y")(torch.from_numpy(value)).detach().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_graph_that_cannot_be_trained_is_refused_in_one_sentence() -> None:
    model = small_backbone()
    model.graph.node.append(helper.make_node("Det", ["embedding"], ["strange"]))
    Network.of(model, "embedding")  # what the output does not need does not matter
    with pytest.raises(ModelError, match=r"small cannot be fine-tuned: its graph has Det.*leave --fine-tune out"):
        Network.of(model, "strange")


def test_steps_are_those_of_torchs_adamw() -> None:
    head = Head(random_of(2, 8), random_of(2))
    state = State.begin(Network.of(with_head(small_backbone(), head), LOGITS))
    settings = FineTuning(rate=3e-3, head_rate=1e-2, weight_decay=0.1, average=0)
    sizes = {name: float(value.detach().square().mean().sqrt()) for name, value in state.network.weights.items()}
    copies = {name: value.detach().clone().requires_grad_() for name, value in state.network.weights.items()}
    groups = [
        {
            "params": [value],
            "lr": sizes[name] * (1e-2 if name.startswith("head.") else 3e-3),
            "weight_decay": 0.1 * (value.dim() > 1),
        }
        for name, value in copies.items()
    ]
    peer = torch.optim.AdamW(groups)
    highest = [group["lr"] for group in peer.param_groups]
    images, targets = torch.from_numpy(pixels(4, 16)), torch.tensor([0, 1, 1, 0])
    for step in range(5):
        for group, rate in zip(peer.param_groups, highest, strict=True):
            group["lr"] = rate * share_of_rate(step, 5, 2)
        embedding = written_by_hand(copies, images)
        logits = embedding @ copies["head.weight"].T + copies["head.bias"]
        peer.zero_grad()
        functional.cross_entropy(logits, targets).backward()
        peer.step()
        state.step(functional.cross_entropy(state.network(images), targets), settings, 5, 2)
    for name, value in state.network.weights.items():
        torch.testing.assert_close(value, copies[name], rtol=1e-3, atol=2e-4)
        torch.testing.assert_close(state.average[name], value.detach())


def test_what_a_checkpoint_keeps_is_all_there_is() -> None:
    head = Head(random_of(2, 8), random_of(2))
    one, two = (State.begin(Network.of(with_head(small_backbone(), head), LOGITS)) for _ in range(2))
    images, targets = torch.from_numpy(pixels(4, 16)), torch.tensor([0, 1, 1, 0])

    def step(state: State) -> None:
        state.step(functional.cross_entropy(state.network(images), targets), FineTuning(), 9, 2)

    step(one)
    one.keep()
    step(one)
    two.restore({name: value.copy() for name, value in one.arrays().items()})
    step(one)
    step(two)
    for name, value in one.arrays().items():
        np.testing.assert_array_equal(value, two.arrays()[name], err_msg=name)


@given(st.integers(1, 50), st.integers(1, 500))
def test_the_rate_rises_to_its_highest_and_falls_to_almost_nothing(warm_up: int, more: int) -> None:
    shares = [share_of_rate(step, warm_up + more, warm_up) for step in range(warm_up + more)]
    assert all(0 < share <= 1 for share in shares)
    assert shares[warm_up - 1] == 1
    assert shares[:warm_up] == sorted(shares[:warm_up])
    assert shares[warm_up:] == sorted(shares[warm_up:], reverse=True)
