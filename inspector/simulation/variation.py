"""Makes good boards of one design differ from each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from inspector.core.basics import Image
from inspector.simulation.circuit import Mask

_STREAM = 111
_BLUR_PX = 1.2
_EDGE_SHIFT = 22
"""Of 255, at which the blurred edge is cut: moves it by up to a quarter of a pixel."""
_UNEVEN_PX = 14
_UNEVEN = 20
_TINT_SHARE = 0.04
_SPECKS = 14
_SPECK_LEVELS = 26
_LABEL_PX = 2
_DRIFT_SHARE = 0.15
_DRIFT_BOARDS = 80
"""The light falls over this many boards, and comes back over as many."""


@dataclass(frozen=True, slots=True)
class Variation:
    """The variation of one board: a function of the line's seed and the board's number."""

    seed: int
    number: int
    amount: float
    """0: all boards are alike; 1: as boards of a usual line."""

    def etched(self, copper: Mask) -> Mask:
        """The same copper, etched a little longer or shorter, and not everywhere alike."""
        if not self.amount:
            return copper
        rng = self._rng(0)
        height, width = copper.shape
        soft = cv2.GaussianBlur(copper, (0, 0), _BLUR_PX)
        shape = (height // _UNEVEN_PX + 2, width // _UNEVEN_PX + 2)
        coarse = rng.normal(rng.uniform(-1, 1) * _EDGE_SHIFT, _UNEVEN / 2, shape)
        levels = np.clip(127.5 + coarse * self.amount, 1, 254).astype(np.uint8)
        cut = cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.where(soft > cut, 255, 0).astype(np.uint8)

    def tinted(self, colour: tuple[int, int, int]) -> tuple[float, float, float]:
        """Laminate or copper of this board."""
        rng = self._rng(1)
        shares = 1 + rng.uniform(-_TINT_SHARE, _TINT_SHARE, 3) * self.amount
        blue, green, red = (value * share for value, share in zip(colour, shares, strict=True))
        return blue, green, red

    @property
    def light(self) -> float:
        """How bright it is lit, compared with the line's first board."""
        phase = self.number % (2 * _DRIFT_BOARDS)
        fallen = min(phase, 2 * _DRIFT_BOARDS - phase) / _DRIFT_BOARDS
        return 1 - _DRIFT_SHARE * fallen * self.amount

    def label_px(self, label_px: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Where its label was stuck."""
        x, y, width, height = label_px
        reach = round(_LABEL_PX * self.amount)
        dx, dy = (int(step) for step in self._rng(2).integers(-reach, reach + 1, 2))
        return max(0, x + dx), max(0, y + dy), width, height

    def speckle(self, picture: Image) -> None:
        """Put specks on it, smaller than any defect."""
        rng = self._rng(3)
        height, width = picture.shape[:2]
        for _ in range(round(_SPECKS * self.amount)):
            x, y = int(rng.integers(2, width - 2)), int(rng.integers(2, height - 2))
            side = int(rng.integers(1, 3))
            spot = picture[y : y + side, x : x + side]
            level = float(rng.uniform(-_SPECK_LEVELS, _SPECK_LEVELS))
            np.clip(spot + level, 0, 255, out=spot, casting="unsafe")

    def _rng(self, what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, _STREAM, self.number, what])
