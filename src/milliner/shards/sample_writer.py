"""Writes samples into one tar and their checksums beside it."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from milliner.images.files import sync
from milliner.shards.classes import class_number, name_of, names_text
from milliner.shards.endings import ending_of
from milliner.shards.format import Record
from milliner.shards.samples import UNKNOWN_PICTURE
from milliner.shards.sums import FileSum, SumsWriter
from milliner.shards.tar import END, header, padding
from milliner.shards.texts import describe


def sample(record: Record, place: int, names: Sequence[str]) -> list[bytes]:
    """The bytes of a record as members of a tar; `place` names them, `names` are the classes'."""
    number = class_number(record.labels)
    members = {ending_of(record.encoded, UNKNOWN_PICTURE): record.encoded}
    if number is not None:
        members["cls"] = b"%d" % number
    members["json"] = describe(record, name_of(record.labels, names))
    return [
        piece
        for ending, content in members.items()
        for piece in (header(f"{place:09}.{ending}", len(content)), content, bytes(padding(len(content))))
    ]


class SampleWriter:
    """Appends samples to a tar."""

    def __init__(self, file: IO[bytes], names: Sequence[str]) -> None:
        """`names` are the classes', in the order of their numbers."""
        self.file, self._names = file, tuple(names)
        self.size = 0
        """Bytes so far."""
        self._sums = SumsWriter(self._names)

    @property
    def count(self) -> int:
        """Samples so far."""
        return len(self._sums)

    def add(self, pieces: Sequence[bytes | memoryview], label: float, key: str) -> None:
        """Writes one sample's bytes; `label` is its first one, `key` the record's."""
        crc, start = 0, self.size
        for piece in pieces:
            self.file.write(piece)
            crc = zlib.crc32(piece, crc)
            self.size += len(piece)
        self._sums.add(start, self.size - start, crc, label, key)

    def finish(self, sums: Path, name: str, labels_name: str) -> None:
        """Ends the tar and writes its checksums; `name` and `labels_name` are the tar's and its names' text's."""
        self.file.write(END)
        sync(self.file)
        files = [FileSum(name, self.size + len(END), None)]
        if self._names:
            text = names_text(self._names)
            files.append(FileSum(labels_name, len(text), zlib.crc32(text)))
        self._sums.write(sums, files)
