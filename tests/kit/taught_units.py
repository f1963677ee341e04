"""Units to teach from: drawn boards as frames show them, each lying a little differently."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from inspector.core.geometry import between_centres, frame_matrix
from inspector.core.recipes import Job
from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    Image,
    JudgedUnit,
    Outline,
    TriggerKind,
    UnitRef,
)
from inspector.products.reference import ShownUnit, Sight
from inspector.simulation.board import SimulatedBoard, draw_board
from inspector.simulation.defects import DefectCode
from tests.kit.jobs import TOP

WIDTH_PX, HEIGHT_PX = 460, 430
FRAME_PX = (560, 500)
SEED = 5
Change = Callable[[Image], Image]


def board(
    number: int, defects: Sequence[DefectCode] = (), *, product: int = 0, seed: int = SEED
) -> SimulatedBoard:
    return draw_board(
        number, seed=seed, width_px=WIDTH_PX, height_px=HEIGHT_PX, defects=defects, product=product
    )


def unit(
    number: int, picture: Image, *, frames: int = 3, found_off_px: tuple[float, float] = (0, 0)
) -> ShownUnit:
    """The unit as several frames show it; its outlines are found so far off."""
    rng = np.random.default_rng([SEED, number])
    return ShownUnit(
        number=number,
        sights=tuple(sight(picture, rng, found_off_px=found_off_px) for _ in range(frames)),
    )


def sight(
    picture: Image, rng: np.random.Generator, *, found_off_px: tuple[float, float] = (0, 0)
) -> Sight:
    """The unit on a belt, somewhere, slightly turned, in some light, through a noisy camera."""
    height_px, width_px = picture.shape[:2]
    lies = Outline(
        centre_x_px=FRAME_PX[0] / 2 + float(rng.uniform(-25, 25)),
        centre_y_px=FRAME_PX[1] / 2 + float(rng.uniform(-12, 12)),
        width_px=width_px,
        height_px=height_px,
        turn_deg=float(rng.uniform(-1, 1)),
    )
    frame = np.full((FRAME_PX[1], FRAME_PX[0], 3), 52, np.uint8)
    cv2.warpAffine(
        picture,
        np.array(between_centres(frame_matrix(lies))),
        FRAME_PX,
        dst=frame,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    light = float(rng.uniform(0.9, 1.05)) + np.linspace(-0.05, 0.05, FRAME_PX[0])[None, :, None]
    noisy = frame * light + rng.normal(0, 2.5, frame.shape)
    found = Outline(
        centre_x_px=lies.centre_x_px + found_off_px[0] + float(rng.normal(0, 0.2)),
        centre_y_px=lies.centre_y_px + found_off_px[1] + float(rng.normal(0, 0.2)),
        width_px=width_px + float(rng.normal(0, 0.2)),
        height_px=height_px + float(rng.normal(0, 0.2)),
        turn_deg=lies.turn_deg + float(rng.normal(0, 0.02)),
    )
    return Sight(image=np.clip(np.round(noisy), 0, 255).astype(np.uint8), outline=found)


def good_units(count: int, *, first: int = 1) -> list[ShownUnit]:
    return [unit(number, board(number).picture) for number in range(first, first + count)]


def with_spot(picture: Image, x_px: int, y_px: int, size_px: int, grey: int) -> Image:
    changed = picture.copy()
    cv2.circle(changed, (x_px, y_px), size_px // 2, (grey, grey, grey), cv2.FILLED, cv2.LINE_AA)
    return changed


class CountedLease:
    """A buffer that counts who gave it back."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.released = 0

    def release(self) -> None:
        self.released += 1


def frame_of(
    shown: ShownUnit,
    number: int,
    *,
    job: Job,
    camera: CameraId = TOP,
    outlined: bool = True,
) -> Frame:
    """One frame of a unit as the gate offers it; `number` counts its frames from 0."""
    sight = shown.sights[number]
    unit = UnitRef(
        camera_id=camera,
        index=shown.number - 1,
        kind=TriggerKind.PRESENCE,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
        job=job,
    )
    ref = FrameRef(
        camera_id=camera,
        sequence=shown.number * 10 + number,
        captured_mono_ns=0,
        captured_unix_ns=0,
        unit=unit,
        outline=sight.outline if outlined else None,
    )
    return Frame(ref=ref, lease=CountedLease(sight.image.copy()))


def judged(frame: Frame, number: int) -> JudgedUnit:
    unit = frame.ref.unit
    assert unit is not None
    return JudgedUnit(ref=unit, number=number, id=f"SN-{number}", event_id=f"event-{number}")
