"""Names the records of a damaged file that has no checksums, as far as its index and its list can."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.shards.format import Damage
from milliner.shards.mapped import MappedFile
from milliner.shards.records.framing import BrokenRecordError, read
from milliner.shards.records.index import PathList, TextIndex
from milliner.shards.records.scan import Stretch


class Listing:
    """What the index says about where records are; nothing without an index, or with one that cannot be read."""

    def __init__(self, path: Path, file: MappedFile) -> None:
        self._path, self._file = path, file
        self.error = ""
        """Why the index cannot be used, where there is one that cannot."""
        self._index: TextIndex | None = None
        self._positions: NDArray[np.int64] = np.empty(0, np.int64)
        index = path.with_suffix(".idx")
        try:
            if index.exists():
                found = TextIndex(index, path, len(file))
                self._positions, self._index = found.positions(), found
        except DatasetError as error:
            self.error = str(error)
        self._order = np.argsort(self._positions, kind="stable")
        self._positions = self._positions[self._order]
        self._paths = sound_list(path)

    def lost(self, stretch: Stretch) -> list[Damage]:
        """The records of a damaged stretch, or the stretch itself where nothing tells which are in it."""
        places = range(*np.searchsorted(self._positions, [stretch.start, stretch.end]).tolist())
        if len(places) > 1:
            return [self._listed(place, stretch.what) for place in places]
        name = self._name(places[0]) if places else self.name_at(stretch.start)
        return [Damage(self._path, stretch.place, name, stretch.what)]

    def behind_the_end(self) -> Iterator[Damage]:
        """The records that the file ends before."""
        for place in range(int(np.searchsorted(self._positions, len(self._file))), len(self._positions)):
            yield self._listed(place, "the file ends before it")

    def misfits(self, starts: Sequence[int], lost: Sequence[Stretch]) -> Iterator[Damage]:
        """Where the index has records and there is none, and which of those that begin at `starts` it leaves out."""
        if self._index is None:
            return
        index, found = self._path.with_suffix(".idx"), np.asarray(starts, np.int64)
        begins = np.array([-1, *(stretch.start for stretch in lost)])
        ends = np.array([0, *(stretch.end for stretch in lost)])
        is_lost = self._positions < ends[np.searchsorted(begins, self._positions, side="right") - 1]
        known = np.isin(self._positions, found) | is_lost | (self._positions >= len(self._file))
        for place in np.flatnonzero(~known).tolist():
            what = f"no record begins at {self._positions[place]}, as it says"
            yield Damage(index, 0, self._name(place), what)
        for position in found[~np.isin(found, self._positions)].tolist():
            yield Damage(index, 0, self.name_at(position), f"the record at {position} is not in it")

    def name_at(self, position: int) -> str:
        """The key of the record that begins there by its own id; empty where it does not tell."""
        try:
            return self.key_of(read(self._file.bytes, position).id)
        except BrokenRecordError:
            return ""

    def key_of(self, identity: int, place: int = 0) -> str:
        """The path of an id, or the id where there is no sound list; `place` is the line where it may be."""
        return self._paths.path_of(identity, place) if self._paths else str(identity)

    def _listed(self, place: int, what: str) -> Damage:
        return Damage(self._path, int(self._positions[place]), self._name(place), what)

    def _name(self, place: int) -> str:
        if self._index is None:
            return ""
        identity = self._index.identity(int(self._order[place]))
        return self.key_of(int(identity)) if identity.isascii() and identity.isdigit() else identity


def sound_list(path: Path) -> PathList | None:
    """The list beside a record file, where there is one that holds together."""
    if not path.with_suffix(".lst").exists():
        return None
    try:
        paths = PathList(path.with_suffix(".lst"))
        paths.check()
    except DatasetError:
        return None
    return paths
