"""`folder:PATH`: pictures that lie in a folder of this machine, in class folders or, with a label, loose."""

import os
from functools import partial
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError, FetchError
from milliner.images.folder import list_entries, read_bounded
from milliner.images.ledger import LEDGER_NAME
from milliner.sources.label import checked_label
from milliner.sources.source import Listing, Options, Wanted


class _Folder:
    name: Final = "folder"
    usage: Final = "folder:PATH (class folders, or with --label a folder of pictures of one class)"

    def open(self, argument: str, options: Options) -> Listing:
        root = Path(os.path.realpath(options.base / Path(argument).expanduser()))
        if Path(os.path.realpath(options.into)).is_relative_to(root):
            raise FetchError(f"{options.into} lies in {root}, from which it would be filled; give another --into.")
        files = _labelled(root, options.label)
        labels = {label for _, label in files}
        return Listing(
            (_wanted(path, label) for path, label in files), len(files), labels.pop() if len(labels) == 1 else None
        )


SOURCE: Final = _Folder()


def _labelled(root: Path, label: str | None) -> list[tuple[Path, str]]:
    loose = _loose_files(root)
    if loose and label is not None:
        return [(path, label) for path in loose]
    try:
        return [(entry.path, checked_label(entry.label, f"A class folder of {root}")) for entry in list_entries(root)]
    except DatasetError as error:
        if loose:
            raise FetchError(
                f"{root} has pictures but no class folders; pass --label to say what they show."
            ) from error
        raise FetchError(str(error)) from error


def _loose_files(root: Path) -> list[Path]:
    """Visible files right in the folder, but for the ledger that a labelled folder may have there."""
    if not root.is_dir():
        return []
    try:
        return sorted(
            path for path in root.iterdir() if path.is_file() and not path.name.startswith((".", LEDGER_NAME))
        )
    except OSError as error:
        raise FetchError(f"{root} cannot be listed ({error.strerror}); check its rights.") from error


def _wanted(path: Path, label: str) -> Wanted:
    try:
        size = path.stat().st_size
    except OSError:  # a link to nowhere: its row will say so
        size = None
    return Wanted(path.as_uri(), label, size=size, read=partial(read_bounded, path))
