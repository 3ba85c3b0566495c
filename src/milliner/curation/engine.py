"""What computes the stages over many pictures: this machine's cores, or several machines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from milliner.core.errors import SettingsError
from milliner.core.parallel import Spread, ordered_map

ENGINES: Final = ("local", "ray")


@contextmanager
def engine(name: str, reads: Sequence[Path] = ()) -> Iterator[Spread]:
    """The engine of a name, for as long as it is needed.

    Args:
        name: ``local`` for this machine's cores; ``ray`` for the cluster that RAY_ADDRESS names, or without one for a
            Ray that is started on this machine and stopped again.
        reads: folders and files that the work reads; every machine of a cluster must see them under the same path.

    Raises:
        SettingsError: there is no such engine, or its package is not installed.
        MillinerError: a cluster cannot be reached, or one of its machines lacks Milliner or what it is to read.
    """
    if name == "local":
        yield ordered_map
    elif name == "ray":
        from milliner.curation.cluster import cluster

        with cluster(reads) as spread:
            yield spread
    else:
        raise SettingsError(f"There is no engine {name!r}; give one of {', '.join(ENGINES)}.")
