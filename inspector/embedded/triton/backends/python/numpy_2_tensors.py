"""Lets unchanged Python models exchange arrays of numpy 2 with the embedded Triton.

The server's Python backend was compiled against numpy 1. With numpy 2 it takes every item for
0 bytes long: `pb_utils.Tensor(name, array)` sends an empty tensor, and `as_numpy()` returns
the first value everywhere, both without an error. DLPack hands over memory without going through
numpy's C structures, so importing this module, in the process of a model, makes these two go
through DLPack. With numpy 1, for which Python 3.13 has no build, it changes nothing.

DLPack has no strings (TYPE_STRING): with numpy 2 they are refused with the reason, at each call.
"""  # noqa: INP001 - copied beside Triton's own triton_python_backend_utils.py, which imports it

from __future__ import annotations

import ctypes
from typing import Any

# Compiled into the process that runs a model.
import c_python_backend_utils as triton  # type: ignore[import-not-found]
import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

NO_STRINGS = (
    "the embedded Triton exchanges no strings (TYPE_STRING) with numpy 2: "
    "run it on Python 3.11 or 3.12, where it has numpy 1"
)
_KINDS = "biuf"  # bool, signed, unsigned, float
_LONGEST_ITEM_BYTES = 8
_from_dlpack = triton.Tensor.from_dlpack
_garbled = triton.Tensor.as_numpy  # only its dtype is correct

# Both keep the pointer, which is valid because a literal lives as long as the process.
_USED = ctypes.c_char_p(b"used_dltensor")
_set_capsule_name = ctypes.pythonapi.PyCapsule_SetName
_set_capsule_name.argtypes = [ctypes.py_object, ctypes.c_char_p]


def sendable(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in a layout that Triton takes by DLPack; a copy only where it must be.

    Raises:
        TritonModelException: its type is none of Triton's, or it holds strings.

    """
    if array.dtype.kind in "OSU":
        raise triton.TritonModelException(NO_STRINGS)
    native = array.dtype.isnative and array.dtype.itemsize <= _LONGEST_ITEM_BYTES
    if array.dtype.kind not in _KINDS or not native:
        raise triton.TritonModelException(f"numpy dtype {array.dtype} is not supported")
    if not (array.flags.c_contiguous and array.flags.writeable):
        array = array.copy(order="C")  # numpy does not export read-only memory
    # Where an axis has one item, numpy takes any stride for contiguous, and Triton does not:
    # through one dimension and back, each stride is what the shape says.
    return array.reshape(-1).reshape(array.shape)


def _tensor(_cls: type[Any], name: str, array: NDArray[Any], /) -> Any:
    """Stand in for `Tensor.__new__`: make the tensor; it keeps the array alive."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"tensor {name!r} needs a numpy array, got {type(array).__name__}")
    capsule = sendable(array).__dlpack__()
    tensor = _from_dlpack(name, capsule)
    # Triton renames a capsule that it took to "used_dlpack", a name that numpy does not know:
    # it would print a traceback for each.
    _set_capsule_name(capsule, _USED)
    return tensor


def _ready(_tensor: Any, *_arguments: Any) -> None:
    """Stand in for `Tensor.__init__`: `__new__` has done it all."""


def _as_numpy(tensor: Any) -> NDArray[Any]:
    """Return a copy, which may be changed, and kept after execute(); each call makes another."""
    if _garbled(tensor).dtype == np.object_:
        raise triton.TritonModelException(NO_STRINGS)
    return np.from_dlpack(tensor).copy()


class _Unreadable:
    """Stand in for the array of a request's strings, whose bytes are lost already.

    Triton asks for it when it takes the request, where an error would end the process.
    """

    def __init__(self, _encoded: NDArray[Any]) -> None:
        pass

    def reshape(self, *_shape: Any) -> NDArray[Any]:
        return np.empty(0, np.object_)


if not np.__version__.startswith("1."):
    # In place: Triton makes its own tensors of this very class, and publishes it as
    # pb_utils.Tensor only after this module was imported.
    triton.Tensor.__new__ = staticmethod(_tensor)
    triton.Tensor.__init__ = _ready
    triton.Tensor.as_numpy = _as_numpy
    pb_utils.deserialize_bytes_tensor = _Unreadable
