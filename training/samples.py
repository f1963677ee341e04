"""Cuts training pictures out of boards: where to look, what to damage, how it is photographed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training import drawing
from training.boards import Board, read_picture, scan_or_colours
from training.layout import redesign
from training.look import Look
from training.model_input import PADDING_GRAY, stack
from training.posing import Pose, misregistered, place, pose
from training.truth import IGNORED

Picture = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Classes = NDArray[np.int64]

_CACHE_BYTES = 1_500_000_000
_PAPER = 255
_LEAST_DRAWN_PX = 64
"""Nothing is drawn on smaller boards, nor in smaller parts of one."""
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


@dataclass(frozen=True)
class Recipe:
    """How samples are mixed; probabilities."""

    size_px: int = 320
    golden: bool = False
    flat: float = 0.4
    """The file's picture as it is, not photographed: binarised, where it is a scan."""
    reference: float = 0.25
    """The defect-free reference shown as the board: what must not raise an alarm."""
    anywhere: float = 0.2
    """The crop is not chosen to hold a defect."""
    redesigned: float = 0.45
    """Wanted copper and holes are drawn that the board does not have, on scans: no defects."""
    drawn: float = 0.45
    """Defects are drawn besides the real ones, on scans."""
    off_board: float = 0.2
    """The crop reaches over the board's edge."""
    belt: float = 0.01
    """Nothing but belt."""

    def suited_to(self, classes: tuple[str, ...]) -> Recipe:
        """Without drawn defects, where the classes are not those that can be drawn."""
        return self if classes == drawing.CLASSES else replace(self, drawn=0.0)


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
        self._cache_bytes = cache_bytes
        self._rng = np.random.default_rng(seed)
        self._kept: OrderedDict[Path, Picture] = OrderedDict()
        self._kept_bytes = 0

    def __iter__(self) -> Iterator[Sample]:
        """Samples without end: every board once per round, in random order."""
        while True:
            for index in self._rng.permutation(len(self._boards)):
                yield self.sample(self._boards[index])

    def sample(self, board: Board) -> Sample:
        """One sample of this board."""
        recipe, rng = self._recipe, self._rng
        found, boxes, kinds = self._read(board.picture), board.boxes, board.classes
        focus = self._focus(found, boxes)
        reference = self._read(board.reference) if board.reference is not None else found
        is_good = board.reference is not None and bool(rng.random() < recipe.reference)
        if is_good:
            found, boxes, kinds = reference, boxes[:0], kinds[:0]
        flat = bool(rng.random() < recipe.flat)
        where = self._pose(focus, flat=flat)
        if found.ndim == 2 and rng.random() < recipe.redesigned:
            found, reference = self._redesign(found, reference, boxes, focus)
        if found.ndim == 2 and not is_good and rng.random() < recipe.drawn:
            found, boxes, kinds = self._draw(found, boxes, kinds, focus)
        moved = where.boxes(boxes)
        kinds = _judge_visible(moved, kinds, recipe.size_px)
        moved = np.clip(moved, 0, recipe.size_px)[kinds != _GONE]
        kinds = kinds[kinds != _GONE]
        if rng.random() < recipe.belt:
            where = replace(where, matrix=where.matrix + np.array([[0, 0, 9e3], [0, 0, 9e3]]))
            moved, kinds, flat = moved[:0], kinds[:0], False
        look = self._look(found)
        shown = self._show(found, where, moved, look, flat=flat)
        if recipe.golden:
            shown = self._beside(shown, reference, where, look, flat=flat)
        else:
            shown = shown[..., ::-1]
        return Sample(np.ascontiguousarray(shown), moved, kinds)

    def _look(self, found: Picture) -> Look:
        look = Look.random(self._rng)
        if found.ndim == 2 or self._rng.random() < 0.5:
            return look
        # The edge of a camera's own picture is no board's edge: the service pads beyond it.
        return replace(look, belt=np.full(3, float(PADDING_GRAY)), edge_shadow=0.0)

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

    def _pose(self, focus: NDArray[np.float64], *, flat: bool) -> Pose:
        rng, size = self._rng, self._recipe.size_px
        return pose(
            (float(focus[0]), float(focus[1])) if not flat else (round(focus[0]), round(focus[1])),
            size_px=size,
            at=(size / 2, size / 2),
            scale=1.0 if flat and rng.random() < 0.7 else rng.uniform(0.88, 1.13),
            turn_deg=0.0 if flat and rng.random() < 0.7 else rng.uniform(-3.5, 3.5),
            quarter_turns=int(rng.integers(4)),
            mirrored=bool(rng.random() < 0.5),
        )

    def _redesign(
        self, found: Picture, reference: Picture, boxes: Boxes, focus: NDArray[np.float64]
    ) -> tuple[Picture, Picture]:
        """Copies of the board and its reference with another design around the focus."""
        near = self._near(found, focus)
        if near is None or reference.shape != found.shape:
            return found, reference
        boards = [found.copy()]
        if reference is not found:
            boards.append(reference.copy())
        taken = [tuple(round(v) for v in box) for box in boxes.tolist()]
        redesign(boards, near, self._rng, taken=taken, features=int(self._rng.integers(1, 6)))
        return boards[0], boards[-1]

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

    def _draw(
        self, found: Picture, boxes: Boxes, kinds: Classes, focus: NDArray[np.float64]
    ) -> tuple[Picture, Boxes, Classes]:
        """Damage a copy of the board around the focus, clear of what is damaged already."""
        rng = self._rng
        near = self._near(found, focus)
        if near is None:
            return found, boxes, kinds
        damaged = found.copy()
        wanted = rng.integers(0, len(drawing.CLASSES), rng.integers(1, 5)).tolist()
        taken = [tuple(box) for box in boxes.tolist()]
        for drawn in drawing.draw_defects(damaged, wanted, near, rng, taken=taken):
            box = np.array([drawn.box], np.float32)
            boxes = np.concatenate([boxes.reshape(-1, 4), box]).astype(np.float32)
            kinds = np.append(kinds, drawn.kind)
        return damaged, boxes, kinds

    def _show(
        self, board: Picture, where: Pose, taken: Boxes, look: Look, *, flat: bool
    ) -> Picture:
        if not flat:
            return look.photograph(board, where, taken, self._rng)
        if board.ndim == 3:
            return place(board, where, outside=PADDING_GRAY)
        placed = place(board, where, outside=_PAPER)
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
