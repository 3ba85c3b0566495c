"""What a backbone is, and how one is found by its name."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from onnx import ModelProto, load_model_from_string

from milliner.backbones.imagenet_head import ImagenetHead as ImagenetHead
from milliner.backbones.policy import DEFAULT as DEFAULT
from milliner.backbones.policy import InputPolicy
from milliner.backbones.pooling import OWN, Block, Statistic, blocks
from milliner.core.errors import ModelError, SettingsError
from milliner.core.plugins import find_plugins
from milliner.core.progress import Progress, silent
from milliner.images.cache import cache_folder
from milliner.images.files import write_atomically

GRAPH_VERSION: Final = 5
"""Raised when the same weights would be written as a different graph, so that cached graphs are made anew."""


@dataclass(frozen=True)
class Readiness:
    """Whether a backbone can be used as this machine is now."""

    ready: bool
    how: str
    """Where it is, or what brings it here, as a fragment of a sentence."""


@dataclass(frozen=True)
class Reference:
    """A backbone by its name, for other processes to open; on other machines its files must be where they are here."""

    name: str
    weights: str | None = None
    """The checkpoint that was given in place of the published weights."""
    sha256: str = ""
    """Of the weights, which must be the same there."""
    statistics: tuple[Statistic, ...] = ()
    """How its maps are pooled, where that is not as its own are."""

    def open(self) -> "Backbone":
        """The backbone; raises ModelError where its weights are others."""
        found = backbone(self.name, self.weights)
        if self.sha256 and found.sha256 != self.sha256:
            raise ModelError(f"The weights of {self.name} differ between machines; copy the same file to each of them.")
        return found.pooled(self.statistics) if self.statistics else found


class Backbone(ABC):
    """A pretrained feature extractor: an ONNX graph, and what one must know to use it."""

    name: str
    """What `backbone` finds it by."""
    width: int
    """Channels of its features."""
    licence: str
    """Of the weights, as an SPDX identifier where there is one."""
    origin: str
    """The address that the weights are from."""
    published: str
    """SHA-256 of the published weights, or its first 8 digits where their address tells no more."""
    input: InputPolicy
    parameters: int
    """Trained numbers of the whole published network, its classifier included."""
    megabytes: float
    """Of the weights file, in millions of bytes."""
    imagenet_top1: float | None = None
    """Published share of ImageNet's validation pictures whose best class is right; None where nobody says."""
    statistics: tuple[Statistic, ...] = OWN
    """How `embedding` is pooled; by the average where features have both signs and a generalised mean says little."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Of the weights that are used."""

    @abstractmethod
    def build(self) -> ModelProto:
        """The ONNX model: `image` uint8 RGB [N, H, W, 3] to float32 outputs.

        `features` [N, width, h, w]; `average` [N, width], their plain mean over the cells; with a `detail_width` also
        `detail` [N, detail_width, 2 h, 2 w]. `embedding` [N, embedding_width]: each map's cells pooled, as `statistics`
        say (in a generalised mean those of the features count more towards the centre), its `blocks` one behind the
        other, each divided by its norm, [N, 1], so that the mean square of every row of the features is 1.
        """

    @abstractmethod
    def readiness(self) -> Readiness:
        """Whether it is here, without opening or asking anything."""

    @property
    def detail_width(self) -> int:
        """Channels of an earlier map with twice as many cells a side, where small things still show; 0: it has none."""
        return 0

    @property
    def embedding_width(self) -> int:
        """Numbers of its `embedding`."""
        return sum(block.channels for block in self.blocks)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The parts of its `embedding`, those of the features first."""
        return blocks(self.statistics, self.width, self.detail_width)

    @property
    def widths(self) -> tuple[int, ...]:
        """How many of the embedding's numbers a head may see: those of the features, or all."""
        features = len(self.statistics) * self.width
        return (features, self.embedding_width) if self.detail_width else (features,)

    def imagenet_head(self) -> ImagenetHead:
        """The ImageNet classifier that belongs to the `average`; raises SettingsError where it has none."""
        raise SettingsError(
            f"{self.name} has no ImageNet classifier, so that no class can begin as one of ImageNet's; leave `init` "
            f"out, or use another backbone, such as {DEFAULT}."
        )

    @property
    def has_imagenet_head(self) -> bool:
        """Whether `imagenet_head` gives one."""
        return type(self).imagenet_head is not Backbone.imagenet_head

    @property
    def identity(self) -> str:
        """Everything that its graph depends on besides `GRAPH_VERSION`."""
        return f"{self.name} {self.sha256}"

    @property
    def reference(self) -> Reference:
        """To open the same in another process."""
        return Reference(self.name, None, self.sha256)

    @property
    def _cached(self) -> Path:
        return graph_file(self.name, self.sha256)

    def onnx_file(self) -> Path:
        """The backbone as an ONNX file in the user's cache, written there the first time."""
        path = self._cached
        try:
            if not path.exists():
                content = self.build().SerializeToString(deterministic=True)
                if self.has_imagenet_head:
                    self.imagenet_head().save(_head_file(path))
                write_atomically(path, content)
        except OSError as error:
            raise ModelError(
                f"The backbone cannot be written to {path.parent} ({error.strerror}); "
                "set MILLINER_CACHE to a folder that can be written."
            ) from error
        return path

    def prepare(self, progress: Progress = silent) -> Path:
        """Brings what is missing, such as a download, telling `progress`; then `onnx_file`."""
        return self.onnx_file()

    def pooled(self, statistics: Sequence[Statistic]) -> "Backbone":
        """The same network with its maps pooled in that way."""
        from milliner.backbones.pooled import PooledBackbone

        return self if tuple(statistics) == self.statistics else PooledBackbone(self, statistics)

    def graph(self) -> ModelProto:
        """What `onnx_file` holds."""
        return load_model_from_string(self.onnx_file().read_bytes())


