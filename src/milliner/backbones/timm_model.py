"""``timm:NAME``: a network of PyTorch Image Models, exported to ONNX once; torch is then needed no more.

Its published weights are fetched by timm where they can be, or given as a checkpoint (``.pth`` or ``.safetensors``).
The mean, deviation and size that timm knows for the network are obeyed.
"""

import difflib
import hashlib
import io
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from milliner.backbones.adapt import Adapted, Hints, adapt
from milliner.backbones.backbone import Backbone, Readiness, Reference
from milliner.backbones.checkpoint import MAX_BYTES, read_checkpoint
from milliner.backbones.foreign import Source, remember, remembered
from milliner.backbones.graph import OPSET
from milliner.core.errors import DatasetError, ModelError, SettingsError
from milliner.images.files import read_at_most

_NEEDS: Final = "pip install 'milliner[torch]'"
_TIMEOUT: Final = 30.0


class TimmModel:
    """Opens a network by timm's name for it."""

    name = "timm"
    usage = "timm:NAME"
    about = "a network of PyTorch Image Models"

    def open(self, argument: str, weights: Path | None) -> Backbone:
        """What was exported before, or a new export; raises ModelError or SettingsError."""
        given = None if weights is None else _digest(weights)
        key = f"timm:{argument} {given or 'published'}"
        reference = Reference(f"timm:{argument}", None if weights is None else str(weights))
        return remembered(key, reference) or _exported(key, argument, weights, given, reference)

    def readiness(self) -> Readiness:
        """Needs timm and torch."""
        if find_spec("timm") is None or find_spec("torch") is None:
            return Readiness(False, _NEEDS)
        return Readiness(True, "weights are downloaded when first used, or given")


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_at_most(path, MAX_BYTES)).hexdigest()
    except DatasetError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"The weights at {path} cannot be read ({error.strerror}); check the path.") from error


def _exported(key: str, name: str, weights: Path | None, given: str | None, reference: Reference) -> Backbone:
    timm = _library()
    model = _model(timm, name, pretrained=weights is None)
    if weights is not None:
        _load(model, name, weights)
    known = timm.data.resolve_model_data_config(model)
    config: Mapping[str, Any] = getattr(model, "pretrained_cfg", {}) or {}
    repository = config.get("hf_hub_id")
    origin = f"https://huggingface.co/{repository}" if repository else str(config.get("url") or "timm")
    source = Source(
        f"timm:{name}",
        given or _of_tensors(model),
        str(config.get("license") or "not stated") if weights is None else "that of the given weights",
        origin if weights is None else "given",
    )

    def adapted() -> Adapted:
        try:
            return adapt(_as_onnx(model, known["input_size"]), _hints(known))
        except ModelError as error:
            raise ModelError(f"timm:{name} cannot be a backbone: {str(error).rstrip('.')}.") from error

    return remember(key, source, adapted, reference)


def _library() -> Any:
    try:
        import timm
        import timm.data
        import torch  # noqa: F401
    except ImportError as error:
        raise SettingsError(f"timm: needs torch and timm; run: {_NEEDS}") from error
    except (RuntimeError, OSError) as error:  # a torchvision that was built for another torch
        raise SettingsError(f"timm cannot be imported ({error}); install torch and torchvision that match.") from error
    return timm


def _model(timm: Any, name: str, *, pretrained: bool) -> Any:
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`timm.list_models()` names those there are."
        raise SettingsError(f"timm has no network {name!r}; {hint}")
    try:
        if pretrained:
            _ask_for(timm.get_pretrained_cfg(name))
        return timm.create_model(name, pretrained=pretrained, num_classes=0).eval()
    except Exception as error:  # whatever its downloads raise
        why = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ModelError(
            f"The weights of timm:{name} cannot be had ({why}); check the network and the name, or give a checkpoint "
            "by --weights."
        ) from error


def _ask_for(config: Any) -> None:
    """Fails at once where the hub has not the weights or cannot be reached: timm would try for a minute."""
    from huggingface_hub import HfApi

    repository = getattr(config, "hf_hub_id", None)
    if repository is not None:
        HfApi().model_info(repository, timeout=_TIMEOUT)


def _load(model: Any, name: str, path: Path) -> None:
    """Puts a checkpoint's tensors in the network; the classifier's may be there and are left out."""
    import torch

    tensors = _tensors(path)
    classifier = (getattr(model, "pretrained_cfg", {}) or {}).get("classifier") or "head"
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    body = {key: value for key, value in tensors.items() if not key.startswith(tuple(f"{head}." for head in heads))}
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in body.items()}
    wrong = sorted(key for key in wanted.keys() | body.keys() if wanted.get(key) != found.get(key))
    if wrong:
        raise ModelError(
            f"{path} does not hold the weights of timm:{name}: {_difference(wrong[0], wanted, found)}; "
            "name the network that it belongs to."
        )
    model.load_state_dict({key: torch.as_tensor(np.array(value)) for key, value in body.items()})


def _tensors(path: Path) -> Mapping[str, Any]:
    if path.suffix != ".safetensors":
        return read_checkpoint(path)
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(read_at_most(path, MAX_BYTES)))
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is damaged or not a safetensors file; download it again.") from error


def _difference(name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if name not in found:
        return f"it has no {name}"
    if name not in wanted:
        return f"its {name} is of another"
    return f"its {name} is {list(found[name])}, not {list(wanted[name])}"


def _of_tensors(model: Any) -> str:
    """SHA-256 over the names and values of the network's tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {list(value.shape)} {value.dtype}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _as_onnx(model: Any, shape: tuple[int, int, int]) -> bytes:
    """The network up to its features, by torch's exporter that needs no other package."""
    import torch

    class FeaturesAlone(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def forward(self, pictures: Any) -> Any:
            return self.network.forward_features(pictures)

    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that it is the older exporter, and what tracing fixes, which is looked into
        try:
            torch.onnx.export(
                FeaturesAlone().eval(),
                torch.zeros(2, *shape),
                buffer,
                opset_version=OPSET,
                dynamo=False,
                input_names=["pictures"],
                output_names=["map"],
                dynamic_axes={"pictures": {0: "n", 2: "height", 3: "width"}, "map": {0: "n"}},
            )
        except Exception as error:
            raise ModelError(f"torch cannot export it ({str(error).strip().splitlines()[0][:200]})") from error
    return buffer.getvalue()


def _hints(known: Mapping[str, Any]) -> Hints:
    red, green, blue = (float(value) * 255 for value in known["mean"])
    scales = [float(value) * 255 for value in known["std"]]
    return Hints(
        (red, green, blue),
        (scales[0], scales[1], scales[2]),
        int(known["input_size"][1]),
        "bicubic" if known.get("interpolation") == "bicubic" else "bilinear",
    )


FAMILY = TimmModel()
