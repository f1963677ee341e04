"""Paints a scenario frame by frame, and says what is true about each.

The whole belt is composed once, as long as the line is; a frame is a copy of a part of it with
noise over it: about 2 ms for 1280x720.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.line.artwork import Artwork, drawn_boards, scanned_boards
from benchmarks.line.designs import boards_of_run, drawn_designs, scanned_designs
from benchmarks.line.scenarios import Scenario
from benchmarks.line.truth import LineTruth, TrueBoard, corners
from inspector.core.geometry import between_centres, frame_matrix
from inspector.core.records import Image, Outline

BELTS: dict[str, tuple[float, float, float]] = {
    "grey": (52, 48, 46),
    "blue": (112, 66, 34),
    "black": (24, 24, 24),
    "light": (150, 158, 156),
}
"""BGR."""
_ZERO = 48
"""Grey level of the noise picture that changes nothing."""
_REACH_PX = 48
_DARK = 0.03
_TURN_ON_FRAMES = 3
_ENOUGH_FRAMES = 9
_MARGIN_PX = 24


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A board's part of the composed belt, with and without it."""

    rows: slice
    columns: slice
    empty: Image


class Scene:
    """The frames of a scenario. One thread at a time; frame by frame in order is the fastest."""

    def __init__(self, scenario: Scenario, archive: Path | None = None) -> None:
        """`archive` is DeepPCB's, for scenarios with scanned boards."""
        self.scenario = scenario
        artworks = list(_artworks(scenario, archive))
        along = _along(scenario, artworks)
        boards = tuple(
            _board(scenario, number, a, along[number - 1]) for number, a in enumerate(artworks, 1)
        )
        self._length_px = scenario.picture_px[0 if scenario.travel in {"left", "right"} else 1]
        end_px = -along[-1] + self._length_of(boards[-1]) + self._length_px + 60
        travelled = scenario.travelled_px(end_px)
        whole = LineTruth(
            name=scenario.name,
            width_px=scenario.picture_px[0],
            height_px=scenario.picture_px[1],
            fps=scenario.fps,
            frames=len(travelled),
            travel=scenario.travel,
            speed_px=scenario.speed_px,
            boards=boards,
            travelled_px=tuple(float(at) for at in travelled),
        )
        self._low_px, self._high_px = min(travelled) - self._length_px, max(travelled)
        self._belt, self._places = self._compose(whole, artworks)
        self._noise = _draw_noise(scenario)
        self._gone = False
        self.truth = _judgeable(whole, scenario)

    def _length_of(self, board: TrueBoard) -> float:
        return board.width_px if self.scenario.travel in {"left", "right"} else board.height_px

    def render_into(self, frame: int, image: Image) -> None:
        """Write frame `frame` into `image`."""
        self._show_withdrawn(frame)
        at = round(self.truth.moved_px(frame))
        start = self._start(at)
        if self.scenario.travel in {"left", "right"}:
            seen = self._belt[:, start : start + self._length_px]
        else:
            seen = self._belt[start : start + self._length_px]
        rng = np.random.default_rng([self.scenario.seed, 211, frame])
        dx, dy = (int(value) for value in rng.integers(0, _REACH_PX, 2))
        height, width = image.shape[:2]
        noise = self._noise[dy : dy + height, dx : dx + width]
        gain = self.brightness(frame) * (1 + float(rng.normal(0, self.scenario.light.flicker)))
        cv2.addWeighted(seen, gain, noise, 1, -_ZERO, dst=image)

    def brightness(self, frame: int) -> float:
        """Of the lamps: 1 as composed."""
        light = self.scenario.light
        if light.off is not None and light.off[0] <= frame < light.off[1]:
            return _DARK
        fallen = light.fall * frame / max(1, self.truth.frames - 1)
        return (1 + light.drift * math.sin(frame / 47)) * (1 - fallen)

    def _start(self, travelled_px: int) -> int:
        """Which part of the composed belt is in the picture."""
        if self.scenario.travel in {"right", "down"}:
            return self._high_px - travelled_px
        return travelled_px - self._length_px - self._low_px

    def _compose(
        self, truth: LineTruth, artworks: list[Artwork]
    ) -> tuple[Image, dict[int, _Place]]:
        """Lay the boards on the belt; the picture at travel T shows it from `_start(T)` on."""
        sideways = truth.travel in {"left", "right"}
        length = self._high_px - self._low_px
        breadth = truth.height_px if sideways else truth.width_px
        belt = _draw_belt(self.scenario, length, breadth, sideways=sideways)
        places = {}
        for board, artwork in zip(truth.boards, artworks, strict=True):
            start = self._start(0)
            outline = truth.outline_at(board, 0.0)
            moved = replace(
                outline,
                centre_x_px=outline.centre_x_px + (start if sideways else 0),
                centre_y_px=outline.centre_y_px + (0 if sideways else start),
            )
            places[board.number] = _lay(belt, moved, artwork.picture)
            self._smear(belt, places[board.number], sideways=sideways)
        return belt, places

    def _smear(self, belt: Image, place: _Place, *, sideways: bool) -> None:
        part = belt[place.rows, place.columns]
        blur = max(1, self.scenario.blur_px)
        cv2.blur(part, (blur, 1) if sideways else (1, blur), dst=part)
        cv2.GaussianBlur(part, (3, 3), 0.6, dst=part)

    def _show_withdrawn(self, frame: int) -> None:
        """Take the withdrawn board off the belt from the frame on in which it is out again."""
        number = self.scenario.withdrawn
        if number is None:
            return
        gone = frame >= self._withdrawn_at()
        if gone == self._gone:
            return
        place = self._places[number]
        part = self._belt[place.rows, place.columns]
        part[:], place.empty[:] = place.empty.copy(), part.copy()
        self._gone = gone

    def _withdrawn_at(self) -> int:
        """The frame after which the belt goes forwards again."""
        return sum(frames for frames, _ in self.scenario.motion)


