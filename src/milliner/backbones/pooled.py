"""A backbone whose maps are pooled in another way than its own."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onnx import ModelProto, helper

from milliner.backbones.backbone import Backbone, Readiness, Reference, graph_file
from milliner.backbones.graph import GraphWriter
from milliner.backbones.imagenet_head import ImagenetHead
from milliner.backbones.network import pruned
from milliner.backbones.pooling import Statistic
from milliner.core.progress import Progress, silent


class PooledBackbone(Backbone):
    """The same network with another `embedding`."""

    def __init__(self, net: Backbone, statistics: Sequence[Statistic]) -> None:
        self._net, self.statistics = net, tuple(statistics)
        self.name, self.width, self.input = net.name, net.width, net.input
        self.licence, self.origin, self.published = net.licence, net.origin, net.published
        self.parameters, self.megabytes, self.imagenet_top1 = net.parameters, net.megabytes, net.imagenet_top1

    @property
    def sha256(self) -> str:
        """Of the network's weights."""
        return self._net.sha256

    @property
    def detail_width(self) -> int:
        """The network's."""
        return self._net.detail_width

    @property
    def identity(self) -> str:
        """With the pooling."""
        return f"{self._net.identity} {' '.join(self.statistics)}"

    @property
    def reference(self) -> Reference:
        """With the pooling."""
        return replace(self._net.reference, statistics=self.statistics)

    @property
    def _cached(self) -> Path:
        return graph_file(f"{self.name}-pooled", hashlib.sha256(self.identity.encode()).hexdigest())

    def build(self) -> ModelProto:
        """The network's graph with its `embedding` replaced."""
        model = self._net.graph()
        kept = [value for value in model.graph.output if value.name != "embedding"]
        del model.graph.output[:]
        model.graph.output.extend(kept)
        model = pruned(model)
        opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        writer = GraphWriter(opset, there=[tensor.name for tensor in model.graph.initializer])
        width = writer.embedding(self.statistics, self.width, self.detail_width, signed=True)
        writer.append_to(model.graph)
        model.graph.output.append(helper.make_tensor_value_info("embedding", 1, ["N", width]))
        return model

    def readiness(self) -> Readiness:
        """The network's."""
        return self._net.readiness()

    def prepare(self, progress: Progress = silent) -> Path:
        """Brings the network here."""
        self._net.prepare(progress)
        return self.onnx_file()

    def imagenet_head(self) -> ImagenetHead:
        """The network's."""
        return self._net.imagenet_head()

    @property
    def has_imagenet_head(self) -> bool:
        """Whether the network has one."""
        return self._net.has_imagenet_head
