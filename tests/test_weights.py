"""Published weights that are downloaded: whole, checked, once, and one sentence where they do not come."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from picture_server import Answer, PictureServer, cut_short, endless, hang_up, picture, redirect, status
from torch_vision import network

from milliner.backbones.backbone import available
from milliner.backbones.checkpoint_backbone import DownloadedBackbone
from milliner.backbones.download import MIRROR, PUBLISHED_AT
from milliner.backbones.squeezenet1_1 import SqueezeNet11
from milliner.core.errors import ModelError
from milliner.core.progress import Advance


def _checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save(network("squeezenet1_1").state_dict(), buffer)
    return buffer.getvalue()


CONTENT = _checkpoint()
NAME = f"squeezenet1_1-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Published(SqueezeNet11):
    """SqueezeNet 1.1 as if these random weights were the published ones."""

    file = NAME


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLINER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[PictureServer]:
    with PictureServer() as server:
        monkeypatch.setenv(MIRROR, f"{server.url}/models/")
        yield server


class Watched:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.megabytes = 0
        self.notes: set[str] = set()

    @contextmanager
    def __call__(self, task: str, total: int | None) -> Iterator[Advance]:
        self.tasks.append(task)

        def advance(count: int = 1, note: str = "") -> None:
            self.megabytes += count
            self.notes.add(note)

        yield advance


def test_weights_are_downloaded_once_and_with_progress(mirror: PictureServer, fresh_cache: Path) -> None:
    mirror.serve(f"/models/{NAME}", picture(CONTENT))
    net, watched = Published(), Watched()
    assert net.readiness() == type(net.readiness())(False, "downloaded when used")
    graph = net.prepare(watched)
    assert graph.is_file()
    assert watched.tasks == ["download squeezenet1_1"]
    assert watched.megabytes == len(CONTENT) >> 20
    assert watched.notes == {f"of {len(CONTENT) / 1e6:.0f} MB"}
    assert (fresh_cache / "weights" / NAME).read_bytes() == CONTENT
    assert (Published().readiness().ready, Published().readiness().how) == (True, "downloaded")
    assert Published().prepare(watched) == graph
    assert Published().sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (mirror.requests.total(), len(watched.tasks)) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (picture(CONTENT[:-1] + b"x"), "are not the published weights"),
        (picture(b"<html>Log in</html>"), "are not the published weights"),
        (cut_short(CONTENT), "cannot be downloaded"),
        (status(404), "it answers 404"),
        (status(503), "it answers 503"),
        (hang_up, "no connection"),
        (redirect("ftp://127.0.0.1/x"), "it sends elsewhere, to ftp"),
    ],
    ids=["changed", "a page", "cut short", "missing", "busy", "hung up", "elsewhere"],
)
def test_what_does_not_come_whole_is_not_kept(
    mirror: PictureServer, fresh_cache: Path, answer: Answer, said: str
) -> None:
    mirror.serve(f"/models/{NAME}", answer)
    with pytest.raises(ModelError, match=said) as raised:
        Published().prepare()
    assert str(raised.value).endswith(".")
    assert not [path for path in fresh_cache.rglob("*") if path.is_file()]


def test_a_download_that_does_not_end_is_ended(
    mirror: PictureServer, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milliner.backbones.download.MAX_MEGABYTES", 3)
    mirror.serve(f"/models/{NAME}", endless(CONTENT))
    with pytest.raises(ModelError, match="it is over 3 MB"):
        Published().prepare()
    assert not [path for path in fresh_cache.rglob("*") if path.is_file()]


def test_without_a_network_the_remedies_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with PictureServer() as server:
        address = server.url
    monkeypatch.setenv(MIRROR, address)  # where nobody listens any more
    with pytest.raises(ModelError, match=f"no connection.*check the network.*--weights.*{MIRROR}"):
        Published().prepare()
    monkeypatch.setenv(MIRROR, "not an address")
    with pytest.raises(ModelError, match="is no address"):
        Published().prepare()


def test_a_file_that_was_changed_in_the_cache_is_refused(mirror: PictureServer, fresh_cache: Path) -> None:
    mirror.serve(f"/models/{NAME}", picture(CONTENT))
    Published().weights_file()
    (fresh_cache / "weights" / NAME).write_bytes(CONTENT + b"\0")
    with pytest.raises(ModelError, match=r"not the published ones .*; delete the file"):
        Published().checked_weights_file()


def test_addresses_are_torchvisions() -> None:
    from torch_vision import torchvision

    models = torchvision.models
    weights = {
        "squeezenet1_0": models.SqueezeNet1_0_Weights.IMAGENET1K_V1,
        "squeezenet1_1": models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
        "mobilenet_v3_large": models.MobileNet_V3_Large_Weights.IMAGENET1K_V2,
        "mobilenet_v3_small": models.MobileNet_V3_Small_Weights.IMAGENET1K_V1,
    }
    for name, theirs in weights.items():
        ours = available()[name]
        assert isinstance(ours, DownloadedBackbone)
        assert (f"{PUBLISHED_AT}/{ours.file}", ours.origin) == (theirs.url, theirs.url)
        assert ours.parameters == theirs.meta["num_params"]
        assert ours.imagenet_top1 == pytest.approx(theirs.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100)