def _artworks(scenario: Scenario, archive: Path | None) -> Iterator[Artwork]:
    if scenario.run is not None:
        designs = (
            drawn_designs(scenario.board_px, seed=scenario.seed)
            if archive is None or scenario.skin is None
            else scanned_designs(archive, seed=scenario.seed, skin=scenario.skin)
        )
        return boards_of_run(designs, scenario.run, seed=scenario.seed)
    if scenario.skin is None:
        return drawn_boards(
            scenario.boards, scenario.board_px, seed=scenario.seed, products=scenario.products
        )
    if archive is None:
        msg = f"{scenario.name} shows boards of DeepPCB, which is not there"
        raise ValueError(msg)
    return scanned_boards(archive, scenario.boards, seed=scenario.seed, skin=scenario.skin)


def _along(scenario: Scenario, artworks: list[Artwork]) -> list[float]:
    """Where each board's front edge is when the belt has not moved: 0 is just coming in."""
    rng = np.random.default_rng([scenario.seed, 212])
    axis = 1 if scenario.travel in {"left", "right"} else 0
    at, found = -scenario.lead_px, []
    for artwork in artworks:
        found.append(at)
        at -= artwork.picture.shape[axis] + float(rng.integers(*scenario.gaps_px, endpoint=True))
    return found


def _board(scenario: Scenario, number: int, artwork: Artwork, along_px: float) -> TrueBoard:
    rng = np.random.default_rng([scenario.seed, 213, number])
    height, width = artwork.picture.shape[:2]
    sideways = scenario.travel in {"left", "right"}
    free = scenario.picture_px[1] - height if sideways else scenario.picture_px[0] - width
    return TrueBoard(
        number=number,
        serial=artwork.serial,
        ok=not artwork.defects,
        defects=artwork.defects,
        width_px=width,
        height_px=height,
        rotation_deg=round(float(rng.uniform(-1, 1)) * scenario.tilt_deg, 3),
        across_px=round(free / 2 + float(rng.uniform(-1, 1)) * min(12.0, free / 6), 1),
        along_px=along_px,
        product=artwork.product,
        taught=artwork.taught,
        foreign=artwork.foreign,
    )


