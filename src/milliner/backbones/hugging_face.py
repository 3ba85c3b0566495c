"""``hf:REPO``: an ONNX file of a repository of the Hugging Face hub, such as ``hf:onnx-community/dinov2-small``.

``hf:OWNER/NAME@REVISION:FILE`` names a revision and a file; without them the newest revision is taken the first time
and kept from then on, and ``onnx/model.onnx`` of it. The hub's own cache, login and ``HF_ENDPOINT`` are obeyed.
"""

import hashlib
import json
import os
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from milliner.backbones.adapt import Adapted, Hints, adapt
from milliner.backbones.backbone import Backbone, Readiness, Reference
from milliner.backbones.foreign import Source, remember, remembered
from milliner.backbones.network import MAX_BYTES
from milliner.backbones.preprocessing import CONFIG_NAME, read_preprocessing
from milliner.core.errors import DatasetError, ModelError, SettingsError
from milliner.images.files import read_at_most

_NEEDS: Final = "pip install 'milliner[hf]'"
_USUAL: Final = ("onnx/model.onnx", "model.onnx")
_CONFIG: Final = "config.json"
_MAX_CONFIG: Final = 2**20
_TIMEOUT: Final = 30.0


@dataclass(frozen=True)
class Wanted:
    """What the name asks for."""

    repository: str
    revision: str | None
    file: str | None

    @classmethod
    def of(cls, argument: str) -> "Wanted":
        """Reads ``OWNER/NAME@REVISION:FILE``; raises SettingsError."""
        match = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?(?::([\w./ -]+\.onnx))?", argument)
        if match is None:
            raise SettingsError(
                f"{argument!r} names no repository of the Hugging Face hub; write hf:OWNER/NAME, "
                "hf:OWNER/NAME@REVISION or hf:OWNER/NAME:FILE.onnx."
            )
        return cls(match[1], match[2], match[3])


class HuggingFace:
    """Opens a repository."""

    name = "hf"
    usage = "hf:REPO"
    about = "an ONNX network of the Hugging Face hub"

    def open(self, argument: str, weights: Path | None) -> Backbone:
        """What was fetched before, or what the hub has; raises ModelError or SettingsError."""
        wanted = Wanted.of(argument)
        if weights is not None:
            raise SettingsError(f"hf:{argument} holds its own weights; leave --weights out.")
        key, reference = f"hf:{_endpoint()} {argument}", Reference(f"hf:{argument}")
        return remembered(key, reference) or _fetched(key, wanted, reference)

    def readiness(self) -> Readiness:
        """Needs the hub's client."""
        if find_spec("huggingface_hub") is None:
            return Readiness(False, _NEEDS)
        return Readiness(True, "downloaded when first used")


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _fetched(key: str, wanted: Wanted, reference: Reference) -> Backbone:
    hub = _client()
    info = _asked(
        wanted,
        lambda: hub.HfApi(endpoint=_endpoint()).model_info(
            wanted.repository, revision=wanted.revision, files_metadata=True, timeout=_TIMEOUT
        ),
    )
    files = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    chosen = _chosen(wanted, files)

    def download(name: str) -> Path:
        place = _asked(
            wanted, lambda: hub.hf_hub_download(wanted.repository, name, revision=info.sha, endpoint=_endpoint())
        )
        return Path(place)

    try:
        content = read_at_most(download(chosen), MAX_BYTES)
    except (OSError, DatasetError) as error:
        raise ModelError(
            f"{chosen} of {wanted.repository} cannot be read ({error}); free space and try again."
        ) from error
    sha256 = hashlib.sha256(content).hexdigest()
    if (promised := _promised(files[chosen])) not in (None, sha256):
        raise ModelError(
            f"{chosen} of {wanted.repository} came damaged (sha256 {sha256[:12]}..., promised {promised[:12]}...); "
            "delete it from the hub's cache and try again."
        )
    small = {
        name: download(name)
        for name in (CONFIG_NAME, _CONFIG)
        if (getattr(files.get(name), "size", None) or 0) in range(1, _MAX_CONFIG)
    }
    hints = _hints(small.get(CONFIG_NAME), small.get(_CONFIG))
    source = Source(f"hf:{wanted.repository}@{info.sha}", sha256, _licence(info), f"{_endpoint()}/{wanted.repository}")

    def adapted() -> Adapted:
        try:
            return adapt(content, hints)
        except ModelError as error:
            raise ModelError(
                f"{chosen} of {wanted.repository} cannot be a backbone: {str(error).rstrip('.')}."
            ) from error

    return remember(key, source, adapted, reference)


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise SettingsError(f"hf: needs the Hugging Face hub's client; run: {_NEEDS}") from error
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    return huggingface_hub


