"""Units of product runs as a taught model sees them: registered, letterboxed, three frames each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.line.footage import images_of_video
from benchmarks.line.locating import located
from benchmarks.line.scenarios import Scenario
from benchmarks.line.scene import Scene
from benchmarks.line.truth import LineTruth, TrueBoard
from inspector.core.geometry import fit, then, upright_matrix
from inspector.core.records import Image, Outline, Rect
from inspector.core.warping import into_letterbox, warp
from inspector.products.reference import Learned, NotLearned, ShownUnit, Sight, learn
from inspector.products.registration import Registrar

SIZE_PX = 640
SHARES = (0.2, 0.5, 0.8)
"""Of a board's passage: when it is looked at."""
MARGIN_PX = 44
LEAST_LIKENESS = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit, registered."""

    number: int
    is_good: bool
    pictures: tuple[NDArray[np.uint8], ...]
    """(640, 640, 3) BGR each."""
    defects_px: tuple[tuple[float, float, float, float], ...] = ()
    """Left, top, right, bottom in those pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a model is taught from, and what it is tried on."""

    name: str
    taught: tuple[Unit, ...]
    tried: tuple[Unit, ...]
    inside: NDArray[np.bool_]
    """Where the letterboxed picture shows the unit."""


def products_of(video: Path) -> list[Product]:
    """The products of a run; a foreign board, which is refused by its likeness, is left out."""
    truth = LineTruth.of_video(video)
    images = images_of_video(video, truth.width_px, truth.height_px)
    return _products(truth, dict(_sights(truth, enumerate(images))))


def products_painted(scenario: Scenario, archive: Path | None) -> list[Product]:
    """The same of a run that is painted for it: only the frames that are looked at."""
    scene = Scene(scenario, archive)
    truth = scene.truth

    def painted() -> Iterator[tuple[int, Image]]:
        for frame in sorted(_wanted(truth)):
            image = np.empty((truth.height_px, truth.width_px, 3), np.uint8)
            scene.render_into(frame, image)
            yield frame, _compressed(image)

    return _products(truth, dict(_sights(truth, painted())))


def _compressed(image: Image) -> Image:
    """About what a video makes of it."""
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _products(truth: LineTruth, sights: dict[int, list[Sight]]) -> list[Product]:
    names = dict.fromkeys(board.product or "" for board in truth.boards)
    return [_product(truth, sights, name) for name in names]


def _wanted(truth: LineTruth) -> dict[int, list[TrueBoard]]:
    """By frame: the boards that are looked at in it."""
    wanted: dict[int, list[TrueBoard]] = {}
    for board in truth.boards:
        inside = [frame for frame in range(truth.frames) if _is_along(truth, board, frame)]
        for share in SHARES:
            frame = inside[round(share * (len(inside) - 1))]
            wanted.setdefault(frame, []).append(board)
    return wanted


def _sights(
    truth: LineTruth, images: Iterable[tuple[int, Image]]
) -> Iterator[tuple[int, list[Sight]]]:
    wanted = _wanted(truth)
    found: dict[int, list[Sight]] = {board.number: [] for board in truth.boards}
    known: dict[int, TrueBoard] = {}
    for frame, image in images:
        for board in wanted.get(frame, ()):
            if board.number not in known:
                known[board.number] = located(truth, board, frame, image)
            outline = truth.outline(known[board.number], frame)
            found[board.number].append(_cut(image, outline))
    yield from found.items()


def _is_along(truth: LineTruth, board: TrueBoard, frame: int) -> bool:
    """Whether it is in the picture lengthwise; a turned corner may be out of it."""
    middle_px = truth.outline(board, frame).centre_x_px
    return board.width_px / 2 <= middle_px <= truth.width_px - board.width_px / 2


def _cut(image: Image, outline: Outline) -> Sight:
    left = max(0, round(outline.centre_x_px - outline.width_px / 2) - MARGIN_PX)
    right = round(outline.centre_x_px + outline.width_px / 2) + MARGIN_PX
    moved = replace(outline, centre_x_px=outline.centre_x_px - left)
    return Sight(image=image[:, left:right].copy(), outline=moved)


def _product(truth: LineTruth, sights: dict[int, list[Sight]], name: str) -> Product:
    boards = [board for board in truth.boards if board.product == name and not board.foreign]
    taught = [
        ShownUnit(number=board.number, sights=tuple(sights[board.number]))
        for board in boards
        if board.taught
    ]
    learned = learn(taught)
    if isinstance(learned, NotLearned):
        raise ValueError(  # noqa: TRY004 - what was shown is wrong
            f"{truth.name} {name}: {learned.sentence}"
        )
    used = {unit.number for unit in learned.used}
    units = {board.number: _unit(board, sights[board.number], learned) for board in boards}
    height_px, width_px = learned.deviation.shape
    inside = np.zeros((SIZE_PX, SIZE_PX), np.bool_)
    box = fit(Rect(0, 0, width_px, height_px), width_px=SIZE_PX, height_px=SIZE_PX)
    right, bottom = round(width_px * box.scale), round(height_px * box.scale)
    inside[box.top_px : box.top_px + bottom, box.left_px : box.left_px + right] = True
    return Product(
        name=f"{truth.name}/{name}",
        taught=tuple(units[board.number] for board in boards if board.number in used),
        tried=tuple(units[board.number] for board in boards if not board.taught),
        inside=inside,
    )


def _unit(board: TrueBoard, sights: Sequence[Sight], learned: Learned) -> Unit:
    registrar = Registrar(learned.mean, learned.deviation)
    pictures = [registered(sight, registrar) for sight in sights]
    height_px, width_px = learned.deviation.shape
    box = fit(Rect(0, 0, width_px, height_px), width_px=SIZE_PX, height_px=SIZE_PX)
    scale_x, scale_y = width_px / board.width_px, height_px / board.height_px
    return Unit(
        number=board.number,
        is_good=board.ok,
        pictures=tuple(pictures),
        defects_px=tuple(
            (
                d.x_px * scale_x * box.scale + box.left_px,
                d.y_px * scale_y * box.scale + box.top_px,
                (d.x_px + d.width_px) * scale_x * box.scale + box.left_px,
                (d.y_px + d.height_px) * scale_y * box.scale + box.top_px,
            )
            for d in board.defects
        ),
    )


def registered(sight: Sight, registrar: Registrar) -> NDArray[np.uint8]:
    """The unit in the reference's geometry, letterboxed as for a model of 640x640."""
    pose = registrar.register(sight.image, upright_matrix(sight.outline))
    if not pose.fits(LEAST_LIKENESS):
        raise ValueError(f"does not fit its reference: {pose}")
    rect = Rect(0, 0, registrar.width_px, registrar.height_px)
    box = fit(rect, width_px=SIZE_PX, height_px=SIZE_PX)
    canvas = np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
    warp(sight.image, then(pose.matrix, into_letterbox(rect, box)), canvas, scale=box.scale)
    return canvas