def _judgeable(truth: LineTruth, scenario: Scenario) -> LineTruth:
    """Without what was taken off the belt; boards hidden by darkness are excused."""
    boards = [board for board in truth.boards if board.number != scenario.withdrawn]
    if scenario.light.off is not None:
        first, end = scenario.light.off[0], scenario.light.off[1] + _TURN_ON_FRAMES
        boards = [
            replace(
                board,
                may_be_uninspected=sum(
                    truth.is_fully_in(board, n) and not first <= n < end
                    for n in range(truth.frames)
                )
                < _ENOUGH_FRAMES,
            )
            for board in boards
        ]
    return replace(truth, boards=tuple(boards))


def _lay(belt: Image, outline: Outline, picture: Image) -> _Place:
    """Paint a board and its shadow on the belt."""
    xs, ys = zip(*corners(outline), strict=True)
    left, right = max(0, math.floor(min(xs)) - _MARGIN_PX), math.ceil(max(xs)) + _MARGIN_PX
    top, bottom = max(0, math.floor(min(ys)) - _MARGIN_PX), math.ceil(max(ys)) + _MARGIN_PX
    rows, columns = slice(top, bottom), slice(left, right)
    part = belt[rows, columns]
    empty = part.copy()
    local = replace(
        outline,
        centre_x_px=outline.centre_x_px - left,
        centre_y_px=outline.centre_y_px - top,
    )
    size = (part.shape[1], part.shape[0])
    solid = np.full(picture.shape[:2], 255, np.uint8)
    matrix = np.array(between_centres(frame_matrix(local)))
    mask = np.asarray(cv2.warpAffine(solid, matrix, size, flags=cv2.INTER_LINEAR))
    shadow = cv2.GaussianBlur(np.roll(mask, (4, 3), (0, 1)), (0, 0), 5).astype(np.float32) / 255
    turned = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    share = (mask.astype(np.float32) / 255)[..., None]
    mixed = part * (1 - 0.35 * shadow[..., None]) * (1 - share) + turned * share
    part[:] = np.round(mixed).astype(np.uint8)
    return _Place(rows, columns, empty)


def _draw_belt(scenario: Scenario, length: int, breadth: int, *, sideways: bool) -> Image:
    """Woven and worn; as long as the line."""
    rng = np.random.default_rng([scenario.seed, 214])
    tile = 1024
    threads = rng.normal(0, 1, (breadth, tile)).astype(np.float32)
    fine = cv2.GaussianBlur(threads, (0, 0), sigmaX=6, sigmaY=0.8, borderType=cv2.BORDER_REFLECT)
    worn = cv2.GaussianBlur(rng.normal(0, 1, (breadth, 1)).astype(np.float32), (1, 0), 6)
    light = 1 + fine * 0.12 + worn * 0.06
    if scenario.seam:
        light[:, 700:704] *= 0.8
    shades = [np.clip(light * shade, 0, 255) for shade in BELTS[scenario.belt]]
    piece = cv2.merge(shades).astype(np.uint8)
    belt = np.tile(piece, (1, -(-length // tile), 1))[:, :length]
    return np.ascontiguousarray(belt if sideways else belt.transpose(1, 0, 2))


def _draw_noise(scenario: Scenario) -> NDArray[np.uint8]:
    width, height = (side + _REACH_PX for side in scenario.picture_px)
    rng = np.random.default_rng([scenario.seed, 215])
    noise = rng.standard_normal((height, width, 3), dtype=np.float32) * scenario.light.noise
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    noise += _ZERO - scenario.light.vignette / 2 * (x * x + y * y)
    return np.clip(np.round(noise), 0, 255).astype(np.uint8)
