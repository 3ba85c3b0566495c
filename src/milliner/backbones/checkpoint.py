"""Reads PyTorch's legacy checkpoint files without PyTorch and without trusting them.

A legacy ``.pth`` is five pickles (magic number, protocol version, system facts, the object, the storages'
keys) followed by each storage as a little-endian 64-bit element count and raw elements. Format:
``torch/serialization.py``, function ``_legacy_save``.

The unpickler here can name nothing but an ordered dictionary, four element types and one function that
describes a tensor; any other name in the file ends the reading. It is Python's own in Python, since the one
in C sets memory aside for whatever number a damaged file holds.
"""

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import ModelError

MAX_BYTES: Final = 2**30
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_ELEMENTS: Final = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
}

# What pickle's protocol 2 writes for a state dict; the other opcodes are not understood.
_OPCODES: Final = (
    pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.REDUCE, pickle.BINPERSID,
    pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1,
    pickle.BINUNICODE, pickle.BINSTRING, pickle.SHORT_BINSTRING,
    pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST,
    pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS,
    pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET,
)  # fmt: skip


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _describe_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> _Tensor:
    if not isinstance(storage, _Storage) or not all(isinstance(number, int) for number in (offset, *shape, *strides)):
        raise ModelError("it describes a tensor by something other than whole numbers")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _drop_state(unpickler: Any) -> None:
    """Reads over an object's state (`state_dict` has versions in it), which would set any attribute of any object."""
    unpickler.stack.pop()


class _TensorUnpickler(pickle._Unpickler):
    dispatch: ClassVar = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _OPCODES}
    dispatch[pickle.BUILD[0]] = _drop_state

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _describe_tensor
        if module == "torch" and name in _ELEMENTS:
            return _ELEMENTS[name]
        raise ModelError(f"it asks to run {module}.{name}, which no weights need; do not use this file")

    def persistent_load(self, identity: Any) -> _Storage:
        kind, dtype, key, _device, _count, view = identity
        if kind != "storage" or view is not None or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise ModelError("it holds something other than plain tensors")
        return _Storage(key, dtype)


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """Reads a state dict: tensor name to array. Raises ModelError on anything that is not one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"it is over {MAX_BYTES >> 20} MiB")
        content = path.read_bytes()
        if content.startswith(b"PK"):
            raise ModelError("it is in PyTorch's newer zip format, and only the legacy one is read")
        return _read(io.BytesIO(content))
    except ModelError as error:
        raise ModelError(f"{path} is not a checkpoint of plain tensors: {error}.") from error
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}); install the package that holds it again."
        ) from error
    # What a damaged pickle or header makes Python raise.
    except (
        pickle.UnpicklingError,
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
    ) as error:
        raise ModelError(f"{path} is damaged or not a legacy PyTorch checkpoint; download it again.") from error


def _read(file: io.BytesIO) -> dict[str, NDArray[Any]]:
    if _TensorUnpickler(file).load() != _MAGIC or _TensorUnpickler(file).load() != _PROTOCOL:
        raise ModelError("it does not begin as a legacy PyTorch checkpoint does")
    if _TensorUnpickler(file).load().get("little_endian") is not True:
        raise ModelError("it was written on a big-endian machine")
    state = _TensorUnpickler(file).load()
    keys = _TensorUnpickler(file).load()
    plain = isinstance(state, dict) and all(isinstance(value, _Tensor) for value in state.values())
    if not plain or not all(isinstance(name, str) for name in state):
        raise ModelError("it is not a state dict")
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in state.values()}
    storages = {key: _read_storage(file, dtypes[key]) for key in keys}
    return {name: _view(tensor, storages[tensor.storage.key]) for name, tensor in state.items()}


def _read_storage(file: io.BytesIO, dtype: np.dtype[Any]) -> NDArray[Any]:
    (count,) = struct.unpack("<q", file.read(8))
    size = count * dtype.itemsize
    raw = file.read(size) if 0 <= size <= MAX_BYTES else b""
    if len(raw) != size:
        raise ModelError("a tensor's values are cut short")
    return np.frombuffer(raw, dtype)


def _view(tensor: _Tensor, storage: NDArray[Any]) -> NDArray[Any]:
    if not prod(tensor.shape):
        return np.empty(tensor.shape, storage.dtype)
    reach = tensor.offset + sum((length - 1) * step for length, step in zip(tensor.shape, tensor.strides, strict=True))
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or reach >= storage.size:
        raise ModelError("a tensor reaches outside its storage")
    if prod(tensor.shape) > storage.size:  # repeated elements (stride 0) could unfold to any size
        raise ModelError("a tensor claims more values than its storage holds")
    steps = [step * storage.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, steps, writeable=False)
