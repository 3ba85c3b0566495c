"""Parquet as the Hugging Face hub keeps datasets: ``<split>-00000-of-00002.parquet``, each with its ``.sums``.

Columns: ``image`` (struct of ``bytes`` and ``path``, which is the record's key), ``label`` (int64, none where the first
label is no class number), and, so that nothing is lost, ``id`` (uint64), ``labels`` (list of doubles) and ``more``
(JSON of what few records have). The schema's metadata tells `datasets` which columns are an Image and a ClassLabel.
A sidecar's entry has the place of the row group that its record is in; those of the first and the last one reach to
the file's ends, so that every byte is in one. Sources: the Parquet format's specification; ``datasets.features``.
"""

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from milliner.core.errors import MillinerError
from milliner.images.files import sync
from milliner.shards.classes import class_number
from milliner.shards.format import Format, Record
from milliner.shards.mapped import MappedFile
from milliner.shards.staging import DEFAULT_SHARD_SIZE, Staging, staged
from milliner.shards.sums import SUFFIX, SumsWriter
from milliner.shards.tables import ParquetDataset
from milliner.shards.texts import more_of, record_key

_GROUP_BYTES: Final = 2**20  # of pictures in a row group, which is read as a whole
_GROUP_ROWS: Final = 1024
_ROW_BYTES: Final = 64  # that a row takes besides its picture, about


class Parquet:
    """The format as a plug-in."""

    name = "parquet"
    suffix = ".parquet"

    @contextmanager
    def writer(
        self, folder: Path, split: str, labels: Sequence[str], *, plan: str = "", shard_size: int | None = None
    ) -> Iterator["ParquetWriter"]:
        """Writes files of about `shard_size` bytes of pictures; all files of the split appear together."""
        size = shard_size or DEFAULT_SHARD_SIZE
        arrow = pyarrow()
        with staged(folder, split, self.name, plan, (list(labels), size, arrow.__version__)) as staging:
            writer = ParquetWriter(staging, labels, size)
            try:
                yield writer
                writer.finish()
            finally:
                writer.close()
            staging.appear(writer.names, earlier=_files_of(folder, split))

    def open(self, files: Sequence[Path]) -> ParquetDataset:
        """Opens the files of a split as one dataset, in the order that they are given in."""
        pyarrow()
        return ParquetDataset(files)


FORMAT: Final[Format] = Parquet()


def pyarrow() -> Any:
    """The package; raises MillinerError where it is not installed."""
    try:
        import pyarrow as package
    except ImportError as error:
        raise MillinerError(
            "Parquet files need the package pyarrow; install it with `pip install 'milliner[parquet]'`."
        ) from error
    return package


