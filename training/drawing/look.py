"""What a station's pictures look like: colours, belt, light, lens, sensor, compression.

A binarised scan (copper 0, laminate 255) gets a skin: the colours of laminate and copper. A
picture that already has colours keeps them and gets the rest. Pure: everything is decided by
the random generator that is passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from training.drawing import sensor
from training.drawing.distractors import Label, screw_hole
from training.drawing.posing import Boxes, Picture, Pose, misregistered, place

HELD_OUT_SKINS = (
    ((92, 168, 70), (38, 74, 12)),  # leaf green
    ((70, 140, 196), (22, 40, 92)),  # orange polyimide
    ((150, 120, 60), (66, 40, 10)),  # petrol blue
    ((120, 96, 160), (48, 28, 74)),  # violet
    ((196, 204, 210), (84, 104, 128)),  # white mask, dull copper
    ((98, 104, 104), (34, 38, 42)),  # black mask, little contrast
)
"""Laminate and copper, BGR."""
SKIN_DISTANCE = 22.0
"""No training skin comes nearer than this to a held-out one (both colours, root mean square)."""
_LEAST_CONTRAST = 34.0
_GRAY = np.array([0.114, 0.587, 0.299])
_NO_BOXES = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Look:
    """One station on one day."""

    laminate: NDArray[np.float64]
    copper: NDArray[np.float64]
    belt: NDArray[np.float64]
    grain: float
    edge_shadow: float
    light: Literal["slope", "spot"]
    light_depth: float
    flicker: float
    """How much brighter and darker the mains makes some rows."""
    gain: float
    gamma: float
    blur_px: float
    smear_px: int
    smear_deg: float
    noise: float
    colour_noise: float
    jpeg_quality: int
    """0: no JPEG."""
    h264_rate_factor: int
    """CRF; 0: no H.264."""
    distractors: float
    """Probability of a label and of screw holes."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Look:
        """A station as training sees it."""
        laminate, copper = _random_skin(rng)
        coded = rng.random()
        return cls(
            laminate,
            copper,
            belt=rng.uniform(10, 90) + rng.normal(0, 14, 3),
            grain=abs(rng.normal(0, 3.5)),
            edge_shadow=rng.uniform(0, 0.8),
            light="slope",
            light_depth=rng.uniform(0, 0.35),
            flicker=rng.uniform(0, 0.08) if rng.random() < 0.15 else 0.0,
            gain=rng.uniform(0.72, 1.18),
            gamma=rng.uniform(0.8, 1.25),
            blur_px=rng.uniform(0.0, 1.3),
            smear_px=int(rng.choice([0, 0, 2, 3, 4, 5, 6, 7])),
            smear_deg=float(rng.choice([0, 0, 90])) + rng.normal(0, 3),
            noise=abs(rng.normal(0, 5)),
            colour_noise=abs(rng.normal(0, 2.5)),
            jpeg_quality=int(rng.integers(40, 96)) if coded < 0.25 else 0,
            h264_rate_factor=int(rng.integers(20, 35)) if coded >= 0.9 else 0,
            distractors=0.25,
        )

    @classmethod
    def held_out(cls, rng: np.random.Generator) -> Look:
        """A station training never sees: its skins, and a lamp that lights a spot."""
        laminate, copper = HELD_OUT_SKINS[int(rng.integers(len(HELD_OUT_SKINS)))]
        return cls(
            np.array(laminate, np.float64),
            np.array(copper, np.float64),
            belt=np.array([70.0, 52.0, 38.0]) + rng.normal(0, 6, 3),
            grain=rng.uniform(0, 5),
            edge_shadow=rng.uniform(0, 0.6),
            light="spot",
            light_depth=rng.uniform(0.1, 0.35),
            flicker=0.0,
            gain=rng.uniform(0.8, 1.15),
            gamma=rng.uniform(0.85, 1.2),
            blur_px=rng.uniform(0.4, 1.1),
            smear_px=int(rng.integers(0, 6)),
            smear_deg=rng.normal(0, 2),
            noise=rng.uniform(1, 6),
            colour_noise=rng.uniform(0, 3),
            jpeg_quality=int(rng.integers(60, 96)),
            h264_rate_factor=0,
            distractors=0.3,
        )

    def photograph(
        self, board: Picture, where: Pose, taken: Boxes, rng: np.random.Generator
    ) -> Picture:
        """The camera's picture, [size, size, 3] uint8 BGR, of a board in this pose.

        `board` is a scan, [rows, columns], or has its own colours, [rows, columns, 3] BGR.
        Labels and screw holes keep off `taken` (boxes in picture pixels).
        """
        shown = self.on_belt(board, where, rng)
        if rng.random() < self.distractors:
            label = Label.random(shown.shape[0], taken, rng)
            if label is not None:
                label.print(shown, rng)
        if rng.random() < self.distractors:
            for _ in range(int(rng.integers(1, 4))):
                screw_hole(shown, taken, self.belt, rng)
        return self.expose(shown, rng)

    def photograph_reference(
        self, board: Picture, where: Pose, rng: np.random.Generator
    ) -> Picture:
        """The same station's picture of a defect-free board, taken once and registered later.

        Registration is off by up to 2.5 px, 0.35 degrees and half a percent; the light is
        another day's.
        """
        relit = replace(
            self,
            gain=self.gain * rng.uniform(0.85, 1.15),
            light_depth=rng.uniform(0, 0.3),
            noise=abs(rng.normal(0, 3)),
            blur_px=rng.uniform(0, 1.2),
            smear_px=0,
            distractors=0.0,
        )
        return relit.photograph(board, misregistered(where, rng), _NO_BOXES, rng)

    def expose(self, shown: Picture, rng: np.random.Generator) -> Picture:
        """Light, lens, sensor and compression, in the order a camera applies them."""
        size_px = shown.shape[0]
        lit = cv2.multiply(shown, cv2.merge([self._light(size_px, rng)] * 3), dtype=cv2.CV_8U)
        if self.blur_px > 0.25:
            lit = cv2.GaussianBlur(lit, (0, 0), self.blur_px)
        if self.smear_px > 1:
            lit = cv2.filter2D(lit, -1, sensor.smear(self.smear_px, self.smear_deg))
        lit = cv2.LUT(lit, sensor.tone(self.gamma))
        noise = cv2.merge([sensor.noise(size_px, rng) * self.noise] * 3)
        if self.colour_noise > 0.3:
            channels = [sensor.noise(size_px, rng) for _ in range(3)]
            noise = cv2.scaleAdd(cv2.merge(channels), self.colour_noise, noise)
        taken = np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), np.uint8)
        if self.jpeg_quality:
            taken = sensor.through_jpeg(taken, self.jpeg_quality)
        if self.h264_rate_factor:
            taken = sensor.through_h264(taken, self.h264_rate_factor)
        return taken

    def on_belt(self, board: Picture, where: Pose, rng: np.random.Generator) -> Picture:
        """The board in its colours on the belt, before light, lens and sensor."""
        is_scan = board.ndim == 2
        placed = place(board, where, outside=255 if is_scan else 0)
        shown = self._skin(placed) if is_scan else placed
        if self.grain:
            shown = sensor.speckle(shown, self.grain, rng)
        height, width = board.shape[:2]
        if where.is_covered_by(width, height):
            return shown
        on_board = place(np.full((height, width), 255, np.uint8), where, outside=0)
        belt = np.empty((where.size_px, where.size_px, 3), np.uint8)
        belt[:] = np.clip(self.belt, 0, 255)
        belt = sensor.speckle(belt, 3.0, rng)
        if self.edge_shadow:
            near = cv2.GaussianBlur(on_board, (0, 0), 5)
            dimmed = cv2.merge([1 - near.astype(np.float32) * (self.edge_shadow / 255)] * 3)
            belt = np.asarray(cv2.multiply(belt, dimmed, dtype=cv2.CV_8U), np.uint8)
        share = on_board.astype(np.float32) / 255
        return np.asarray(cv2.blendLinear(shown, belt, share, 1 - share), np.uint8)

    def _skin(self, placed: Picture) -> Picture:
        share = np.linspace(0, 1, 256)[:, None]
        table = np.clip(self.copper * (1 - share) + self.laminate * share, 0, 255)
        merged = cv2.merge([placed] * 3)
        return np.asarray(cv2.LUT(merged, table.astype(np.uint8).reshape(1, 256, 3)), np.uint8)

    def _light(self, size_px: int, rng: np.random.Generator) -> NDArray[np.float32]:
        grid = np.linspace(-1, 1, 9)
        if self.light == "slope":
            angle = rng.uniform(0, 2 * math.pi)
            field = grid[None, :] * math.cos(angle) + grid[:, None] * math.sin(angle)
            field = field * 0.7 + 0.3 * rng.normal(0, 0.5, field.shape)
        else:
            middle = rng.uniform(-0.6, 0.6, 2)
            field = (grid[None, :] - middle[0]) ** 2 + (grid[:, None] - middle[1]) ** 2
            field = 1 - field
        small = (self.gain * (1 + self.light_depth * field / 2)).astype(np.float32)
        smooth = cv2.resize(small, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
        if self.flicker:
            rows = np.arange(size_px) / rng.uniform(60, 400) + rng.uniform(0, 1)
            smooth = smooth * (1 + self.flicker * np.sin(2 * math.pi * rows)[:, None])
        return np.maximum(smooth, 0.2).astype(np.float32)


def _random_skin(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    while True:
        laminate, copper = rng.uniform(30, 245, 3), rng.uniform(5, 170, 3)
        if rng.random() < 0.4:  # mostly, the two are shades of one colour
            copper = np.clip(laminate * rng.uniform(0.15, 0.75) + rng.normal(0, 10, 3), 0, 255)
        contrast = float(_GRAY @ (laminate - copper))
        if contrast >= _LEAST_CONTRAST and not is_held_out(laminate, copper):
            return laminate, copper


def is_held_out(laminate: NDArray[np.float64], copper: NDArray[np.float64]) -> bool:
    """The skin is one of those kept for evaluation, or nearly."""
    skin = np.concatenate([laminate, copper])
    known = np.array([(*one, *other) for one, other in HELD_OUT_SKINS], np.float64)
    return bool(np.any(np.sqrt(np.mean((known - skin) ** 2, axis=1)) < SKIN_DISTANCE))
