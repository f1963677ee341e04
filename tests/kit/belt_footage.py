"""Pictures of boards on a belt, for tests: any way to move, to turn the camera, to light."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from inspector.core.geometry import outline_box_px
from inspector.core.recipes import Job
from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    Image,
    MissReason,
    UnitClosed,
    UnitOpened,
)
from inspector.flow.frame_pool import FramePool
from inspector.settings.sections import CameraSettings
from inspector.settings.types import Size
from inspector.simulation.belt import SimulatedView
from inspector.simulation.options import SimulationOptions
from inspector.triggers.presence.trigger import PresenceTrigger
from inspector.triggers.presence.units import FRAMES_HELD
from tests.kit import jobs

Box = tuple[float, float, float, float]
WIDTH_PX, HEIGHT_PX = 1100, 360
MS = 1_000_000
CAMERA = CameraId("top")


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame: where the belt is, when, and how it is lit."""

    belt: int
    """The frame of the simulated line."""
    at_ms: int
    change: Callable[[Image], Image] | None = None


def shots(
    belt: Iterable[int], interval_ms: int = 33, change: Callable[[Image], Image] | None = None
) -> list[Shot]:
    return [Shot(at, n * interval_ms, change) for n, at in enumerate(belt, 1)]


@dataclass
class Line:
    """A simulated belt that goes left, as a camera that may be turned sees it."""

    travel: str = "left"
    options: SimulationOptions = field(
        default_factory=lambda: SimulationOptions(speed=10.0, gap=130, boards=3, seed=5)
    )
    settings: dict[str, object] = field(default_factory=dict)
    job_for: Callable[[int], Job] | None = None
    told: list[UnitOpened | UnitClosed] = field(default_factory=list)
    chosen: list[Frame] = field(default_factory=list)
    """Their buffers are given back already."""
    belt_of: dict[int, int] = field(default_factory=dict)
    idle: int = 0
    frames: int = 0

    def __post_init__(self) -> None:
        self.view = SimulatedView(self.options, (WIDTH_PX, HEIGHT_PX))
        upright = self.travel in {"left", "right"}
        self.size = Size(WIDTH_PX, HEIGHT_PX) if upright else Size(HEIGHT_PX, WIDTH_PX)
        settings = {"source": "sim:", "size": str(self.size), "trigger": "presence"}
        camera = CameraSettings.model_validate(settings | {"travel": self.travel} | self.settings)
        self.pool = FramePool(buffers=FRAMES_HELD + 1, size=self.size)
        job = jobs.job(frames_of_unit=camera.frames_of_unit)
        self.trigger = PresenceTrigger(
            CAMERA,
            camera,
            job_now=lambda: job,
            job_for=self.job_for,
            spread_ns=800 * MS,
            tell=self.told.append,
            on_idle=self._count,
        )
        self._picture = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)

    def _count(self, frames: int) -> None:
        self.idle += frames

    def run(self, footage: Sequence[Shot]) -> Line:
        start_ms = 1000 + self.frames * 33
        for shot in footage:
            lease = self.pool.lease()
            assert lease is not None, "more frames are held than promised"
            self.view.render_into(shot.belt, self._picture)
            picture = self._turned(self._picture)
            lease.image[:] = picture if shot.change is None else shot.change(picture)
            at_ns = (start_ms + shot.at_ms) * MS
            ref = FrameRef(
                camera_id=CAMERA,
                sequence=self.frames,
                captured_mono_ns=at_ns,
                captured_unix_ns=at_ns,
            )
            self.belt_of[self.frames] = shot.belt
            self.frames += 1
            self.take(self.trigger.observe(Frame(ref=ref, lease=lease)))
        return self

    def interrupt(self, reason: MissReason = MissReason.CAMERA_LOST) -> Line:
        self.take(self.trigger.interrupted(reason, "gone"))
        return self

    def take(self, frames: Sequence[Frame]) -> None:
        opened = {told.unit.index for told in self.told if isinstance(told, UnitOpened)}
        for frame in frames:
            assert frame.ref.unit is not None
            assert frame.ref.unit.index in opened, "told before"
            frame.lease.release()
            self.chosen.append(frame)

    @property
    def opened(self) -> list[int]:
        return [told.unit.index for told in self.told if isinstance(told, UnitOpened)]

    @property
    def misses(self) -> list[MissReason | None]:
        closed = [told for told in self.told if isinstance(told, UnitClosed)]
        return [told.miss for told in sorted(closed, key=lambda told: told.unit.index)]

    def of_unit(self, index: int) -> list[Frame]:
        return [frame for frame in self.chosen if frame.ref.unit and frame.ref.unit.index == index]

    def errors_px(self, number: int, frame: Frame) -> float:
        """How far the box around the outline is from that around board `number`."""
        assert frame.ref.outline is not None
        found = outline_box_px(frame.ref.outline)
        truth = self.view.truth(self.belt_of[frame.ref.sequence])
        (x, y, width, height) = next(b.outline_px for b in truth if b.number == number)
        true = self._turned_box((x, y, x + width, y + height))
        return max(abs(a - b) for a, b in zip(found, true, strict=True))

    def is_whole(self, number: int, frame: Frame) -> bool:
        truth = self.view.truth(self.belt_of[frame.ref.sequence])
        return any(board.fully_in_view for board in truth if board.number == number)

    def _turned(self, picture: Image) -> Image:
        match self.travel:
            case "right":
                return picture[:, ::-1]
            case "up":
                return picture.transpose(1, 0, 2)
            case "down":
                return picture.transpose(1, 0, 2)[::-1]
        return picture

    def _turned_box(self, box: Box) -> Box:
        left, top, right, bottom = box
        match self.travel:
            case "right":
                return WIDTH_PX - right, top, WIDTH_PX - left, bottom
            case "up":
                return top, left, bottom, right
            case "down":
                return top, WIDTH_PX - right, bottom, WIDTH_PX - left
        return box


def dark(picture: Image) -> Image:
    """The light is off: hardly more than noise."""
    return cv2.convertScaleAbs(picture, alpha=0.04).astype(np.uint8)


def faint(picture: Image) -> Image:
    """Boards nearly as dark as the belt: a tenth of the contrast, the camera's noise again."""
    noise = np.empty(picture.shape, np.int8)
    cv2.setRNGSeed(int(picture[0, 0, 0]) + int(picture[5, 5, 1]) * 256)
    cv2.randn(noise, np.full(3, 70.0), np.full(3, 1.5))
    return cv2.addWeighted(picture, 0.1, noise.astype(np.uint8), 1.0, -4.4).astype(np.uint8)


def light_belt(picture: Image) -> Image:
    """A belt four times as light, and boards darker than it; shadows stay shadows."""
    levels = np.arange(256)
    table = np.where(levels < 52, levels * 4, np.clip(150 - (levels - 52) * 0.7, 0, 255))
    return cv2.blur(cv2.LUT(picture, table.astype(np.uint8)), (2, 2)).astype(np.uint8)
