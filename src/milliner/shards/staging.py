"""How the many files of a split come into being out of sight, outlive a kill, and appear together."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from milliner.core.errors import DatasetError
from milliner.images.files import held_alone, read_at_most, sync, sync_folder, write_atomically

DEFAULT_SHARD_SIZE: Final = 256 * 2**20
"""Bytes after which a format of many files begins the next one, where nothing else is asked for."""

_PLAN, _FINISHED, _APPEARING = "plan", "finished", "appearing"
_MAX_NOTES: Final = 2**26


class Staging:
    """A hidden folder beside the files to come. Finished shards in it are the checkpoint of a run that was killed."""

    def __init__(self, folder: Path, place: Path, split: str) -> None:
        """Use `staged`."""
        self.folder, self.split, self._place = folder, split, place
        self._counts = self._read_counts()

    @property
    def done(self) -> int:
        """Records in finished shards."""
        return sum(self._counts)

    @property
    def shards(self) -> int:
        """Finished shards."""
        return len(self._counts)

    def path(self, name: str) -> Path:
        """Where a file lies until all appear."""
        return self._place / name

    def finish(self, records: int) -> None:
        """Says that the files of the next shard, which holds so many records, are on the disk."""
        sync_folder(self._place)
        with self.path(_FINISHED).open("ab") as file:
            file.write(b"%d\n" % records)
            sync(file)
        self._counts.append(records)

    def appear(self, names: Mapping[str, str], earlier: Iterable[Path]) -> None:
        """Gives files their names in the folder; `names` maps those here to those there. The earlier ones go first.

        The whole split is on the disk by then. A kill in the middle is undone by the next run, and seen by readers.
        """
        write_atomically(self.path(_APPEARING), json.dumps(dict(names)).encode())
        for path in earlier:
            path.unlink(missing_ok=True)
        for here, there in names.items():
            self.path(here).replace(self.folder / there)
        sync_folder(self.folder)

    def _read_counts(self) -> list[int]:
        path = self.path(_FINISHED)
        if not path.exists():
            return []
        content = read_at_most(path, _MAX_NOTES)
        return [int(line) for line in content[: content.rfind(b"\n") + 1].split()]  # the last one may be torn


def hidden(folder: Path, split: str, kind: str) -> Path:
    """Where the files of a split are until they appear."""
    return folder / f".{split}.{kind}.part"


def refuse_halfway(folder: Path, split: str, kind: str) -> None:
    """Raises DatasetError where a run was killed while the files of a split were appearing."""
    if (hidden(folder, split, kind) / _APPEARING).exists():
        raise DatasetError(
            f"{folder / split} was being put in place when that was broken off; run the command that wrote it again."
        )


@contextmanager
def staged(folder: Path, split: str, kind: str, plan: str, settings: Sequence[object]) -> Iterator[Staging]:
    """Holds the split for this process and gives it a hidden folder, with what a run of the same plan has left there.

    What fails takes the folder with it; what is interrupted or killed leaves it, where there is a plan.

    Args:
        folder: made where it is missing.
        split: the split's name.
        kind: the format's name.
        plan: a digest of what is to be written; empty: always begin anew.
        settings: of the writer; another run's shards are kept only where these are the same, too.

    Raises:
        MillinerError: another process writes the same split.
    """
    place, shown = hidden(folder, split, kind), folder / split
    with held_alone(folder / f".{split}.{kind}.lock", shown), told_as(place, folder):
        _begin(folder, place, hashlib.sha256(json.dumps([plan, *settings]).encode()).hexdigest() if plan else "")
        try:
            yield Staging(folder, place, split)
        except Exception:
            shutil.rmtree(place)
            raise
        except BaseException:
            if not plan:
                shutil.rmtree(place)
            raise
        shutil.rmtree(place)


def _begin(folder: Path, place: Path, plan: str) -> None:
    if place.exists():
        _undo_appearing(folder, place)
        kept = plan and (place / _PLAN).exists() and read_at_most(place / _PLAN, _MAX_NOTES) == plan.encode()
        if kept:
            return
        shutil.rmtree(place)
    place.mkdir(parents=True)
    write_atomically(place / _PLAN, plan.encode())


def _undo_appearing(folder: Path, place: Path) -> None:
    path = place / _APPEARING
    if path.exists():
        for here, there in json.loads(read_at_most(path, _MAX_NOTES)).items():
            if not (place / here).exists():
                (folder / there).replace(place / here)
        path.unlink()


@contextmanager
def told_as(place: Path, shown: Path) -> Iterator[None]:
    """Lets the system's errors name what the user will know: `shown`, or the file in it that is to be."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(shown)
        elif Path(error.filename).is_relative_to(place):
            error.filename = str(shown / Path(error.filename).relative_to(place))
        raise
