"""A board of production beside the reference that its station was taught. Pure.

What the line shows and a scan does not: edges breathe with the etching, specks smaller than any
defect lie on every board, each has a label of its own, and the light changes from the day of the
teaching to today. The reference is the mean of several boards, registered onto each other: a
little softer, with less noise, its labels blurred into each other.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from training.drawing.distractors import Label
from training.drawing.look import Look
from training.drawing.posing import Boxes, Picture, Pose, misregistered

_FEWEST_TAUGHT, _MOST_TAUGHT = 3, 8
_SOFTENED_PX = 0.8
"""Boards registered to within half a pixel have edges this much softer in their mean (sigma)."""
_OFF_PX, _OFTEN_OFF_PX = 2.5, 1.0
"""Registration is mostly off by at most the second; now and then by as much as in `posing`."""
_LIGHT = 0.3
"""The light of today differs from that of the teaching by up to this share."""
_LABELLED = 0.5
_ETCH_BLUR_PX, _ETCH_LEVELS, _ETCH_STEEPNESS = 0.7, 40.0, 2.5
"""An edge blurred so much has a slope of 145 levels a pixel: 40 levels move it by 0.3 pixels."""
_MOST_SPECKS, _LARGEST_SPECK_PX = 12, 1.6


def photograph_beside_taught(  # noqa: PLR0917 - as `Look.photograph`, and what stands beside
    look: Look,
    found: Picture,
    reference: Picture,
    where: Pose,
    taken: Boxes,
    rng: np.random.Generator,
) -> tuple[Picture, Picture]:
    """The camera's picture of `found`, and the reference in its geometry; [size, size, 3] BGR.

    `found` and `reference` are scans, [rows, columns], or have their own colours. Labels keep off
    `taken` (boxes in picture pixels), specks do not.
    """
    label = Label.random(where.size_px, taken, rng) if rng.random() < _LABELLED else None
    board, design = found, reference
    if found.ndim == 2:
        board, design = speckled(etched(found, rng), rng), etched(reference, rng)
    shown = look.on_belt(board, where, rng)
    if label is not None:
        label.print(shown, rng)
    return look.expose(shown, rng), _mean_of_good(look, design, where, label, rng)


def _mean_of_good(
    look: Look, design: Picture, where: Pose, label: Label | None, rng: np.random.Generator
) -> Picture:
    boards = int(rng.integers(_FEWEST_TAUGHT, _MOST_TAUGHT + 1))
    fewer = 1 / math.sqrt(boards)
    taught = replace(
        look,
        laminate=np.clip(look.laminate + rng.normal(0, 4, 3), 0, 255),
        copper=np.clip(look.copper + rng.normal(0, 4, 3), 0, 255),
        grain=look.grain * fewer,
        gain=look.gain * rng.uniform(1 - _LIGHT, 1 + _LIGHT),
        gamma=look.gamma * rng.uniform(0.95, 1.05),
        light_depth=float(np.clip(look.light_depth + rng.normal(0, 0.08), 0, 0.4)),
        blur_px=math.hypot(look.blur_px, rng.uniform(0.2, _SOFTENED_PX)),
        noise=look.noise * fewer,
        colour_noise=look.colour_noise * fewer,
        jpeg_quality=0,
        h264_rate_factor=0,
    )
    shown = taught.on_belt(design, where, rng)
    if label is not None:
        label.print(shown, rng, codes=boards)
    exposed = taught.expose(shown, rng)
    off_px = _OFTEN_OFF_PX if rng.random() < 0.8 else _OFF_PX
    still = Pose(np.eye(2, 3), where.size_px)
    moved = misregistered(still, rng, shift_px=off_px).matrix
    size = (where.size_px, where.size_px)
    registered = cv2.warpAffine(exposed, moved, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(registered, np.uint8)


def etched(scan: Picture, rng: np.random.Generator) -> Picture:
    """The scan as one board of many: tracks thinner or thicker by up to a third of a pixel."""
    soft = cv2.GaussianBlur(scan, (0, 0), _ETCH_BLUR_PX).astype(np.float32)
    coarse = rng.uniform(-1, 1) + rng.normal(0, 0.3, (4, 4))
    rows, columns = scan.shape
    level = cv2.resize(coarse.clip(-1, 1).astype(np.float32), (columns, rows))
    steep = (soft - 127.5 + _ETCH_LEVELS * level) * _ETCH_STEEPNESS + 127.5
    return np.asarray(np.clip(steep, 0, 255), np.uint8)


def speckled(scan: Picture, rng: np.random.Generator) -> Picture:
    """Dust and etching pits: dots of either kind, smaller than any defect."""
    dotted = scan.copy()
    rows, columns = scan.shape
    for _ in range(int(rng.integers(0, _MOST_SPECKS + 1))):
        x, y = rng.uniform((0, 0), (columns, rows))
        radius = rng.uniform(0.5, _LARGEST_SPECK_PX)
        centre = (round(16 * x), round(16 * y))
        ink = int(rng.choice([0, 255]))
        cv2.circle(dotted, centre, round(16 * radius), ink, -1, cv2.LINE_AA, shift=4)
    return dotted
