"""What computes the stages over many pictures: this machine's cores, or several machines."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from milliner.core.errors import SettingsError
from milliner.core.parallel import Spread, ordered_map

ENGINES: Final = ("local", "ray")


@contextmanager
def engine(name: str) -> Iterator[Spread]:
    """The engine of a name, for as long as it is needed; raises SettingsError where there is none."""
    if name != "local":
        raise SettingsError(f"There is no engine {name!r}; give one of {', '.join(ENGINES)}.")
    yield ordered_map
