"""A product's circuit, with features of designs that look like defects and are not."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from inspector.simulation.circuit import Circuit, describe, lay_out
from inspector.simulation.defects import DefectCode, damage

_STREAM = 110
_FEATURES = (
    DefectCode.OPEN,  # a solder jumper that is left open
    DefectCode.COPPER,  # thieving copper
    DefectCode.SPUR,  # a stub for tuning
    DefectCode.SHORT,  # a net tie
    DefectCode.PIN_HOLE,  # a relief in a plane
)


@lru_cache(maxsize=8)
def design(seed: int, product: int, width_px: int, height_px: int, quirks: int = 0) -> Circuit:
    """Return the circuit of a product with this many such features; the same on all its boards.

    On one board alone they look like defects. About 0.1 s once, then remembered.
    Any thread.
    """
    circuit = lay_out(seed, product, width_px, height_px)
    if not quirks:
        return circuit
    rng = np.random.default_rng([seed, _STREAM, product])
    codes = [_FEATURES[index % len(_FEATURES)] for index in range(quirks)]
    copper, features = damage(circuit, codes, rng)
    boxes = [feature.bbox_px for feature in features]
    marks = tuple((x + width / 2, y + height / 2) for x, y, width, height in boxes)
    return replace(describe(copper, circuit.tracks, circuit.label_px), marks=marks)
