"""Takes the tensors out of Triton's reply, however damaged it is."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferResult


def read_outputs(result: InferResult, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The readable tensors of a reply; decoding reports which ones are missing."""
    outputs: dict[str, NDArray[Any]] = {}
    for name in names:
        # struct.error: text whose lengths reach beyond its end.
        with suppress(ValueError, TypeError, struct.error):
            array = result.as_numpy(name)
            if isinstance(array, np.ndarray):
                # Readers take 32-bit floats, which hold every half float exactly.
                outputs[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return outputs
