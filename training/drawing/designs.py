"""Boards that nobody made: real ones distorted, and circuits of the simulated line. Pure.

DeepPCB's training part shows seven designs. A detector that has seen few takes what it has not
seen for damage, so what it learns from must differ in what designs differ in: width of tracks,
size of pads, angles, density.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import cv2
import numpy as np

from inspector.simulation.circuit import lay_out
from training.drawing.draughting import Gray, any_size

_COPPER, _LAMINATE = 0, 255
_FIRST_SEED = 1_000_000
"""`inspector demo` and the tests have small seeds: no circuit of theirs is seen in training."""
_CIRCUITS = 400
_KEPT = 64
_SMALLEST, _LARGEST = 0.7, 1.8
"""Thinner tracks than the first share leaves would break."""


def distorted(template: Gray, rng: np.random.Generator) -> Gray:
    """Another board of the same size: stretched, turned, tracks thinner or thicker.

    `template` is a defect-free scan [rows, columns] uint8, copper 0 and laminate 255. Copper is
    taken away or added only where the board was enlarged first, so that no track is cut or joined.
    """
    rows, columns = template.shape
    scale = any_size(rng, _SMALLEST, _LARGEST)
    stretch = math.exp(rng.normal(0, 0.12))
    across = min(max(scale * stretch, _SMALLEST), _LARGEST)
    down = min(max(scale / stretch, _SMALLEST), _LARGEST)
    angle = _angle(rng)
    cos, sin = math.cos(angle), math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([across, down])
    focus = rng.uniform((0.3 * columns, 0.3 * rows), (0.7 * columns, 0.7 * rows))
    shift = np.array([columns, rows]) / 2 - linear @ focus
    soft = cv2.GaussianBlur(template, (0, 0), 0.8)
    moved = cv2.warpAffine(
        soft,
        np.hstack([linear, shift[:, None]]),
        (columns, rows),
        flags=cv2.INTER_LINEAR,
        borderValue=_LAMINATE,
    )
    if min(across, down) > 1:
        moved = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.6, 1.6))
    thick = int(rng.choice([0, 3, 5])) if min(across, down) > 1.15 else 0
    redrawn = np.where(moved > rng.integers(112, 144), _LAMINATE, _COPPER).astype(np.uint8)
    if thick:
        shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thick, thick))
        change = cv2.erode if rng.random() < 0.5 else cv2.dilate
        redrawn = np.asarray(change(redrawn, shape), np.uint8)
    return redrawn


def _angle(rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < 0.6:
        return 0.0
    return math.pi / 4 if kind < 0.75 else rng.uniform(-math.pi, math.pi)


class Circuits:
    """Circuits of the simulated line, of products that no demo and no test shows. One thread."""

    def __init__(self) -> None:
        """Lay circuits out when they are first wanted, 0.1 s each, and keep the last ones."""
        self._kept: OrderedDict[int, Gray] = OrderedDict()

    def draw(self, rng: np.random.Generator, size_px: int) -> Gray:
        """A defect-free board of [size, size], copper 0 and laminate 255; not to be changed."""
        if len(self._kept) >= _KEPT and rng.random() < 0.9:
            return list(self._kept.values())[int(rng.integers(len(self._kept)))]
        number = int(rng.integers(_CIRCUITS))
        kept = self._kept.pop(number, None)
        if kept is None or kept.shape != (size_px, size_px):
            kept = 255 - lay_out(_FIRST_SEED + number, 0, size_px, size_px).copper
        self._kept[number] = kept
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept
