"""A folder of class folders as a split: ``<split>/<class>/<file>``, as the imagefolder of `datasets` reads it.

What such a folder cannot say is in ``<split>/.records.jsonl``, which is hidden so that nobody takes it for a picture
or for `datasets`' own metadata: a head ``{"labels": [names]}``, a line for every picture in the order of the records
(see `texts`; with `file`, `size` and `crc32`), and a foot ``{"records": count, "crc32": of all lines before}``.
"""

import json
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from milliner.core.errors import DatasetError
from milliner.images.files import held_alone, sync, sync_folder, write_atomically, write_quickly
from milliner.images.listing import RECORDS_NAME
from milliner.shards.classes import name_of
from milliner.shards.endings import ending_of
from milliner.shards.format import Format, Record
from milliner.shards.picture_folder import PictureFolder
from milliner.shards.staging import hidden, told_as
from milliner.shards.texts import describe, record_key

_PICTURE_NAME: Final = re.compile(r"[^.].*\.(jpe?g|png|webp|gif|bmp|tiff?|p[bgp]m|avif)", re.IGNORECASE | re.DOTALL)
_UNSAFE: Final = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_PLAN: Final = ".plan"
_MAX_NAME: Final = 200  # bytes; most file systems take 255


class ImageFolder:
    """The format as a plug-in."""

    name = "imagefolder"
    suffix = ""

    @contextmanager
    def writer(
        self, folder: Path, split: str, labels: Sequence[str], *, plan: str = "", shard_size: int | None = None
    ) -> Iterator["PictureFolderWriter"]:
        """Writes the folder out of sight and gives it its name at last; an earlier one goes before that.

        An earlier folder that was not written here is left alone: DatasetError.
        """
        final, place = folder / split, hidden(folder, split, self.name)
        old = place.with_suffix(".old")
        if final.exists() and not (final / RECORDS_NAME).exists() and any(final.iterdir()):
            raise DatasetError(f"{final} is there and was not written by milliner; give another folder or split.")
        with held_alone(folder / f".{split}.{self.name}.lock", final), told_as(place, final):
            writer = PictureFolderWriter(final, place, labels, plan)
            try:
                yield writer
                writer.finish()
            except Exception:
                writer.close()
                shutil.rmtree(place)
                raise
            except BaseException:
                writer.close()
                if not plan:
                    shutil.rmtree(place)
                raise
            shutil.rmtree(old, ignore_errors=True)
            if final.exists():
                final.replace(old)
            place.replace(final)
            sync_folder(folder)
            shutil.rmtree(old, ignore_errors=True)

    def open(self, files: Sequence[Path]) -> PictureFolder:
        """Opens the folder of a split by its list of records."""
        if len(files) != 1:
            raise DatasetError("An imagefolder is opened alone; give one folder.")
        return PictureFolder(files[0])


FORMAT: Final[Format] = ImageFolder()


class PictureFolderWriter:
    """Writes pictures, and a line for each."""

    def __init__(self, final: Path, place: Path, labels: Sequence[str], plan: str) -> None:
        self._final, self._place, self._labels = final, place, tuple(labels)
        self._folders: dict[str, str] = {}
        self._names: set[str] = set()
        self._crc, self.done = 0, 0
        head = json.dumps({"labels": list(labels)}, ensure_ascii=False).encode() + b"\n"
        kept = _kept_lines(place, head, plan)
        if not kept:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            write_atomically(place / _PLAN, plan.encode())
        self._list: IO[bytes] = (place / RECORDS_NAME).open("ab")
        self._list.truncate(sum(map(len, kept)))
        for line in kept:
            self._crc = zlib.crc32(line, self._crc)
        for line in kept[1:]:
            self._names.add(_folded(json.loads(line)["file"]))
        if not kept:
            self._line(head)
        self.done = self._count = max(len(kept) - 1, 0)

    @property
    def files(self) -> tuple[Path, ...]:
        """The folder."""
        return (self._final,)

    def add(self, record: Record) -> None:
        """Writes one picture into the folder of its class, then its line."""
        label = name_of(record.labels, self._labels)
        name = self._free_name(self._folder_of(label), record)
        write_quickly(str(self._place / name), record.encoded)
        facts = {"file": name, "size": len(record.encoded), "crc32": zlib.crc32(record.encoded)}
        self._line(describe(record, label, **facts) + b"\n")
        self._count += 1

    def sync(self) -> None:
        """Returns once all records are on the disk."""
        sync(self._list)

    def finish(self) -> None:
        """Writes the foot."""
        self._line(json.dumps({"records": self._count, "crc32": self._crc}).encode() + b"\n")
        self.sync()
        self.close()
        (self._place / _PLAN).unlink()

    def close(self) -> None:
        """Lets go of the list."""
        self._list.close()

    def _line(self, line: bytes) -> None:
        self._list.write(line)
        self._crc = zlib.crc32(line, self._crc)

    def _folder_of(self, label: str) -> str:
        """A class's folder: its name, or, where that cannot be a folder's, another that tells its number."""
        if label not in self._folders:
            folder = label
            if not _can_name_a_folder(label):
                folder = f"class-{self._labels.index(label)}"
                while folder in self._labels:
                    folder += "-"
            self._folders[label] = folder
        return self._folders[label]

    def _free_name(self, folder: str, record: Record) -> str:
        """Where the picture goes: the name that it had, where that will do and is free."""
        own = record_key(record).rpartition("/")[2]
        fits = _PICTURE_NAME.fullmatch(own) and not _UNSAFE.search(own) and len(own.encode()) <= _MAX_NAME
        name = own if fits else f"{self._count:09}.{ending_of(record.encoded, 'bin')}"
        while _folded(f"{folder}/{name}") in self._names:
            name = f"{self._count:09}-{name}"
        name = f"{folder}/{name}"
        self._names.add(_folded(name))
        return name


def _can_name_a_folder(label: str) -> bool:
    hidden = not label or label.startswith((".", "__")) or label != label.strip(" .")
    return not hidden and not _UNSAFE.search(label) and len(label.encode()) <= _MAX_NAME


def _folded(name: str) -> str:
    """Names that are the same on file systems that know no capitals are the same here."""
    return name.casefold()


def _kept_lines(place: Path, head: bytes, plan: str) -> list[bytes]:
    """The lines that a killed run of the same plan has left, as far as their pictures are whole."""
    path, planned = place / RECORDS_NAME, place / _PLAN
    if not plan or not path.exists() or not planned.exists() or planned.read_text() != plan:
        return []
    with path.open("rb") as file:
        lines = [line for line in file if line.endswith(b"\n")]
    if not lines or lines[0] != head:
        return []
    for count, line in enumerate(lines[1:], 1):
        found: dict[str, Any] = json.loads(line)
        if "file" not in found or not _is_whole(place / found["file"], found):
            return lines[:count]
    return lines


def _is_whole(path: Path, found: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == found["size"] and zlib.crc32(path.read_bytes()) == found["crc32"]
