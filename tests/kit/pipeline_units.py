"""Runs the real pipeline for units of several frames: belts, triggers from outside, tiles.

As `kit`, whose cameras and server it uses; what is asked at the end of every run fits any trigger.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from inspector.core.ports import FrameSource, PictureKeeper
from inspector.core.recipes import Job
from inspector.core.records import CameraId, Grabbed, Image
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.model_check import ModelTerms
from inspector.inference.triton import TritonModel
from inspector.pipeline.build import Hooks
from inspector.pipeline.cameras import open_source
from inspector.service.external_triggers import expire_triggers
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.triggers.external.messages import Trigger, TriggerAnswer
from tests.kit.pipeline import (
    Line,
    Picture,
    ScriptedCamera,
    Step,
    ended_well,
    running_line,
    settings_for,
)

BELT, BOARD, DEFECT = 40, 130, 255
BOARD_PX = 160
SPEED_PX, FPS = 20, 40
SPACING_PX = 400
"""From one board's front to the next one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn(Picture):
    """A picture that `paint` draws; a stripe of its number makes it unlike the one before."""

    number: int
    paint: Callable[[Image], None] = lambda _image: None


class DrawingCamera(ScriptedCamera):
    """Plays `Drawn` steps too.

    A frame is stamped with the time at which it is due, however late it is read: as of a camera
    whose stream has time stamps, so that a busy machine does not make the belt jump.
    """

    def __init__(self, steps: Iterable[Step], stop: Event, may_begin: Event) -> None:
        super().__init__(steps, stop)
        self._may_begin = may_begin

    def open(self) -> None:
        self._may_begin.wait(20)
        super().open()

    def grab(self) -> Grabbed:
        grabbed = super().grab()
        now = self._now
        if isinstance(now, Drawn) and now.at_s is not None and self._began_s is not None:
            late_ns = max(0, grabbed.captured_mono_ns - round((self._began_s + now.at_s) * 1e9))
            grabbed = Grabbed(
                captured_mono_ns=grabbed.captured_mono_ns - late_ns,
                captured_unix_ns=grabbed.captured_unix_ns - late_ns,
            )
        return grabbed

    def retrieve_into(self, image: Image) -> None:
        super().retrieve_into(image)
        picture = self._now
        if isinstance(picture, Drawn):
            picture.paint(image)
            image[::2, -1] = picture.number % 16


def live(count: int, *, fps: float = 100, spot: Any = None, start_s: float = 0) -> Iterator[Step]:
    """Frames that differ from one another, as a live camera's do."""
    for number in range(count):
        yield Drawn(at_s=start_s + number / fps, spot=spot, number=number)


def stuck(count: int, *, fps: float = 100, start_s: float = 0) -> Iterator[Step]:
    """The same picture again and again."""
    for number in range(count):
        yield Drawn(at_s=start_s + number / fps, number=3)


def belt(boards: int, *, bad: Iterable[int] = (), width_px: int = 640) -> Iterator[Step]:
    """Boards that go to the left, at FPS; those in `bad` have a bright defect."""
    defective = set(bad)
    way_px = width_px + (boards - 1) * SPACING_PX + BOARD_PX + 60

    def paint(moved_px: int) -> Callable[[Image], None]:
        def draw(image: Image) -> None:
            for board in range(boards):
                left = width_px + board * SPACING_PX - moved_px
                if left >= width_px or left + BOARD_PX <= 0:
                    continue
                image[40:200, max(0, left) : left + BOARD_PX] = BOARD
                if board in defective and left + 60 > 0:
                    image[100:116, left + 60 : left + 80] = DEFECT

        return draw

    for number in range(10 + way_px // SPEED_PX):
        moved_px = max(0, number - 10) * SPEED_PX
        yield Drawn(at_s=number / FPS, number=number, paint=paint(moved_px))


def patient(url: str, cameras: Mapping[str, Mapping[str, Any]], **sections: Any) -> Settings:
    """Settings under which nothing is lost on a busy machine: for tests of other things."""
    unhurried: dict[str, Any] = {
        "batching": {"max_age_ms": 8000.0, "lane_capacity": 16},
        "inspection": {"deadline_ms": 8000.0},
    }
    for section, keys in sections.items():
        unhurried[section] = {**unhurried.get(section, {}), **keys}
    return settings_for(url, cameras, **unhurried)


class UnitLine(Line):
    """Units need not be frames."""

    def check_invariants(self) -> None:
        for camera in self.pipeline.cameras:
            self._check_camera(camera.camera_id)
        for unit in self.units:
            counts = unit["counts"]
            assert counts["frames_inspected"] + counts["frames_missed"] >= 1
            assert (unit["reason"] is None) == (unit["result"] in ("PASSED", "FAILED")), unit
            if unit["result"] == "PASSED":
                assert counts["frames_inspected"] == counts["frames_expected"], unit
        tensors = self.pipeline.tensors
        assert not tensors.lent, f"{tensors.lent} tensors did not come back"
        assert not self.complaints, self.complaints

    def _check_camera(self, camera: CameraId) -> None:
        captured, inspected, idle = (
            int(self.count(f"inspector_frames_{what}_total", camera=camera))
            for what in ("captured", "inspected", "idle")
        )
        told = f"{captured} captured, {inspected} inspected, {idle} idle, {self.missed(camera)}"
        assert captured == inspected + idle + sum(self.missed(camera).values()), told
        numbers = [u["unit"]["number"] for u in self.units if u["camera"] == camera]
        assert numbers == list(range(1, len(numbers) + 1))
        pool = self.pipeline.pools[camera]
        assert pool.free == pool.buffers, f"{camera}: {pool.free} of {pool.buffers} came back"

    def trigger(self, unit_id: str, *, camera: str = "a", ago_s: float = 0.0) -> TriggerAnswer:
        now_ns, unix_ns = time.monotonic_ns(), time.time_ns()
        return self.pipeline.triggered[CameraId(camera)].trigger(
            Trigger(
                unit_id=unit_id,
                received_mono_ns=now_ns,
                received_unix_ns=unix_ns,
                at_unix_ns=unix_ns - round(ago_s * 1e9),
            )
        )

    @property
    def late(self) -> float:
        return self.count("inspector_results_late_total", camera="a")


def _models_of(job: Job | None) -> Callable[[str, ModelTerms, TensorPool], TritonModel]:
    def make(url: str, terms: ModelTerms, tensors: TensorPool) -> TritonModel:
        models = TritonModel(url, terms, tensors)
        for model in job.recipe.models if job is not None else ():
            if job is not None and model != job.recipe.model:
                models.require(model, job.recipe.codes)
        return models

    return make


@asynccontextmanager
async def unit_line(
    settings: Settings,
    scripts: Mapping[str, Iterable[Step]],
    *,
    pictures: PictureKeeper | None = None,
    job: Job | None = None,
) -> AsyncIterator[UnitLine]:
    """A pipeline that runs inside the `with`; at its end it is stopped and checked.

    A camera without a script is the one that its settings name.
    """
    steps = {name: iter(script) for name, script in scripts.items()}
    may_begin = Event()

    def make_source(camera_id: CameraId, camera: CameraSettings, stop: Event) -> FrameSource:
        if camera_id not in steps:
            return open_source(camera_id, camera, stop)
        return DrawingCamera(steps[camera_id], stop, may_begin)

    hooks = Hooks(
        make_source=make_source,
        make_model=_models_of(job),
        pictures=lambda keeper: pictures or keeper,
    )
    jobs = {} if job is None else {CameraId(camera): job for camera in settings.cameras}
    async with running_line(UnitLine, settings, hooks, jobs=jobs) as running:
        expiring = expire_triggers(running.pipeline)
        timer = asyncio.create_task(expiring, name="trigger-timer")
        try:
            # The first frames are not to find a server that is still being connected to.
            await running.until(lambda: running.count("inspector_triton_up"), within_s=10)
            may_begin.set()
            yield running
            running.stop.set()
            async with asyncio.timeout(settings.shutdown.drain_timeout_s + 3):
                await running.ended
            timer.cancel()
            await ended_well(running)
        finally:
            may_begin.set()
            timer.cancel()
            await asyncio.wait([timer])
