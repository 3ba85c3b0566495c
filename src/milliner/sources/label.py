"""Labels come from lists, folders and people, and become folder names."""

from typing import Final

from milliner.core.errors import FetchError
from milliner.images.ledger import LEDGER_NAME

MAX_LABEL_BYTES: Final = 200
"""In UTF-8; file systems allow 255 for a name."""


def checked_label(text: str, place: str) -> str:
    """Returns `text` if it can name a class folder; raises FetchError that names `place` if not.

    A plain visible folder name: printable, no slash of any system, no leading dot, no space at the ends. What else a
    system forbids, it says itself.
    """
    plain = text.isprintable() and not set(text) & set("/\\") and not text.startswith(".") and text == text.strip()
    plain &= not text.startswith(LEDGER_NAME)
    if not text or not plain or len(text.encode()) > MAX_LABEL_BYTES:
        raise FetchError(
            f"{place} has the label {text[:60]!r}, which cannot name a folder; use letters, digits, '-' and '_'."
        )
    return text
