"""Small scanned circuits with defects whose place is known, made on the spot.

Like DeepPCB's: copper 0, laminate 255, a defect-free reference beside each board.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.training.made import write_picture
from training.data.boards import Board, DataSet
from training.drawing.defects import CLASSES, draw_defects

SIZE_PX = 256
PITCH_PX, TRACK_PX = 26, 11


def circuit(size_px: int = SIZE_PX, seed: int = 0) -> NDArray[np.uint8]:
    """Straight tracks with a pad each, and an area of copper in the lower right."""
    rng = np.random.default_rng(seed)
    board = np.full((size_px, size_px), 255, np.uint8)
    for y in range(14, size_px - TRACK_PX, PITCH_PX):
        board[y : y + TRACK_PX, 8 : size_px - 8] = 0
        pad = (int(rng.integers(30, size_px - 30)), y + TRACK_PX // 2)
        cv2.circle(board, pad, 9, 0, -1)
    board[size_px // 2 - 4 :, size_px // 2 :] = 255
    board[size_px // 2 + 12 : -12, size_px // 2 + 12 : -12] = 0
    return board


def write_circuits(folder: Path, train: int = 10, test: int = 2, size_px: int = SIZE_PX) -> DataSet:
    """Boards with one defect of each class where it fits; the last test board is good."""
    boards = []
    for number in range(train + test):
        picture = circuit(size_px, number)
        reference = write_picture(folder / f"{number}_reference.png", picture)
        good = number == train + test - 1
        rng = np.random.default_rng(number)
        kinds = [] if good else range(len(CLASSES))
        drawn = draw_defects(picture, kinds, (0, 0, size_px, size_px), rng)
        boards.append(
            Board(
                str(number),
                write_picture(folder / f"{number}.png", picture),
                reference,
                np.array([one.box for one in drawn], np.float32).reshape(-1, 4),
                np.array([one.kind for one in drawn], np.int64),
            )
        )
    return DataSet("circuits", CLASSES, tuple(boards[:train]), tuple(boards[train:]))
