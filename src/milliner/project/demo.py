"""The demo: a ready-made helmet project on real photographs, or on drawn scenes where those can't be reached."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from milliner.core.errors import SettingsError
from milliner.images.files import write_atomically
from milliner.project.create import DRAWN, new
from milliner.project.settings import SETTINGS_NAME, load_settings
from milliner.shards.lists import read_list
from milliner.sources.reachable import reachable

_LIST = "photos.csv"


@dataclass(frozen=True)
class DemoProject:
    """The demo's folder, and how it came to its pictures."""

    folder: Path
    drawn: bool
    """The photographs could not be reached, so scenes are drawn."""
    earlier: bool
    """The project was there already, and nobody was asked for photographs now."""


def prepare_demo(folder: str | Path, *, endpoint: str | None = None) -> DemoProject:
    """Makes the demo's project unless it is there.

    Args:
        folder: where; an existing project is gone on with, whatever its pictures are.
        endpoint: a mirror of the photographs.

    Raises:
        SettingsError: there is a project that was made without this endpoint.
        FetchError: the endpoint is none.
    """
    place = Path(folder)
    if (place / SETTINGS_NAME).exists():
        return _earlier(place, endpoint)
    addresses = resources.files("milliner.project").joinpath(_LIST).read_bytes()
    write_atomically(place / _LIST, addresses)
    photographs = f"urls:{place / _LIST}"
    found = reachable(photographs, endpoint)
    new(str(place), [photographs if found else DRAWN], init={"helmet": "crash helmet"}, endpoint=endpoint)
    return DemoProject(place, drawn=not found, earlier=False)


def _earlier(place: Path, endpoint: str | None) -> DemoProject:
    settings = load_settings(place / SETTINGS_NAME)
    if endpoint not in (None, settings.endpoint):
        made = f"with the endpoint {settings.endpoint}" if settings.endpoint else "without an endpoint"
        raise SettingsError(
            f"The demo in {place} was made {made}; delete the folder to make it from {endpoint}, "
            "or choose another --into."
        )
    return DemoProject(place, drawn=DRAWN in settings.sources, earlier=True)


def sample_pictures(folder: Path, each: int = 2) -> list[Path]:
    """A few pictures of every class that the model was not trained on."""
    lines = read_list(folder / "packed" / "test.lst")
    chosen: list[Path] = []
    for label in sorted({line.labels[0] for line in lines}):
        chosen += [folder / "pictures" / line.path for line in lines if line.labels[0] == label][:each]
    return chosen
