"""Takes the tensors out of Triton's reply, whatever it holds."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferResult


def read_outputs(result: InferResult, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The tensors of a reply that are some; decoding tells which ones are missing."""
    outputs: dict[str, NDArray[Any]] = {}
    for name in names:
        # struct.error: text whose lengths reach beyond its end.
        with suppress(ValueError, TypeError, struct.error):
            array = result.as_numpy(name)
            if isinstance(array, np.ndarray):
                # Readers know floats of one width; a half's numbers are all in it.
                outputs[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return outputs
