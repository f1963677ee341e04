"""A board before it is photographed: which one, in which design, with which damage."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.boards import Board, read_picture, scan_or_colours
from training.drawing import defects
from training.drawing.designs import Circuits, distorted
from training.drawing.layout import redesign
from training.drawing.recipe import Recipe
from training.model.detections import pairwise_iou

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Classes = NDArray[np.int64]

PAPER = 255
"""Laminate, where a scan has none."""
_WIDEST_MARGIN_PX, _NARROW_MARGIN_PX = 110, 36
_DEEPEST_CUT_PX = 80
"""A board is cut up to here before it gets a margin: slivers of copper are no defects there."""
_CUTS_TO_CHOOSE, _SLIVER_PX = 5, 14
"""Most cuts leave none; a stub beside a pad is what looks like a spur."""
_FOCUS_ON_CUT = 0.5
_CUT_OTHERWISE, _MOST_CUT_OTHERWISE_PX = 0.25, 12
"""A golden reference often ends a little before the board does, or after it: no defect either."""
_INVENTED_DAMAGED = 0.65
"""So many of the invented boards get defects; the others teach what good boards look like."""
_MORE_MARKS = 0.7
"""On so many of the boards whose marks are wanted, some are drawn besides the real ones."""
_LEAST_DRAWN_PX = 64
"""Nothing is drawn on smaller boards, nor in smaller parts of one."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A board before it is shown; boxes and focus in its pixels."""

    found: Picture
    reference: Picture
    boxes: Boxes
    kinds: Classes
    focus: NDArray[np.float64]
    """The point that will be near the middle of the picture."""
    may_be_damaged: bool


