"""Changes a board's design: copper and holes that are wanted, where the scan had none.

A detector that sees few designs learns that a thin neck between a pad and a track is a short, and
that a ring is a pin-hole: trained on DeepPCB's seven groups of boards it raised no alarm on good
boards of those groups, and on every third good board of others. What is drawn here is what
distinguishes design from damage: straight edges, round ends, one width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.drawing.draughting import Box, Gray
from training.drawing.features import FEATURES

_TRIES = 4


def redesign(
    boards: Sequence[Gray],
    near: Box,
    rng: np.random.Generator,
    *,
    taken: Sequence[Box] = (),
    features: int = 4,
) -> int:
    """Draw up to so many wanted features, the same on each board; how many found a place.

    `boards` are the board as found and its reference, [rows, columns] uint8 with copper 0 and
    laminate 255, changed in place. The features lie inside `near` and keep clear of the boxes in
    `taken`, so that no defect is covered, joined or cut.
    """
    left, top, right, bottom = near
    parts = [board[top:bottom, left:right] for board in boards]
    clear = np.pad(np.ones((bottom - top - 2, right - left - 2), np.uint8), 1)
    for x0, y0, x1, y1 in taken:
        clear[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = 0
    drawn = 0
    for _ in range(features):
        draw = FEATURES[int(rng.integers(len(FEATURES)))]
        for _ in range(_TRIES):
            ink = np.zeros(clear.shape, np.uint8)
            colour = draw(parts[0], clear, ink, rng)
            if colour is not None and not np.any(ink > clear):
                for part in parts:
                    part[ink > 0] = colour
                drawn += 1
                break
    return drawn
