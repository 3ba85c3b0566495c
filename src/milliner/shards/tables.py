"""Parquet files as a dataset: our own, and what others have put on the Hugging Face hub."""

import json
import re
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import DatasetError
from milliner.shards.format import Damage, Record
from milliner.shards.glance import undecodable
from milliner.shards.mapped import MappedFile
from milliner.shards.parts import PartsDataset, shared_names, sums_beside
from milliner.shards.staging import refuse_halfway
from milliner.shards.sums import SUFFIX
from milliner.shards.texts import known_more

_MAX_GROUP: Final = 2**31  # bytes of a row group, which is held in memory as a whole
_NUMBERED: Final = re.compile(r"(.+?)(-\d+(-of-\d+)?)?$")


class Table:
    """One Parquet file. Its row groups are compared with their checksums before they are taken apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mapped = MappedFile(path)
        self.sums, self._fault = sums_beside(path)
        self._lock = threading.Lock()
        self._held: tuple[int, list[dict[str, Any]]] = (-1, [])
        if self.sums is None:
            _ = self._file

    def __len__(self) -> int:
        return len(self.sums) if self.sums is not None else int(self._file.metadata.num_rows)

    @cached_property
    def _file(self) -> Any:
        """The opened file; its last bytes say what it holds."""
        import pyarrow
        import pyarrow.parquet

        if self.sums is not None and len(self.sums) and not self._fits(len(self.sums) - 1):
            raise self.damaged(int(self.sums.positions[-1]))
        try:
            file = pyarrow.parquet.ParquetFile(self.path, memory_map=True, page_checksum_verification=True)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise DatasetError(f"{self.path} is damaged or no Parquet file ({_short(error)}); get it anew.") from error
        _check_columns(self.path, file.schema_arrow)
        return file

    @cached_property
    def _group_ends(self) -> list[int]:
        metadata = self._file.metadata
        return list(accumulate(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)))

    @cached_property
    def features(self) -> dict[str, Any]:
        """What the file's metadata says of its columns to `datasets`; empty where it says nothing."""
        try:
            found = json.loads((self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
            features = found["info"]["features"]
        except (ValueError, RecursionError, LookupError, TypeError):
            return {}
        return features if isinstance(features, dict) else {}

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names in the order of their numbers, where the file has them."""
        if self.sums is not None:
            return self.sums.names
        names = self.features.get("label", {}).get("names") if isinstance(self.features.get("label"), dict) else None
        sound = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
        return tuple(names) if sound and names is not None and len(set(names)) == len(names) else ()

    @property
    def first_labels(self) -> NDArray[Any]:
        """The first label of every record."""
        if self.sums is not None:
            if not self.sums.sound("records"):
                raise DatasetError(f"{self.sums.path} is damaged; see `milliner shards verify {self.path}`.")
            return self.sums.labels
        column = self._read("label").combine_chunks()
        if column.null_count:
            raise DatasetError(
                f"{self.path} has pictures without a label, which no class can be told for; leave them out."
            )
        try:
            return np.asarray(column.cast("float32", safe=False).to_numpy(zero_copy_only=False))
        except (ValueError, NotImplementedError) as error:
            raise DatasetError(f"{self.path} has labels that are no numbers ({_short(error)}); use numbers.") from error

    def record(self, index: int, number: int) -> Record:
        """One row; `number` is its id where it has none."""
        group = bisect_right(self._group_ends, index)
        row = self._group(group)[index - (self._group_ends[group - 1] if group else 0)]
        image, label = row["image"], row["label"]
        if not isinstance(image, dict) or not isinstance(image.get("bytes"), bytes):
            raise DatasetError(f"{self.path} has no picture in row {index}; leave such rows out.")
        stated = row.get("id")
        identity = stated if isinstance(stated, int) and stated >= 0 else number
        listed = row.get("labels")
        labels = listed if isinstance(listed, list) and listed else [label]
        if not all(isinstance(each, int | float) for each in labels):
            raise DatasetError(f"{self.path} has the label {label!r} in row {index}, which is no number; use numbers.")
        return Record(
            identity,
            tuple(map(float, labels)),
            image["bytes"],
            image.get("path") or str(identity),
            **_more(row.get("more")),
        )

    def key(self, index: int, number: int) -> str:
        """The key of a row, whose picture is looked at only where there is no sidecar."""
        return self.sums.reliable.key(index) if self.sums is not None else self.record(index, number).key

    def find(self, key: str) -> int:
        """The place of a row by its key; raises KeyError."""
        return self.sums.find(key) if self.sums is not None else self._places[key]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {self.record(index, index).key: index for index in range(len(self) - 1, -1, -1)}

    def damage(self) -> Iterator[Damage | None]:
        """An item for every row, and more for damage around them."""
        if self._fault is not None:
            yield self._fault
        if self.sums is None:
            yield from self._unsound()
            return
        sound: dict[int, bool] = {}
        end = 0
        for index in range(len(self)):
            position, size, *_ = self.sums.row(index)
            if position not in sound:
                sound = {position: self._fits(index)}
            end = position + size
            what = "the record is among bytes that are not as they were written"
            yield None if sound[position] else Damage(self.path, position, self.sums.key(index), what)
        if len(self._mapped) != end:
            yield Damage(self.path, min(end, len(self._mapped)), "", "the file does not end as it was written")
        beside = self.path.with_suffix(SUFFIX)
        for section in self.sums.damaged():
            yield Damage(
                beside, self.sums.place_of(section), "", f"the checksums' {section} are not as they were written"
            )

    def _unsound(self) -> Iterator[Damage | None]:
        for index in range(len(self)):
            try:
                what = undecodable(self.record(index, index).encoded)
            except DatasetError as error:
                what = str(error)
            yield Damage(self.path, 0, str(index), what) if what else None

    def damaged(self, place: int) -> DatasetError:
        """The error that the row group at `place` is not as it was written."""
        return DatasetError(f"{self.path}: the records from byte {place} on are not as they were written; get it anew.")

    def _fits(self, index: int) -> bool:
        if self.sums is None:
            return True
        position, size, crc, _ = self.sums.row(index)
        self._mapped.touch(size)
        content = memoryview(self._mapped.bytes)[position : position + size]
        return len(content) == size and zlib.crc32(content) == crc

    def _group(self, group: int) -> list[dict[str, Any]]:
        """The rows of a row group; the one read last is held, as its neighbours are asked for next."""
        with self._lock:
            if self._held[0] != group:
                first = self._group_ends[group - 1] if group else 0
                if not self._fits(first):
                    raise self.damaged(int(self.sums.positions[first]) if self.sums is not None else 0)
                if self._file.metadata.row_group(group).total_byte_size > _MAX_GROUP:
                    raise DatasetError(
                        f"{self.path} has row groups over {_MAX_GROUP >> 30} GiB; write it with smaller ones."
                    )
                self._held = (group, self._read(None, group).to_pylist())
            return self._held[1]

    def _read(self, column: str | None, group: int | None = None) -> Any:
        import pyarrow

        wanted = [column] if column else [name for name in _COLUMNS if name in self._file.schema_arrow.names]
        try:
            if group is None:
                return self._file.read(wanted, use_threads=False).column(0)
            return self._file.read_row_group(group, wanted, use_threads=False)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise DatasetError(f"{self.path} is damaged ({_short(error)}); get it anew.") from error


class ParquetDataset(PartsDataset):
    """Parquet files as one dataset. Safe to read from many threads."""

    def __init__(self, files: Sequence[Path]) -> None:
        for folder, split in {(path.parent, split_of(path)) for path in files}:
            refuse_halfway(folder, split, "parquet")
        tables = [Table(path) for path in files]
        super().__init__(tables, lambda: shared_names([table.names for table in tables], files))

    def __reduce__(self) -> tuple[type["ParquetDataset"], tuple[tuple[Path, ...]]]:
        return ParquetDataset, (self.files,)


_COLUMNS: Final = ("image", "label", "id", "labels", "more")


def _check_columns(path: Path, schema: Any) -> None:
    import pyarrow.types

    found = schema.field("image").type if "image" in schema.names else None
    sound = found is not None and pyarrow.types.is_struct(found) and "bytes" in [field.name for field in found]
    if not sound or "label" not in schema.names:
        raise DatasetError(
            f"{path} has the columns {', '.join(schema.names[:20])}; needed are an image (with its bytes) and a label."
        )


def _more(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}
    return known_more(found) if isinstance(found, dict) else {}


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0].rstrip(".")[:200]


def split_of(path: Path) -> str:
    """The split that a file belongs to: its name without the numbers at its end."""
    found = _NUMBERED.fullmatch(path.stem)
    return found[1] if found else path.stem
