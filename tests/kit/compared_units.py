"""Units that are compared with a reference: drawn boards of small products, and their jobs."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.core.recipes import Job, ModelName, Reference
from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    Image,
    ModelInput,
    Outline,
    TriggerKind,
    UnitRef,
)
from inspector.simulation.board import SimulatedBoard, draw_board
from inspector.simulation.circuit import lay_out
from inspector.simulation.defects import DefectCode
from tests.kit import jobs

WIDTH_PX, HEIGHT_PX = 320, 300
SEED = 3
GOLDEN = ModelName(name="pcb_golden_inspection")
CAMERA = CameraId("a")
INPUT = ModelInput(
    name="image",
    width_px=256,
    height_px=256,
    channels_first=False,
    channels=2,
    dtype="UINT8",
    rgb=False,
)


class Picture:
    """A lease that counts who gave it back."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.released = 0

    def release(self) -> None:
        self.released += 1


@lru_cache(maxsize=64)
def board(
    number: int = 1, *, product: int = 0, defects: tuple[DefectCode, ...] = ()
) -> SimulatedBoard:
    return draw_board(
        number,
        seed=SEED,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        defects=defects,
        product=product,
    )


def reference(
    picture: Image | None = None,
    deviation: NDArray[np.uint8] | None = None,
    *,
    product: int = 0,
) -> Reference:
    """Of a product whose boards differ in the label with their serial, if nothing else is said."""
    mean = board(product=product).picture if picture is None else picture
    if deviation is None:
        deviation = np.zeros(mean.shape[:2], np.uint8)
        if picture is None:
            x, y, width, height = lay_out(SEED, product, WIDTH_PX, HEIGHT_PX).label_px
            deviation[y : y + height, x : x + width] = 110
    digest = f"{hash((mean.tobytes(), deviation.tobytes())) & 0xFFFFFFFF:064x}"
    return Reference(id=f"{product}/1", sha256=digest, mean=mean.copy(), deviation=deviation)


def damaged(picture: Image, x_px: int, y_px: int, *, side_px: int = 9) -> Image:
    """A square of it is as dark as a light place, or the reverse: changed where it is."""
    changed = picture.copy()
    part = changed[y_px : y_px + side_px, x_px : x_px + side_px]
    part[:] = np.where(part.mean(axis=2, keepdims=True) < 128, 235, 15)
    return changed


def job(of: Reference | None = None, **of_recipe: Any) -> Job:
    """Under which every frame is compared."""
    made = jobs.job(cropping=of_recipe.pop("cropping", jobs.CROPPING))
    described = {"golden": GOLDEN, "reference": of or reference(), **of_recipe}
    return replace(made, recipe=replace(made.recipe, **described))


def frame(
    image: Image, under: Job | None = None, *, outline: Outline | None = None, sequence: int = 0
) -> Frame:
    unit = UnitRef(
        camera_id=CAMERA,
        index=sequence,
        kind=TriggerKind.EVERY_FRAME,
        triggered_mono_ns=0,
        triggered_unix_ns=0,
        job=under or job(),
    )
    ref = FrameRef(
        camera_id=CAMERA,
        sequence=sequence,
        captured_mono_ns=0,
        captured_unix_ns=0,
        unit=unit,
        outline=outline,
    )
    return Frame(ref=ref, lease=Picture(image))
