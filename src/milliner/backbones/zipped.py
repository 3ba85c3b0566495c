"""PyTorch's newer checkpoints: a zip file of one pickle and a file for each storage.

Inside one folder, whatever its name: ``data.pkl`` (the object), ``data/KEY`` (a storage's raw elements), ``byteorder``
(absent in old files, which are little-endian) and facts that are not needed. Nothing is compressed, so that files can
be mapped: a compressed one is foreign, and refused. Format: ``torch/serialization.py``, function ``_save``.
"""

import io
import zipfile
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.backbones.pickled import state_dict, unpickle
from milliner.core.errors import ModelError

MAX_FILES: Final = 20_000
_PICKLE: Final = "data.pkl"


def read_zipped(content: bytes) -> dict[str, NDArray[Any]]:
    """The state dict in a whole file's bytes; raises ModelError, or what `zipfile` raises for a damaged one."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _check(archive.infolist(), len(content))
        folder = _folder(archive)
        names = set(archive.namelist())
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ModelError("it was written on a big-endian machine")
        state = state_dict(unpickle(io.BytesIO(archive.read(folder + _PICKLE))))
        dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in state.values()}
        storages = {key: _storage(archive, f"{folder}data/{key}", dtype) for key, dtype in dtypes.items()}
    return {name: tensor.view(storages[tensor.storage.key]) for name, tensor in state.items()}


def _check(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Bounds what reading can take: no entry grows, and together they are no more than the file."""
    if len(entries) > MAX_FILES:
        raise ModelError(f"it holds more than {MAX_FILES} files")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        raise ModelError("it is compressed, which no checkpoint of PyTorch's is")
    if sum(entry.file_size for entry in entries) > size:
        raise ModelError("its parts claim more bytes than it has")
    if len({entry.filename for entry in entries}) != len(entries):
        raise ModelError("two of its parts have one name")


def _folder(archive: zipfile.ZipFile) -> str:
    found = [name for name in archive.namelist() if name == _PICKLE or name.endswith(f"/{_PICKLE}")]
    if len(found) != 1 or found[0].count("/") > 1:
        raise ModelError(f"it is a zip file without the one {_PICKLE} of a checkpoint")
    return found[0].removesuffix(_PICKLE)


def _storage(archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        raw = archive.read(name)
    except KeyError as error:
        raise ModelError("a tensor's values are missing") from error
    if len(raw) % dtype.itemsize:
        raise ModelError("a tensor's values are cut short")
    return np.frombuffer(raw, dtype)
