"""Makes camera-like pictures of whole boards, to judge a detector by.

The skins and lights of `skins="held-out"` are never used in training, so that an evaluation on
them says something about a line nobody saw. Pure: everything is decided by the random generator
that is passed in.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from training.drawing.look import Look
from training.drawing.posing import Boxes, Picture, Pose, pose
from training.drawing.taught import photograph_beside_taught

Skins = Literal["training", "held-out"]

_RENDERED_PX = 640
_POSES_TRIED = 60
_SCALES, _SHRUNK = (0.9, 1.1), (0.8, 0.95)


def render(
    picture: Picture, boxes: Boxes, rng: np.random.Generator, skins: Skins = "held-out"
) -> tuple[Picture, Boxes]:
    """A camera's picture of a whole scanned board: ([640, 640, 3] BGR, boxes in it).

    Turned up to 3 degrees, scaled by up to 10 %, shifted. The pose is chosen so that no defect
    is cut by the picture's edge; the box of one that lies outside altogether comes back empty.
    """
    where, look = _whole_defects(picture, boxes, rng), _look(skins, rng)
    moved = where.boxes(boxes)
    return look.photograph(picture, where, moved, rng), np.clip(moved, 0, _RENDERED_PX)


def render_pair(
    picture: Picture,
    reference: Picture,
    boxes: Boxes,
    rng: np.random.Generator,
    skins: Skins = "held-out",
) -> tuple[Picture, Picture, Boxes]:
    """As `render`, with the reference as a station has it: see `Look.photograph_reference`."""
    where, look = _whole_defects(picture, boxes, rng), _look(skins, rng)
    moved = where.boxes(boxes)
    shown = look.photograph(picture, where, moved, rng)
    beside = look.photograph_reference(reference, where, rng)
    return shown, beside, np.clip(moved, 0, _RENDERED_PX)


def render_beside_taught(
    picture: Picture,
    reference: Picture,
    boxes: Boxes,
    rng: np.random.Generator,
    skins: Skins = "held-out",
) -> tuple[Picture, Picture, Boxes]:
    """As `render_pair`, with the reference that a station was taught: see `taught`.

    The board is smaller: a unit with its margins is shrunk to the model's input.
    """
    where, look = _whole_defects(picture, boxes, rng, _SHRUNK), _look(skins, rng)
    moved = where.boxes(boxes)
    shown, beside = photograph_beside_taught(look, picture, reference, where, moved, rng)
    return shown, beside, np.clip(moved, 0, _RENDERED_PX)


def _look(skins: Skins, rng: np.random.Generator) -> Look:
    return Look.held_out(rng) if skins == "held-out" else Look.random(rng)


def _whole_defects(
    picture: Picture,
    boxes: Boxes,
    rng: np.random.Generator,
    scales: tuple[float, float] = _SCALES,
) -> Pose:
    """A random pose that cuts through no defect; a tame one where the defects leave no choice."""
    height, width = picture.shape[:2]
    for attempt in range(_POSES_TRIED):
        tame = attempt >= _POSES_TRIED * 2 // 3
        at = _RENDERED_PX / 2 + rng.uniform(-1, 1, 2) * (6 if tame else 30)
        where = pose(
            (width / 2, height / 2),
            size_px=_RENDERED_PX,
            at=(at[0], at[1]),
            scale=min(0.92, scales[1]) if tame else rng.uniform(*scales),
            turn_deg=rng.uniform(-1, 1) if tame else rng.uniform(-3, 3),
        )
        moved = where.boxes(boxes)
        whole = np.all((moved >= -2) & (moved <= _RENDERED_PX + 2), axis=1)
        gone = np.any((moved[:, 2:] < 0) | (moved[:, :2] > _RENDERED_PX), axis=1)
        if np.all(whole | gone):
            break
    return where
