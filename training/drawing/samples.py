"""Cuts training pictures out of boards: where to look, and how it is photographed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.boards import Board
from training.drawing.look import Look
from training.drawing.posing import Pose, misregistered, place, pose
from training.drawing.recipe import Recipe
from training.drawing.scenes import PAPER, Scene, Scenes
from training.drawing.taught import photograph_beside_taught
from training.model.model_input import PADDING_GRAY, stack
from training.model.truth import IGNORED

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Classes = NDArray[np.int64]

_CACHE_BYTES = 1_500_000_000
_FAR_OFF, _FAR_OFF_PX = 0.08, 9.0
"""Some golden references lie this far off: one of the groups of DeepPCB's."""
_WHOLE, _CUT_OFF = 0.6, 0.15
"""A defect of which more than the first share is in view counts; less than the second is gone."""


@dataclass(frozen=True)
class Sample:
    """One training picture.

    `picture` is [size, size, 3] uint8: red, green, blue; or found, reference, difference.
    `boxes` [n, 4] float32 in its pixels; `classes` [n], IGNORED where a defect is mostly cut off.
    """

    picture: Picture
    boxes: Boxes
    classes: Classes


class Sampler:
    """An endless, reproducible stream of samples of these boards. One thread."""

    def __init__(
        self,
        boards: tuple[Board, ...],
        recipe: Recipe,
        *,
        seed: list[int],
        cache_bytes: int = _CACHE_BYTES,
    ) -> None:
        """Read pictures when they are first wanted, and keep `cache_bytes` of them."""
        self._boards = boards
        self._recipe = recipe
        self._rng = np.random.default_rng(seed)
        self._scenes = Scenes(recipe, self._rng, cache_bytes=cache_bytes)

    def __iter__(self) -> Iterator[Sample]:
        """Samples without end: every board once per round, in random order."""
        while True:
            for index in self._rng.permutation(len(self._boards)):
                yield self.sample(self._boards[index])

    def sample(self, board: Board) -> Sample:
        """One sample of this board."""
        recipe, rng = self._recipe, self._rng
        scene = self._scenes.scene(board)
        flat = bool(rng.random() < recipe.flat)
        where = self._pose(scene.focus, flat=flat)
        if scene.found.ndim == 2 and rng.random() < recipe.redesigned:
            scene = self._scenes.redesigned(scene)
        if scene.found.ndim == 2 and scene.may_be_damaged:
            scene = self._scenes.damaged(scene)
        boxes = where.boxes(scene.boxes)
        kinds = _judge_visible(boxes, scene.kinds, recipe.size_px)
        boxes = np.clip(boxes, 0, recipe.size_px)[kinds != _GONE]
        kinds = kinds[kinds != _GONE]
        if rng.random() < recipe.belt:
            where = where.shifted(np.array([9e3, 9e3]))
            boxes, kinds, flat = boxes[:0], kinds[:0], False
        look = self._look(scene.found)
        shown = self._picture(scene, where, boxes, look, flat=flat)
        return Sample(np.ascontiguousarray(shown), boxes, kinds)

    def _picture(
        self, scene: Scene, where: Pose, boxes: Boxes, look: Look, *, flat: bool
    ) -> Picture:
        recipe, rng = self._recipe, self._rng
        if recipe.golden and not flat and rng.random() < recipe.taught:
            pair = photograph_beside_taught(look, scene.found, scene.reference, where, boxes, rng)
            return stack(*pair)
        shown = self._show(scene.found, where, boxes, look, flat=flat)
        if not recipe.golden:
            return shown[..., ::-1]
        if rng.random() < _FAR_OFF:
            where = where.shifted(rng.uniform(-_FAR_OFF_PX, _FAR_OFF_PX, 2))
        return self._beside(shown, scene.reference, where, look, flat=flat)

    def _look(self, found: Picture) -> Look:
        look = Look.random(self._rng)
        if found.ndim == 2 or self._rng.random() < 0.5:
            return look
        # The edge of a camera's own picture is no board's edge: the service pads beyond it.
        return replace(look, belt=np.full(3, float(PADDING_GRAY)), edge_shadow=0.0)

    def _pose(self, focus: NDArray[np.float64], *, flat: bool) -> Pose:
        rng, size = self._rng, self._recipe.size_px
        low, high = self._recipe.smallest, self._recipe.largest
        return pose(
            (float(focus[0]), float(focus[1])) if not flat else (round(focus[0]), round(focus[1])),
            size_px=size,
            at=(size / 2, size / 2),
            scale=1.0 if flat and rng.random() < 0.7 else rng.uniform(low, high),
            turn_deg=0.0 if flat and rng.random() < 0.7 else rng.uniform(-3.5, 3.5),
            quarter_turns=int(rng.integers(4)),
            mirrored=bool(rng.random() < 0.5),
        )

    def _show(
        self, board: Picture, where: Pose, taken: Boxes, look: Look, *, flat: bool
    ) -> Picture:
        if not flat:
            return look.photograph(board, where, taken, self._rng)
        if board.ndim == 3:
            return place(board, where, outside=PADDING_GRAY)
        placed = place(board, where, outside=PAPER)
        return np.asarray(cv2.merge([np.where(placed >= 128, 255, 0).astype(np.uint8)] * 3))

    def _beside(
        self, shown: Picture, reference: Picture, where: Pose, look: Look, *, flat: bool
    ) -> Picture:
        """Found, reference and difference."""
        rng = self._rng
        if flat:
            other = where if rng.random() < 0.5 else misregistered(where, rng)
            return stack(shown, self._show(reference, other, _NO_BOXES, look, flat=True))
        return stack(shown, look.photograph_reference(reference, where, rng))


_GONE = -3
_NO_BOXES = np.zeros((0, 4), np.float32)


def _judge_visible(boxes: Boxes, kinds: Classes, size_px: int) -> Classes:
    """The class of what is in view, IGNORED for what is mostly cut off, _GONE for the rest."""
    inside = np.clip(boxes, 0, size_px)
    seen = (inside[:, 2:] - inside[:, :2]).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1).clip(min=1e-6)
    share = seen / area
    return np.where(share >= _WHOLE, kinds, np.where(share >= _CUT_OFF, IGNORED, _GONE))
