"""Where everything lies in a project folder."""

from dataclasses import dataclass
from pathlib import Path

from milliner.project.settings import SETTINGS_NAME, Settings, load_settings


@dataclass(frozen=True)
class Project:
    """An open project: its folder and its settings."""

    folder: Path
    settings: Settings

    @classmethod
    def open(cls, folder: str | Path) -> "Project":
        """Reads the settings; raises SettingsError."""
        place = Path(folder)
        return cls(place, load_settings(place / SETTINGS_NAME))

    @property
    def pictures(self) -> Path:
        """``pictures/<class>/<file>``, with their ledger."""
        return self.folder / "pictures"

    @property
    def packed(self) -> Path:
        """``packed/<split>.rec``."""
        return self.folder / "packed"

    @property
    def model(self) -> Path:
        """``models/<name>.onnx``."""
        return self.folder / "models" / f"{self.settings.name}.onnx"

    @property
    def report(self) -> Path:
        """``reports/<name>.html``; the figures lie beside it as ``.json``."""
        return self.folder / "reports" / f"{self.settings.name}.html"

    @property
    def memory(self) -> Path:
        """``.milliner``: the embedding cache and the state of the stages; may be deleted at any time."""
        return self.folder / ".milliner"