def _asked(wanted: Wanted, ask: Any) -> Any:
    """The hub's answer; its client's errors, which differ from version to version, as one sentence."""
    try:
        return ask()
    except Exception as error:
        name = f"hf:{wanted.repository}"
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403, 404):
            raise ModelError(
                f"The hub at {_endpoint()} has no {name}{f' at {wanted.revision}' if wanted.revision else ''} for "
                "everybody; check the name, or log in with `hf auth login`."
            ) from error
        why = f"it answers {status}" if status else _why(error)
        raise ModelError(
            f"{name} cannot be fetched from {_endpoint()} ({why}); check the network, or name a mirror in HF_ENDPOINT."
        ) from error


def _why(error: Exception) -> str:
    kind = type(error).__name__
    if any(word in kind for word in ("Connect", "Timeout", "Offline", "LocalEntryNotFound")):
        return "no connection"
    return f"{kind}: {str(error).strip().splitlines()[0][:150]}" if str(error).strip() else kind


def _chosen(wanted: Wanted, files: dict[str, Any]) -> str:
    """The ONNX file to take; raises ModelError."""
    networks = sorted(name for name in files if name.endswith(".onnx"))
    usual = [name for name in _USUAL if name in files]
    choice = wanted.file or (usual or networks or [""])[0]
    if choice not in files:
        there = (
            f"it has {', '.join(networks[:5])}" if networks else "it has none; look for one that was exported to ONNX"
        )
        raise ModelError(f"hf:{wanted.repository} has no ONNX file {choice}: {there}.".replace("  ", " "))
    if not wanted.file and not usual and len(networks) > 1:
        raise ModelError(f"hf:{wanted.repository} has {len(networks)} ONNX files; add one, such as :{networks[0]}.")
    if any(name.startswith(choice) and name != choice for name in files):
        raise ModelError(
            f"The weights of {choice} in hf:{wanted.repository} are in another file; name a smaller network of it."
        )
    if (files[choice].size or 0) > MAX_BYTES:
        raise ModelError(f"{choice} of hf:{wanted.repository} is over {MAX_BYTES >> 20} MiB; choose a smaller network.")
    return choice


def _promised(sibling: Any) -> str | None:
    """The SHA-256 that the hub tells of a large file."""
    lfs = getattr(sibling, "lfs", None)
    found = lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)
    return found if isinstance(found, str) else None


def _hints(preprocessor: Path | None, config: Path | None) -> Hints:
    """How pictures are made, and the tokens before the patches' where the network has registers."""
    prefix = None
    if config is not None:
        try:
            document = json.loads(read_at_most(config, _MAX_CONFIG))
        except (OSError, ValueError, DatasetError, RecursionError) as error:
            raise ModelError(f"{config} says nothing usable ({error}); delete it and try again.") from error
        registers = document.get("num_register_tokens") if isinstance(document, dict) else None
        prefix = 1 + registers if isinstance(registers, int) else None
    return Hints(prefix=prefix) if preprocessor is None else read_preprocessing(preprocessor, prefix)


def _licence(info: Any) -> str:
    card = getattr(info, "card_data", None)
    found = getattr(card, "license", None)
    return str(found)[:80] if found else "not stated"


FAMILY = HuggingFace()
