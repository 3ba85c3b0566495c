"""What changes while a network is trained: its weights, their running average, the optimiser's memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor

from milliner.probe.head import Head
from milliner.training.finetune.network import Network
from milliner.training.finetune.schedule import share_of_rate
from milliner.training.finetune.settings import FineTuning

Weights = dict[str, Tensor]

LOGITS: Final = "logits"
_HEAD: Final = "head."
_OF_FIRST, _OF_SECOND, _EPSILON = 0.9, 0.999, 1e-8  # AdamW's usual ones
_LEAST_SIZE: Final = 1e-3  # of what begins at 0 and has to move all the same
_EARLY: Final = 10  # steps over which the average forgets where it began


def with_head(model: ModelProto, head: Head) -> ModelProto:
    """A backbone's graph with one more output, `logits` [N, classes], by a linear layer on its `embedding`."""
    joined = ModelProto()
    joined.CopyFrom(model)
    weight, bias = f"{_HEAD}weight", f"{_HEAD}bias"
    values = {weight: head.weight, bias: head.bias}
    joined.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    joined.graph.node.append(helper.make_node("Gemm", ["embedding", weight, bias], [LOGITS], name=LOGITS, transB=1))
    return joined


def head_of(weights: Weights) -> Head:
    """The linear layer among the weights."""
    return Head(*(weights[f"{_HEAD}{part}"].detach().cpu().numpy().copy() for part in ("weight", "bias")))


@dataclass
class State:
    """Everything that a step changes."""

    network: Network
    sizes: dict[str, float]
    """Root mean squares of the weights that training began with."""
    first: Weights
    """Running means of the gradients."""
    second: Weights
    """Running means of their squares."""
    average: Weights
    """Of the weights."""
    best: Weights
    """The averaged weights as they were after the best epoch."""
    steps: int = 0

    @classmethod
    def begin(cls, network: Network) -> "State":
        """Before the first step."""
        none = {name: torch.zeros_like(weight.detach()) for name, weight in network.weights.items()}
        sizes = {name: _size(weight) for name, weight in network.weights.items()}
        return cls(network, sizes, none, _copied(none), _copied(network.weights), _copied(network.weights))

    @property
    def averaged(self) -> Network:
        """The network with averaged weights."""
        return replace(self.network, weights=self.average)

    def step(self, loss: Tensor, settings: FineTuning, steps: int, warm_up: int) -> None:
        """Moves the weights against the loss's gradient, at this step of so many.

        By AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2) with rates in units of each tensor's size, as
        in Shazeer & Stern 2018 (arXiv:1804.04235, section 8): once batch norms are folded into them, the kernels of one
        network differ two hundredfold in size. Kernels and matrices decay, biases and gains do not.
        """
        weights = self.network.weights
        gradients = torch.autograd.grad(loss, list(weights.values()))
        share = share_of_rate(self.steps, steps, warm_up)
        self.steps += 1
        stays = min(settings.average, self.steps / (self.steps + _EARLY))
        with torch.no_grad():
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                highest = settings.head_rate if name.startswith(_HEAD) else settings.rate
                rate = share * highest * self.sizes[name]
                self._move(name, weight, gradient, rate, settings.weight_decay if weight.dim() > 1 else 0.0)
                self.average[name].lerp_(weight, 1 - stays)

    def _move(self, name: str, weight: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        first = self.first[name].lerp_(gradient, 1 - _OF_FIRST)
        second = self.second[name].mul_(_OF_SECOND).addcmul_(gradient, gradient, value=1 - _OF_SECOND)
        spread = (second / (1 - _OF_SECOND**self.steps)).sqrt_().add_(_EPSILON)
        weight.mul_(1 - rate * decay).addcdiv_(first, spread, value=-rate / (1 - _OF_FIRST**self.steps))

    def keep(self) -> None:
        """Notes that the epoch that has just ended is the best so far."""
        self.best = _copied(self.average)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, for a checkpoint."""
        found = {
            f"{kind} {name}": np.asarray(value.detach().cpu().numpy())
            for kind, weights in self._kinds().items()
            for name, value in weights.items()
        }
        return found | {"steps": np.array(self.steps)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Sets all to what `arrays` had given; raises KeyError or RuntimeError where it is of another network."""
        with torch.no_grad():
            for kind, weights in self._kinds().items():
                for name, value in weights.items():
                    value.copy_(torch.from_numpy(arrays[f"{kind} {name}"]))
        self.steps = int(arrays["steps"])

    def _kinds(self) -> dict[str, Weights]:
        return {
            "weight": self.network.weights,
            "first": self.first,
            "second": self.second,
            "average": self.average,
            "best": self.best,
        }


def _size(weight: Tensor) -> float:
    return max(_LEAST_SIZE, float(weight.detach().square().mean().sqrt()))


def _copied(weights: Weights) -> Weights:
    return {name: weight.detach().clone() for name, weight in weights.items()}
