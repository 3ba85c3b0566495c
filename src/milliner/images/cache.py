"""Where Milliner keeps what it can make or fetch again."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Milliner's folder in the user's cache; `MILLINER_CACHE` names another."""
    return Path(os.environ.get("MILLINER_CACHE") or platformdirs.user_cache_dir("milliner"))
