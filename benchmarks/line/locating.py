"""Finds in a picture what the JSON of a video leaves open: how far along the belt a board is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.line.truth import LineTruth, TrueBoard, to_frame
from inspector.core.records import Image

_STEP_PX = 0.25
_ROWS = 160
_ACROSS_PX = 1.5


def all_located(truth: LineTruth, frame: int, image: Image) -> LineTruth:
    """The truth with every board located that was not yet and is fully in this picture."""
    for board in truth.boards:
        if board.along_reach_px and truth.is_fully_in(board, frame):
            truth = truth.with_board(located(truth, board, frame, image))
    return truth


def located(truth: LineTruth, board: TrueBoard, frame: int, image: Image) -> TrueBoard:
    """The board with its place known to a fraction of a pixel.

    It must be fully in the picture. Tries every place that the JSON allows, and takes the one at
    which the picture changes most across the board's front and back edge.
    """
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)
    places = np.arange(-1.0, board.along_reach_px + 1.0, _STEP_PX)
    contrast = [_contrast(truth, board, frame, grey, place) for place in places]
    best = float(places[int(np.argmax(contrast))])
    return replace(board, along_px=board.along_px + best, along_reach_px=0.0)


def _contrast(
    truth: LineTruth, board: TrueBoard, frame: int, grey: NDArray[np.float32], further_px: float
) -> float:
    outline = truth.outline_at(board, truth.moved_px(frame) + further_px)
    width, height = board.width_px, board.height_px
    sideways = truth.travel in {"left", "right"}
    length, breadth = (width, height) if sideways else (height, width)
    total = 0.0
    for edge in (0.0, length):
        shades = [
            _sampled(
                grey,
                [
                    to_frame(outline, *((edge + off, at) if sideways else (at, edge + off)))
                    for at in np.linspace(breadth * 0.05, breadth * 0.95, _ROWS)
                ],
            )
            for off in (-_ACROSS_PX, _ACROSS_PX)
        ]
        # The middle of the differences: a label or a track at the edge must not decide.
        total += float(np.median(np.abs(shades[0] - shades[1])))
    return total


def _sampled(grey: NDArray[np.float32], points: list[tuple[float, float]]) -> NDArray[np.float32]:
    """Brightness between pixels; coordinates count from the corner of the first pixel."""
    at = np.array(points, np.float32) - 0.5
    shades = cv2.remap(grey, at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)
    return np.asarray(shades, np.float32).ravel()
