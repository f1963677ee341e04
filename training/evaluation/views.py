"""What an evaluation shows a detector: boards as they are, and as a camera would see them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.boards import Board, DataSet, FloatArray, Picture, is_scan, read_picture
from training.errors import TrainingError, WrongInputError
from training.evaluation.protocol import Truth
from training.model.model_input import PADDING_GRAY, SIZE_PX

_PAPER = 255


@dataclass(frozen=True, eq=False)
class View:
    """One picture with its truth; `reference` where the detector needs one."""

    picture: Picture
    reference: Picture | None
    truth: Truth


@dataclass(frozen=True)
class Condition:
    """A way to show a list of boards; `show` reads, or renders, one of them."""

    key: str
    title: str
    are_good: bool
    """The pictures show no defect: what counts is how often the detector is silent."""
    boards: Sequence[Board]
    show: Callable[[Board], View]
    good_key: str = ""
    """The condition that shows good boards in the same way."""


def conditions_of(
    data_set: DataSet, *, limit: int | None, with_reference: bool, seed: int
) -> list[Condition]:
    """The conditions to judge a detector in, those first whose pictures have defects.

    Good boards are the references, and the labelled pictures without a defect. Scans of the
    detector's own size are shown a second time as a camera would see them; other pictures are
    taken for a camera's already. `limit`: that many of the test boards, evenly picked.
    """
    boards = _picked(data_set.test, limit)
    if with_reference:
        for board in boards:
            if board.reference is None:
                raise WrongInputError.found(
                    board.picture, "no reference", "one, for a detector with a golden board"
                )
    good = [board for board in boards if board.reference is not None or not len(board.classes)]
    shown = _Shown(with_reference=with_reference, seed=seed)
    rendered = all(_is_scan(board) for board in boards)
    found = [Condition("plain", "test boards", False, boards, shown.plain, "good")]
    if with_reference:
        title = "test boards, reference off"
        found.append(Condition("misregistered", title, False, boards, shown.misregistered, "good"))
    if rendered:
        title = "test boards, camera"
        found.append(Condition("camera", title, False, boards, shown.rendered, "good_camera"))
    if rendered and with_reference:
        title = "test boards, taught"
        found.append(Condition("taught", title, False, boards, shown.taught, "good_taught"))
    found.append(Condition("good", "good boards", True, good, shown.good))
    if with_reference:
        title = "test boards as their own reference"
        found.append(Condition("good_marked", title, True, boards, shown.marked))
    if rendered:
        title = "good boards, camera"
        found.append(Condition("good_camera", title, True, good, shown.good_rendered))
    if rendered and with_reference:
        title = "good boards, taught"
        found.append(Condition("good_taught", title, True, good, shown.good_taught))
    return [condition for condition in found if condition.boards]


@dataclass(frozen=True)
class _Shown:
    """Reads and renders; a board looks the same in every run and with every `limit`."""

    with_reference: bool
    seed: int

    def plain(self, board: Board) -> View:
        reference = read_picture(_reference(board)) if self.with_reference else None
        return View(read_picture(board.picture), reference, Truth(board.boxes, board.classes))

    def misregistered(self, board: Board) -> View:
        """The reference lies as far off as registration may leave it."""
        view = self.plain(board)
        moved = _moved(read_picture(_reference(board)), self._rng(f"{board.name}/reference"))
        return View(view.picture, moved, view.truth)

    def good(self, board: Board) -> View:
        """A good board is never its own reference: that one is misregistered here."""
        picture = self._good_picture(board)
        moved = _moved(picture, self._rng(f"{board.name}/good")) if self.with_reference else None
        return View(picture, moved, _nothing())

    def marked(self, board: Board) -> View:
        """Its marks are on its reference too, misregistered: they are wanted."""
        picture = read_picture(board.picture)
        return View(picture, _moved(picture, self._rng(f"{board.name}/marked")), _nothing())

    def rendered(self, board: Board) -> View:
        view = self.plain(board)
        return self._through_camera(view, f"{board.name}/picture")

    def good_rendered(self, board: Board) -> View:
        """With a reference, that is another photograph of the same board, misregistered too."""
        picture = self._good_picture(board)
        reference = picture if self.with_reference else None
        return self._through_camera(View(picture, reference, _nothing()), f"{board.name}/good")

    def taught(self, board: Board) -> View:
        """As a station sees it beside the reference that it was taught."""
        return self._beside_taught(self.plain(board), f"{board.name}/taught")

    def good_taught(self, board: Board) -> View:
        picture = self._good_picture(board)
        return self._beside_taught(View(picture, picture, _nothing()), f"{board.name}/good taught")

    def _good_picture(self, board: Board) -> Picture:
        return read_picture(board.picture if board.reference is None else board.reference)

    def _through_camera(self, view: View, name: str) -> View:
        from training.drawing import camera  # noqa: PLC0415 - not needed for most data sets

        rng, truth = self._rng(name), view.truth
        if view.reference is None:
            shown, boxes = camera.render(view.picture, truth.boxes, rng, skins="held-out")
            return View(shown, None, _still_in_view(boxes, truth))
        shown, beside, boxes = camera.render_pair(
            view.picture, view.reference, truth.boxes, rng, skins="held-out"
        )
        return View(shown, beside, _still_in_view(boxes, truth))

    def _beside_taught(self, view: View, name: str) -> View:
        from training.drawing import camera  # noqa: PLC0415 - as above

        if view.reference is None:
            raise TrainingError(f"{name}: no reference, expected one")
        shown, beside, boxes = camera.render_beside_taught(
            view.picture, view.reference, view.truth.boxes, self._rng(name), skins="held-out"
        )
        return View(shown, beside, _still_in_view(boxes, view.truth))

    def _rng(self, name: str) -> np.random.Generator:
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        return np.random.default_rng([self.seed, int.from_bytes(digest, "big")])


def _moved(picture: Picture, rng: np.random.Generator) -> Picture:
    """As registration might have placed it; a scan stays black and white."""
    from training.drawing.posing import Pose, misregistered, place  # noqa: PLC0415 - as above

    rows, columns = picture.shape[:2]
    scan = is_scan(picture)
    where = misregistered(Pose(np.eye(2, 3), max(rows, columns)), rng)
    moved = place(picture, where, outside=_PAPER if scan else PADDING_GRAY)[:rows, :columns]
    return np.where(moved >= _PAPER / 2, _PAPER, 0).astype(np.uint8) if scan else moved


def _nothing() -> Truth:
    return Truth(np.empty((0, 4), np.float32), np.empty(0, np.int64))


def _still_in_view(boxes: FloatArray, before: Truth) -> Truth:
    """Truth after rendering; a box that left the picture has come back empty."""
    if len(boxes) != len(before.classes):
        raise TrainingError(f"{len(before.classes)} boxes were rendered and {len(boxes)} came back")
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Truth(boxes[seen], before.classes[seen])


def _reference(board: Board) -> Path:
    if board.reference is None:
        raise WrongInputError.found(board.picture, "no reference", "one")
    return board.reference


def _is_scan(board: Board) -> bool:
    picture = read_picture(board.picture)
    return picture.shape == (SIZE_PX, SIZE_PX) and is_scan(picture)


def _picked(boards: Sequence[Board], limit: int | None) -> list[Board]:
    if limit is None or limit >= len(boards):
        return list(boards)
    at = np.linspace(0, len(boards) - 1, limit).round().astype(int)
    return [boards[i] for i in at]
