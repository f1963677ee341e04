"""What is true about a line video: which boards pass, where each is in a frame, what is wrong.

Pure. The form is that of the JSON beside the videos, with a few keys more for generated ones:
`params.travel` (the videos themselves go to the right, which their JSON does not say),
`params.travelled_px` (how far the belt has moved at each frame, where its speed changes), and per
board `along_px`, `width`, `height` and `may_be_uninspected`. Product runs name the way to go in
`params.direction`, and per board the `product` on order, its `role` (teach or inspect) and whether
it is `foreign`: of another design than the product's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from inspector.core.records import Outline

Travel = Literal["left", "right", "up", "down"]
_DIRECTIONS: Mapping[str, Travel] = {"ltr": "right", "rtl": "left"}


@dataclass(frozen=True, slots=True)
class TrueBox:
    """A defect that is there; in the pixels of the upright board, from its top left corner."""

    code: str
    x_px: float
    y_px: float
    width_px: float
    height_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueBoard:
    """A board that passes."""

    number: int
    serial: str
    ok: bool
    defects: tuple[TrueBox, ...]
    width_px: float
    height_px: float
    rotation_deg: float
    """Clockwise as seen."""
    across_px: float
    """Its near edge, before it is turned, across the belt: the top, where it goes sideways."""
    along_px: float
    """Its front edge, before it is turned, has come this far into the picture when the belt has
    travelled 0; from the edge where boards come in."""
    along_reach_px: float = 0.0
    """How much further it may be: JSON that names frames only leaves that open."""
    may_be_uninspected: bool = False
    """It cannot be seen for so long that "nobody looked" is a right answer too."""
    product: str | None = None
    """What is on order when it passes; None where products do not matter."""
    taught: bool = False
    """It is shown to be learned from."""
    foreign: bool = False
    """It is of another design than the product on order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTruth:
    """The truth of one video."""

    name: str
    width_px: int
    height_px: int
    fps: float
    frames: int
    travel: Travel
    speed_px: float
    """Per frame."""
    boards: tuple[TrueBoard, ...]
    travelled_px: tuple[float, ...] = field(default=(), repr=False)
    """By frame; empty where the belt never changes its speed."""

    def moved_px(self, frame: int) -> float:
        """How far the belt has gone at this frame."""
        if not self.travelled_px:
            return self.speed_px * frame
        return self.travelled_px[min(frame, len(self.travelled_px) - 1)]

    def outline(self, board: TrueBoard, frame: int) -> Outline:
        """Where a board is in a frame, also beyond the picture's edges."""
        return self.outline_at(board, self.moved_px(frame))

    def outline_at(self, board: TrueBoard, moved_px: float) -> Outline:
        """Where a board is once the belt has gone so far."""
        length, breadth = board.width_px, board.height_px
        if self.travel in {"up", "down"}:
            length, breadth = breadth, length
        centre_in = board.along_px + moved_px - length / 2
        across = board.across_px + breadth / 2
        x, y = {
            "right": (centre_in, across),
            "left": (self.width_px - centre_in, across),
            "down": (across, centre_in),
            "up": (across, self.height_px - centre_in),
        }[self.travel]
        return Outline(
            centre_x_px=x,
            centre_y_px=y,
            width_px=board.width_px,
            height_px=board.height_px,
            turn_deg=board.rotation_deg,
        )

    def is_fully_in(self, board: TrueBoard, frame: int) -> bool:
        """Whether every corner of the turned board is in the picture."""
        return all(
            0 <= x <= self.width_px and 0 <= y <= self.height_px
            for x, y in corners(self.outline(board, frame))
        )

    def nearest(self, frame: int) -> TrueBoard | None:
        """The board whose middle is nearest to the picture's."""
        middle = (self.width_px / 2, self.height_px / 2)

        def distance(board: TrueBoard) -> float:
            at = self.outline(board, frame)
            return math.dist(middle, (at.centre_x_px, at.centre_y_px))

        return min(self.boards, key=distance, default=None)

    def with_board(self, board: TrueBoard) -> LineTruth:
        """The same, one board known better."""
        boards = tuple(board if one.number == board.number else one for one in self.boards)
        return replace(self, boards=boards)

    def as_json(self) -> dict[str, Any]:
        """The JSON beside a video; `of_json` reads it."""
        first = self.boards[0] if self.boards else None
        return {
            "params": {
                "speed": self.speed_px,
                "fps": self.fps,
                "frames": self.frames,
                "travel": self.travel,
                "width": self.width_px,
                "height": self.height_px,
                "board_width": first.width_px if first else 0,
                "board_height": first.height_px if first else 0,
                "travelled_px": list(self.travelled_px),
            },
            "boards": [self._written(board) for board in self.boards],
        }

    def _written(self, board: TrueBoard) -> dict[str, Any]:
        inside = [frame for frame in range(self.frames) if self.is_fully_in(board, frame)]
        return {
            "number": board.number,
            "serial": board.serial,
            "ok": board.ok,
            "defects": [
                {"code": d.code, "bbox": [d.x_px, d.y_px, d.width_px, d.height_px]}
                for d in board.defects
            ],
            "frame_fully_in": inside[0] if inside else None,
            "frame_starts_leaving": inside[-1] if inside else None,
            "rotation_deg": board.rotation_deg,
            "top_px": board.across_px,
            "along_px": board.along_px,
            "width": board.width_px,
            "height": board.height_px,
            "may_be_uninspected": board.may_be_uninspected,
            "product": board.product,
            "role": "teach" if board.taught else "inspect",
            "foreign": board.foreign,
        }

    @classmethod
    def of_video(cls, video: Path) -> Self:
        """Read the JSON beside a video; OSError or ValueError where there is none."""
        return cls.of_json(video.stem, json.loads(video.with_suffix(".json").read_text()))

    @classmethod
    def of_json(cls, name: str, written: Mapping[str, Any]) -> Self:
        """Take the parsed JSON."""
        params = written["params"]
        return cls(
            name=name,
            width_px=params["width"],
            height_px=params["height"],
            fps=params["fps"],
            frames=params["frames"],
            travel=params.get("travel") or _DIRECTIONS[params.get("direction", "ltr")],
            speed_px=params["speed"],
            boards=tuple(_board(board, params) for board in written["boards"]),
            travelled_px=tuple(params.get("travelled_px", ())),
        )


