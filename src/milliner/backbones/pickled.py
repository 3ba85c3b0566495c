"""The pickles in PyTorch's checkpoints, read without PyTorch and without trusting them.

The unpickler here can name nothing but an ordered dictionary, four element types and one function that
describes a tensor; any other name in the file ends the reading. It is Python's own in Python, since the one
in C sets memory aside for whatever number a damaged file holds.
"""

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from milliner.core.errors import ModelError

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
class Storage:
    """Where values are: the name and element type of one run of numbers."""

    key: str
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; numbers count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, values: NDArray[Any]) -> NDArray[Any]:
        """The array over its storage's values, read-only; raises ModelError where it reaches outside of them."""
        if not prod(self.shape):
            return np.empty(self.shape, values.dtype)
        reach = self.offset + sum((length - 1) * step for length, step in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or reach >= values.size:
            raise ModelError("a tensor reaches outside its storage")
        if prod(self.shape) > values.size:  # repeated elements (stride 0) could unfold to any size
            raise ModelError("a tensor claims more values than its storage holds")
        steps = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps, writeable=False)


def unpickle(file: io.BytesIO) -> Any:
    """The next pickle of a file; raises ModelError, or whatever Python raises for a damaged one."""
    return _TensorUnpickler(file).load()


def state_dict(value: Any) -> dict[str, Tensor]:
    """The same, once it is known to be one: names to tensors. Raises ModelError."""
    plain = isinstance(value, dict) and all(isinstance(tensor, Tensor) for tensor in value.values())
    if not plain or not all(isinstance(name, str) for name in value):
        raise ModelError("it is not a state dict")
    return dict(value)


def _describe_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: object) -> Tensor:
    if not isinstance(storage, Storage) or not all(isinstance(number, int) for number in (offset, *shape, *strides)):
        raise ModelError("it describes a tensor by something other than whole numbers")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


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

    def persistent_load(self, identity: Any) -> Storage:
        kind, dtype, key, _device, _count, *views = identity  # only legacy files have a view; it is None
        plain = kind == "storage" and views in ([], [None])
        if not plain or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise ModelError("it holds something other than plain tensors")
        return Storage(key, dtype)
