"""The number that decides all chance."""

from milliner.core.errors import SettingsError


def check_seed(seed: int) -> None:
    """Raises SettingsError for a seed that no random generator takes."""
    if seed < 0:
        raise SettingsError(f"The seed must be 0 or more, not {seed}; give a whole number such as 0.")