class Scenes:
    """Makes scenes of boards, and keeps the pictures it has read. One thread."""

    def __init__(self, recipe: Recipe, rng: np.random.Generator, *, cache_bytes: int) -> None:
        """Read pictures when they are first wanted, and keep `cache_bytes` of them."""
        self._recipe = recipe
        self._rng = rng
        self._cache_bytes = cache_bytes
        self._circuits = Circuits()
        self._kept: OrderedDict[Path, Picture] = OrderedDict()
        self._kept_bytes = 0

    def scene(self, board: Board) -> Scene:
        """The board, another design in its place, or its reference as a good board; a margin."""
        recipe, rng = self._recipe, self._rng
        found, boxes, kinds = self._read(board.picture), board.boxes, board.classes
        focus = self._focus(found, boxes)
        if board.reference is None:
            damage = bool(rng.random() < recipe.drawn)
            return self._with_margin(Scene(found, found, boxes, kinds, focus, damage))
        reference = self._read(board.reference)
        if reference.ndim == 2 and rng.random() < recipe.invented:
            reference = self._invent(reference)
            damage = bool(recipe.drawn and rng.random() < _INVENTED_DAMAGED)
            scene = Scene(reference, reference, boxes[:0], kinds[:0], focus, damage)
        elif rng.random() < recipe.reference:
            scene = Scene(reference, reference, boxes[:0], kinds[:0], focus, False)
        else:
            damage = bool(rng.random() < recipe.drawn)
            scene = Scene(found, reference, boxes, kinds, focus, damage)
        if recipe.golden and rng.random() < recipe.alike:
            scene = self._as_designed(scene)
        return self._with_margin(scene)

    def _as_designed(self, scene: Scene) -> Scene:
        """What looks like damage is on the reference too, and so is none."""
        rng = self._rng
        marked = scene
        if scene.found.ndim == 2 and self._recipe.drawn and rng.random() < _MORE_MARKS:
            marked = self.damaged(scene)
        return replace(
            marked,
            reference=marked.found,
            boxes=scene.boxes[:0],
            kinds=scene.kinds[:0],
            may_be_damaged=bool(self._recipe.drawn and rng.random() < 0.5),
        )

    def _invent(self, reference: Picture) -> Picture:
        if self._rng.random() < self._recipe.circuits:
            return self._circuits.draw(self._rng, max(reference.shape))
        return distorted(reference, self._rng)

    def _with_margin(self, scene: Scene) -> Scene:
        """Cut the board somewhere near its edges, beside its defects, and surround it."""
        rng = self._rng
        if scene.found.ndim != 2 or rng.random() >= self._recipe.margin:
            return scene
        widest = _WIDEST_MARGIN_PX if rng.random() < 0.5 else _NARROW_MARGIN_PX
        left, top, right, bottom = (int(v) for v in rng.integers(0, widest, 4))
        inside = self._cut(scene)
        rows, columns = inside[3] - inside[1], inside[2] - inside[0]
        border = (top, bottom, left, right, cv2.BORDER_CONSTANT)
        found, reference = (
            np.asarray(
                cv2.copyMakeBorder(
                    one[inside[1] : inside[3], inside[0] : inside[2]], *border, value=PAPER
                ),
                np.uint8,
            )
            for one in (scene.found, scene.reference)
        )
        shift = np.array([left - inside[0], top - inside[1]], np.float32)
        boxes = scene.boxes.reshape(-1, 4) + np.tile(shift, 2)
        focus = scene.focus + shift
        if self._recipe.golden and rng.random() < _CUT_OTHERWISE:
            self._cut_otherwise(found, reference, (left, top, left + columns, top + rows), boxes)
        if rng.random() < _FOCUS_ON_CUT:
            on_outline = rng.uniform((0, 0), (columns, rows))
            axis = int(rng.integers(2))
            on_outline[axis] = (columns, rows)[axis] * rng.integers(2)
            focus = np.array([left, top]) + on_outline
        return replace(scene, found=found, reference=reference, boxes=boxes, focus=focus)

    def _cut_otherwise(
        self, found: Picture, reference: Picture, inside: tuple[int, int, int, int], boxes: Boxes
    ) -> None:
        """End one of the two some pixels before the other does, on one side, clear of defects."""
        left, top, right, bottom = inside
        depth = int(self._rng.integers(2, _MOST_CUT_OTHERWISE_PX + 1))
        strips = (
            (left, top, right, top + depth),
            (left, bottom - depth, right, bottom),
            (left, top, left + depth, bottom),
            (right - depth, top, right, bottom),
        )
        strip = strips[int(self._rng.integers(4))]
        is_clear = not pairwise_iou(boxes, np.array([strip], np.float32)).any()
        shorter = found if is_clear and self._rng.random() < 0.5 else reference
        x0, y0, x1, y1 = strip
        shorter[y0:y1, x0:x1] = PAPER

    def _cut(self, scene: Scene) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of what is kept of the board: all of its defects."""
        rows, columns = scene.found.shape[:2]
        if scene.reference.shape != scene.found.shape or min(rows, columns) < 4 * _DEEPEST_CUT_PX:
            return 0, 0, columns, rows
        left, top, right, bottom = (
            self._depth(np.rot90(scene.found, turns)) for turns in (3, 0, 1, 2)
        )
        boxes = scene.boxes.reshape(-1, 4)
        if len(boxes):
            first, last = np.floor(boxes[:, :2].min(0)), np.ceil(boxes[:, 2:].max(0))
            left, top = min(left, int(first[0])), min(top, int(first[1]))
            right, bottom = min(right, columns - int(last[0])), min(bottom, rows - int(last[1]))
        return max(left, 0), max(top, 0), columns - max(right, 0), rows - max(bottom, 0)

    def _depth(self, board: Picture) -> int:
        """Rows to cut off the top: of some places, the one that leaves the most slivers."""
        depths = self._rng.integers(0, _DEEPEST_CUT_PX, self._rng.integers(1, _CUTS_TO_CHOOSE + 1))
        slivers = (board[depths] != board[depths + _SLIVER_PX]).sum(1)
        return int(depths[slivers.argmax()])

    def redesigned(self, scene: Scene) -> Scene:
        """Copies of the board and its reference with another design around the focus."""
        near = self._near(scene.found, scene.focus)
        if near is None or scene.reference.shape != scene.found.shape:
            return scene
        boards = [scene.found.copy()]
        if scene.reference is not scene.found:
            boards.append(scene.reference.copy())
        taken = [tuple(round(v) for v in box) for box in scene.boxes.tolist()]
        redesign(boards, near, self._rng, taken=taken, features=int(self._rng.integers(1, 5)))
        return replace(scene, found=boards[0], reference=boards[-1])

    def _near(self, found: Picture, focus: NDArray[np.float64]) -> tuple[int, int, int, int] | None:
        """The part of a board that a sample will show; None for a board too small to draw on."""
        half = self._recipe.size_px * 0.46
        height, width = found.shape[:2]
        least = _LEAST_DRAWN_PX
        if min(height, width) < least:
            return None
        left, top = (int(v) for v in np.clip(focus - half, 0, (width - least, height - least)))
        right = int(np.clip(focus[0] + half, left + least, width))
        bottom = int(np.clip(focus[1] + half, top + least, height))
        return left, top, right, bottom

    def damaged(self, scene: Scene) -> Scene:
        """Damage a copy of the board around the focus, clear of what is damaged already."""
        rng, boxes, kinds = self._rng, scene.boxes, scene.kinds
        near = self._near(scene.found, scene.focus)
        if near is None:
            return scene
        damaged = scene.found.copy()
        wanted = rng.integers(0, len(defects.CLASSES), rng.integers(1, 5)).tolist()
        taken = [tuple(box) for box in boxes.tolist()]
        for drawn in defects.draw_defects(damaged, wanted, near, rng, taken=taken):
            box = np.array([drawn.box], np.float32)
            boxes = np.concatenate([boxes.reshape(-1, 4), box]).astype(np.float32)
            kinds = np.append(kinds, drawn.kind)
        return replace(scene, found=damaged, boxes=boxes, kinds=kinds)

    def _read(self, path: Path) -> Picture:
        kept = self._kept.pop(path, None)
        if kept is None:
            kept = scan_or_colours(read_picture(path))
            self._kept_bytes += kept.nbytes
            while self._kept_bytes > self._cache_bytes and self._kept:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept[path] = kept
        return kept

    def _focus(self, found: Picture, boxes: Boxes) -> NDArray[np.float64]:
        """The board point that will be near the middle of the picture."""
        rng, size = self._rng, self._recipe.size_px
        height, width = found.shape[:2]
        if len(boxes) and rng.random() >= self._recipe.anywhere:
            left, top, right, bottom = boxes[rng.integers(len(boxes))]
            reach = size * 0.42
            focus = np.array([(left + right) / 2, (top + bottom) / 2]) + rng.uniform(
                -reach, reach, 2
            )
        else:
            focus = rng.uniform((0, 0), (width, height))
        if rng.random() < self._recipe.off_board:
            return focus
        half = size / 2
        low = np.minimum((half, half), (width / 2, height / 2))
        return np.clip(focus, low, np.array([width, height]) - low)