def _board(written: Mapping[str, Any], params: Mapping[str, Any]) -> TrueBoard:
    width = written.get("width", params["board_width"])
    height = written.get("height", params["board_height"])
    along, reach = written.get("along_px"), 0.0
    if along is None:
        along, reach = _along(written, params)
    return TrueBoard(
        number=written["number"],
        serial=written["serial"],
        ok=written["ok"],
        defects=tuple(TrueBox(d["code"], *d["bbox"]) for d in written["defects"]),
        width_px=width,
        height_px=height,
        rotation_deg=written["rotation_deg"],
        across_px=written["top_px"],
        along_px=along,
        along_reach_px=reach,
        may_be_uninspected=written.get("may_be_uninspected", False),
        product=None if written.get("product") is None else str(written["product"]),
        taught=written.get("role") == "teach",
        foreign=written.get("foreign", False),
    )


def _along(written: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[float, float]:
    """The least place that fits the two frames, and how far it may be beyond.

    As measured in all 36 boards of the three videos: unturned, the board's back edge comes into
    the picture in `frame_fully_in` (0 <= left < speed), and its front edge is still inside in
    `frame_starts_leaving`, one frame later no more.
    """
    speed, first, last = params["speed"], written["frame_fully_in"], written["frame_starts_leaving"]
    room = params["width"] - params["board_width"]
    stay = speed * (last - first)
    least, most = max(0.0, room - stay - speed), min(speed, room - stay)
    return params["board_width"] + least - speed * first, max(0.0, most - least)


def corners(outline: Outline) -> Sequence[tuple[float, float]]:
    """Top left, top right, bottom right and bottom left of the turned rectangle."""
    half_width, half_height = outline.width_px / 2, outline.height_px / 2
    return [
        to_frame(outline, half_width + x, half_height + y)
        for x, y in (
            (-half_width, -half_height),
            (half_width, -half_height),
            (half_width, half_height),
            (-half_width, half_height),
        )
    ]


def to_frame(outline: Outline, x_px: float, y_px: float) -> tuple[float, float]:
    """A point of the upright board, in frame pixels."""
    turn = math.radians(outline.turn_deg)
    x, y = x_px - outline.width_px / 2, y_px - outline.height_px / 2
    return (
        outline.centre_x_px + x * math.cos(turn) - y * math.sin(turn),
        outline.centre_y_px + x * math.sin(turn) + y * math.cos(turn),
    )


def box_in_frame(outline: Outline, box: TrueBox) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a defect in the frame: around its turned box."""
    points = [
        to_frame(outline, box.x_px + x, box.y_px + y)
        for x in (0, box.width_px)
        for y in (0, box.height_px)
    ]
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