class Family(Protocol):
    """A plug-in for backbones that are named by an argument, such as ``onnx:FILE``. One file defines it as `FAMILY`."""

    name: str
    """What stands before the colon."""
    usage: str
    """Such as ``onnx:FILE``."""
    about: str
    """What it brings, as a fragment of a sentence."""

    def open(self, argument: str, weights: Path | None) -> Backbone:
        """The backbone of that argument; raises SettingsError or ModelError."""

    def readiness(self) -> Readiness:
        """Whether what it needs is installed."""


def available() -> dict[str, Backbone]:
    """Every backbone plug-in of this package, by name."""
    return find_plugins("milliner.backbones", "BACKBONE")


def families() -> dict[str, Family]:
    """Every family of backbones, by what stands before the colon."""
    return find_plugins("milliner.backbones", "FAMILY")


def backbone(name: str, weights: str | Path | None = None) -> Backbone:
    """The backbone of that name, with the published weights or those of a file of the same network.

    Raises SettingsError with the names there are, and ModelError for what cannot be used.
    """
    from milliner.backbones.checkpoint_backbone import CheckpointBackbone

    given = None if weights is None else Path(weights).absolute()
    kind, colon, argument = name.partition(":")
    if colon and kind in families():
        return families()[kind].open(argument, given)
    found = available().get(name)
    if found is None:
        raise SettingsError(_unknown(name))
    if given is None:
        return found
    if not isinstance(found, CheckpointBackbone):
        raise SettingsError(f"{name} takes no other weights; leave them out.")
    return found.with_weights(given)


def check_name(name: str, size: int | None = None) -> None:
    """Raises SettingsError where no backbone has that name or the one that has it cannot see squares of that size.

    Of those with an argument only the kind is looked at, since nothing is opened or asked.
    """
    if name.partition(":")[0] in families() and ":" in name:
        return
    found = available().get(name)
    if found is None:
        raise SettingsError(_unknown(name))
    found.input.resize(size, name)


def _unknown(name: str) -> str:
    names = [*sorted(available()), *(family.usage for family in families().values())]
    near = difflib.get_close_matches(name, available(), n=1)
    hint = f"did you mean {near[0]!r}? There are" if near else "choose one of:"
    return f"There is no backbone {name!r}; {hint} {', '.join(names)}."


def graph_file(name: str, sha256: str) -> Path:
    """Where the graph of a backbone with those weights is remembered."""
    plain = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)[:80]
    return cache_folder() / "backbones" / f"{plain}-{sha256[:12]}-v{GRAPH_VERSION}.onnx"


def _head_file(graph: Path) -> Path:
    return graph.with_suffix(".imagenet.npz")


def imagenet_head_of(name: str, sha256: str) -> ImagenetHead | None:
    """The ImageNet classifier of weights that may be here no more: a plug-in's, or one that is remembered."""
    remembered = ImagenetHead.load(_head_file(graph_file(name, sha256)))
    if remembered is not None:
        return remembered
    found = available().get(name)
    if found is not None and found.has_imagenet_head and found.readiness().ready and found.sha256 == sha256:
        return found.imagenet_head()
    return None


def graph_of(name: str, sha256: str) -> bytes | None:
    """The ONNX file of weights that may be here no more: a plug-in's, or one that is remembered."""
    found = available().get(name)
    if found is not None and found.readiness().ready and found.sha256 == sha256:
        return found.onnx_file().read_bytes()
    remembered = graph_file(name, sha256)
    return remembered.read_bytes() if remembered.is_file() else None


def list_backbones() -> list[dict[str, Any]]:
    """What there is to choose from, sorted by name; nothing is opened or downloaded.

    `name`, `ready` (usable as this machine is now) and `how` (where it is, or what brings it here), `megabytes`,
    `parameters`, `width`, `imagenet_top1` (0 to 1), `licence`, `origin`, `sha256` of the weights (or its first 8
    digits) and `input` (`size`, `stride`, `mean` and `scale` of pixels of 0 to 255, `filter`).
    """
    rows = []
    for found in available().values():
        state = found.readiness()
        rows.append(
            {
                "name": found.name,
                "ready": state.ready,
                "how": state.how,
                "megabytes": found.megabytes,
                "parameters": found.parameters,
                "width": found.width,
                "imagenet_top1": found.imagenet_top1,
                "licence": found.licence,
                "origin": found.origin,
                "sha256": found.published,
                "input": found.input.to_json(),
            }
        )
    return rows
