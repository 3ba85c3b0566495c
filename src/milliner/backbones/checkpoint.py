"""Reads PyTorch's checkpoint files, the legacy ones and the newer zip files, without PyTorch and without trusting them.

A legacy ``.pth`` is five pickles (magic number, protocol version, system facts, the object, the storages'
keys) followed by each storage as a little-endian 64-bit element count and raw elements. Format:
``torch/serialization.py``, function ``_legacy_save``. The newer one is a zip file: see `zipped`.
"""

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from milliner.backbones.pickled import state_dict, unpickle
from milliner.backbones.zipped import read_zipped
from milliner.core.errors import ModelError

MAX_BYTES: Final = 2**30
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Reads a state dict: tensor name to array. Raises ModelError on anything that is not one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"it is over {MAX_BYTES >> 20} MiB")
        content = path.read_bytes()
        return read_zipped(content) if content.startswith(b"PK") else _read(io.BytesIO(content))
    except ModelError as error:
        raise ModelError(f"{path} is not a checkpoint of plain tensors: {error}.") from error
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); check the path, or bring the file anew."
        ) from error
    # What a damaged pickle, zip file or header makes Python raise.
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        EOFError,
        AttributeError,
        MemoryError,
        OverflowError,
        RecursionError,
        ImportError,
        NotImplementedError,
    ) as error:
        raise ModelError(f"{path} is damaged or not a PyTorch checkpoint; download it again.") from error


def _read(file: io.BytesIO) -> dict[str, NDArray[Any]]:
    if unpickle(file) != _MAGIC or unpickle(file) != _PROTOCOL:
        raise ModelError("it does not begin as a PyTorch checkpoint does")
    if unpickle(file).get("little_endian") is not True:
        raise ModelError("it was written on a big-endian machine")
    state = state_dict(unpickle(file))
    keys = unpickle(file)
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in state.values()}
    storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: tensor.view(storages[tensor.storage.key]) for name, tensor in state.items()}


def _read_storage(file: io.BytesIO, dtype: np.dtype[Any]) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    size = count * dtype.itemsize
    raw = file.read(size) if 0 <= size <= MAX_BYTES else b""
    if len(raw) != size:
        raise ModelError("a tensor's values are cut short")
    return np.frombuffer(raw, dtype)
