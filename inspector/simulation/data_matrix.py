"""Draws a serial as Data Matrix, in the one size that a simulated label has room for."""

from __future__ import annotations

import numpy as np
import zxingcpp
from numpy.typing import NDArray

MODULES = 14
_DARK_BELOW = 128


def encode(text: str) -> NDArray[np.bool_]:
    """Return the (14, 14) modules of an ASCII text, true where dark, without the quiet zone.

    Raises:
        ValueError: the text needs a symbol of another size.

    """
    problem = f"{text!r} does not fit a Data Matrix of {MODULES}x{MODULES} modules"
    if not text.isascii():
        raise ValueError(problem)
    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix)
    picture = zxingcpp.write_barcode_to_image(symbol, scale=1, add_quiet_zones=False)
    modules: NDArray[np.bool_] = np.asarray(picture) < _DARK_BELOW
    if modules.shape != (MODULES, MODULES):
        raise ValueError(problem)
    return modules
