"""What is sent: drawn boards, and real ones where the data set lies beside the checkout."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.simulation.board import draw_board
from inspector.simulation.defects import codes_of_board

Pictures = NDArray[np.uint8]
"""(n, 640, 640, 3), blue, green, red."""
SIZE_PX = 640
SEED = 23
_TINT = (0.9, 0.6, 0.75)
"""Scans are black and white: with equal channels a swapped colour order would go unseen."""


def pictures(drawn: int, real: int, archive: Path) -> Pictures:
    """So many of each; real ones only if the archive (DeepPCB as a zip file) is there."""
    taken = [_drawn(number) for number in range(drawn)]
    if archive.is_file():
        taken += _real(archive, real)
    return np.stack(taken)


def _drawn(number: int) -> Pictures:
    codes = codes_of_board(number, seed=SEED, defect_rate=0.8)
    board = draw_board(
        number, seed=SEED, width_px=SIZE_PX, height_px=SIZE_PX, defects=codes, product=number % 4
    )
    return board.picture


def _real(archive: Path, count: int) -> list[Pictures]:
    with zipfile.ZipFile(archive) as files:
        names = [name for name in sorted(files.namelist()) if name.endswith("_test.png")]
        picked = names[:: max(1, len(names) // count)][:count]
        encoded = [np.frombuffer(files.read(name), np.uint8) for name in picked]
    decoded = [np.asarray(cv2.imdecode(one, cv2.IMREAD_COLOR), np.uint8) for one in encoded]
    return [(one * np.array(_TINT)).astype(np.uint8) for one in decoded]