class ParquetWriter:
    """Collects records, and writes row groups."""

    def __init__(self, staging: Staging, labels: Sequence[str], shard_size: int) -> None:
        self._staging, self._labels, self._shard_size = staging, tuple(labels), shard_size
        self._schema = _schema(self._labels)
        self._table: Any = None
        self._group: list[Record] = []
        self._bytes = self._group_bytes = 0
        self._rows: list[tuple[float, str]] = []
        self.done = staging.done

    @property
    def files(self) -> tuple[Path, ...]:
        """The Parquet files; known once all is written, since their names hold their number."""
        return tuple(self._staging.folder / name for name in self._final_names())

    @property
    def names(self) -> dict[str, str]:
        """The hidden name of every file and the one it gets."""
        tables = {_hidden_name(number): name for number, name in enumerate(self._final_names())}
        return {_beside(here): _beside(there) for here, there in tables.items()} | tables

    def add(self, record: Record) -> None:
        """Takes one record."""
        size = len(record.encoded) + _ROW_BYTES
        if self._bytes and self._bytes + size > self._shard_size:
            self._finish_shard()
        self._group.append(record)
        self._bytes += size
        self._group_bytes += size
        if self._group_bytes >= _GROUP_BYTES or len(self._group) == _GROUP_ROWS:
            self._write_group()

    def sync(self) -> None:
        """Returns once all whole files are on the disk; the last one comes at the end, as its last lines are needed."""

    def finish(self) -> None:
        """Ends the last file; a split without records is an empty one."""
        if self._group or self._table or not self._staging.shards:
            self._finish_shard()

    def close(self) -> None:
        """Lets go of the file that is being written."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def _final_names(self) -> list[str]:
        count = self._staging.shards
        return [f"{self._staging.split}-{number:05}-of-{count:05}.parquet" for number in range(count)]

    def _write_group(self) -> None:
        import pyarrow.parquet

        if self._table is None:
            path = self._staging.path(_hidden_name(self._staging.shards))
            self._table = pyarrow.parquet.ParquetWriter(
                path, self._schema, compression="none", use_dictionary=False, write_page_checksum=True
            )
            self._rows = []
        columns = [
            [{"bytes": record.encoded, "path": record_key(record)} for record in self._group],
            [class_number(record.labels) for record in self._group],
            [record.id for record in self._group],
            [record.labels for record in self._group],
            [json.dumps(more) if (more := more_of(record)) else None for record in self._group],
        ]
        arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._table.write_table(pyarrow.table(arrays, schema=self._schema), row_group_size=_GROUP_ROWS)
        self._rows += [(record.labels[0], record_key(record)) for record in self._group]
        self._group, self._group_bytes = [], 0

    def _finish_shard(self) -> None:
        if self._group or self._table is None:
            self._write_group()
        self.close()
        path = self._staging.path(_hidden_name(self._staging.shards))
        with path.open("rb+") as file:
            sync(file)
        sums, rows = SumsWriter(self._labels), iter(self._rows)
        for position, length, crc, count in _groups(path):
            for _ in range(count):
                label, key = next(rows)
                sums.add(position, length, crc, label, key)
        sums.write(path.with_suffix(SUFFIX))
        self._staging.finish(len(sums))
        self._bytes = 0


def _schema(labels: tuple[str, ...]) -> Any:
    import pyarrow

    label: dict[str, Any] = {"names": list(labels), "_type": "ClassLabel"} if labels else _value("int64")
    features = {
        "image": {"_type": "Image"},
        "label": label,
        "id": _value("uint64"),
        "labels": {"feature": _value("float64"), "_type": "Sequence"},
        "more": _value("string"),
    }
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = [
        ("image", image),
        ("label", pyarrow.int64()),
        ("id", pyarrow.uint64()),
        ("labels", pyarrow.list_(pyarrow.float64())),
        ("more", pyarrow.string()),
    ]
    return pyarrow.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _groups(path: Path) -> Iterator[tuple[int, int, int, int]]:
    """Of every row group: where its bytes begin, how many they are, their CRC-32, and its rows."""
    import pyarrow.parquet

    metadata = pyarrow.parquet.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    starts = [min(_begin(group.column(place)) for place in range(group.num_columns)) for group in groups]
    file = MappedFile(path)
    content = memoryview(file.bytes)
    for group, start, end in zip(groups, [0, *starts[1:]], [*starts[1:], len(content)], strict=True):
        file.touch(end - start)
        yield start, end - start, zlib.crc32(content[start:end]), group.num_rows


def _begin(column: Any) -> int:
    pages = column.dictionary_page_offset if column.has_dictionary_page else None
    return int(column.data_page_offset if pages is None else min(pages, column.data_page_offset))


def _hidden_name(number: int) -> str:
    return f"{number:05}.parquet"


def _beside(name: str) -> str:
    return str(Path(name).with_suffix(SUFFIX))


def _files_of(folder: Path, split: str) -> list[Path]:
    """What an earlier run has written for a split."""
    pattern = re.compile(re.escape(split) + r"-\d{5}-of-\d{5}\.(parquet|sums)")
    found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.suffix != ".parquet")
