"""Drawn boards and lines for the tests of the simulation."""

import numpy as np

from inspector.simulation.defects import DefectCode, TrueDefect

ALL = tuple(DefectCode)


def outside(truth: tuple[TrueDefect, ...], shape: tuple[int, ...]) -> np.ndarray:
    """True where nothing may differ from the defect-free twin."""
    mask = np.ones(shape[:2], bool)
    for defect in truth:
        x, y, width, height = defect.bbox_px
        mask[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)] = False
    return mask


QUIRKS = 6
