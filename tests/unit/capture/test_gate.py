"""The job at the gate: who is opened under which, and what becomes of units nobody inspects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from inspector.capture.gate import CameraGate, JobInForce, never
from inspector.core.ports import Teacher
from inspector.core.recipes import Job, JobState
from inspector.core.records import (
    Frame,
    FrameRef,
    Image,
    MissedFrame,
    MissReason,
    Notice,
    UnitOpened,
)
from inspector.flow.frame_pool import FramePool
from inspector.flow.inbox import FrameInbox, Lane
from inspector.flow.notices import Notices
from inspector.settings.types import Size
from inspector.triggers.every_frame import EveryFrame
from tests.kit import jobs

CAMERA = jobs.A


class Pupil(Teacher):
    def __init__(self) -> None:
        self.seen: list[tuple[int, Image]] = []

    def take(self, frame: Frame) -> None:
        self.seen.append((frame.ref.sequence, frame.lease.image.copy()))


class Camera:
    def __init__(self, job: Job, *, is_held: Callable[[int], bool] = never) -> None:
        self.notices = Notices()
        lane = Lane(capacity=8, max_age_ns=None)
        self.inbox = FrameInbox({CAMERA: lane}, on_drop=lambda *_: None)
        self.pool = FramePool(buffers=8, size=Size(8, 8))
        self.pupil = Pupil()
        self.chosen: list[int] = []
        in_force = JobInForce(job, is_held=is_held)
        self.gate = CameraGate(
            EveryFrame(self.notices.put, job_now=in_force.now, job_for=in_force.for_unit),
            self.inbox,
            self.notices,
            job=in_force,
            on_chosen=lambda frame: self.chosen.append(frame.ref.sequence),
            teacher=self.pupil,
        )
        self._sequence = 0

    def frame(self) -> None:
        lease = self.pool.lease()
        assert lease is not None
        lease.image[:] = 100 + self._sequence
        ref = FrameRef(
            camera_id=CAMERA, sequence=self._sequence, captured_mono_ns=0, captured_unix_ns=0
        )
        self._sequence += 1
        self.gate.pass_on(Frame(ref=ref, lease=lease))

    def frames(self, count: int) -> None:
        for _ in range(count):
            self.frame()

    def waiting(self) -> list[Frame]:
        found = []
        while (frame := self.inbox.take(0)) is not None:
            found.append(frame)
        return found

    def said(self) -> list[Notice]:
        found = []
        while (notice := self.notices.take()) is not None:
            found.append(notice)
        return found


def test_a_unit_keeps_the_job_under_which_it_was_opened_and_the_swap_says_from_where_on() -> None:
    async def main() -> None:
        old = jobs.job()
        new = jobs.of_product(old, "4711")
        camera = Camera(old)
        camera.frame()
        camera.frame()
        assert camera.gate.change_job(new) == 2
        camera.frame()
        assert [frame.ref.under for frame in camera.waiting()] == [old, old, new]
        opened = [one.unit.job for one in camera.said() if isinstance(one, UnitOpened)]
        assert opened == [old, old, new]
        assert camera.gate.change_job(old) == 3

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (JobState.TEACHING, MissReason.TEACHING),
        (JobState.CHANGING_OVER, MissReason.CHANGING_OVER),
        (JobState.NO_PRODUCT, MissReason.NO_PRODUCT),
    ],
)
def test_a_frame_of_a_job_that_does_not_inspect_is_missed_for_that_reason(
    state: JobState, reason: MissReason
) -> None:
    async def main() -> None:
        camera = Camera(replace(jobs.job(state), detail="because"))
        camera.frame()
        camera.gate.change_job(jobs.job())
        camera.frame()
        missed = [one for one in camera.said() if isinstance(one, MissedFrame)]
        assert [(one.ref.sequence, one.reason, one.detail) for one in missed] == [
            (0, reason, "because")
        ]
        assert [frame.ref.sequence for frame in camera.waiting()] == [1]
        assert camera.pool.free == camera.pool.buffers - 1, "the missed frame's buffer came back"
        assert camera.gate.handed_on == 2
        assert camera.chosen == [0, 1], "its serial is read all the same"

    asyncio.run(main(), debug=True)


def test_only_the_frames_of_units_to_learn_from_are_shown_to_the_teacher() -> None:
    async def main() -> None:
        camera = Camera(jobs.job())
        for state in (JobState.INSPECTING, JobState.TEACHING, JobState.CHANGING_OVER):
            camera.gate.change_job(jobs.job(state))
            camera.frame()
        assert [(number, int(image[0, 0, 0])) for number, image in camera.pupil.seen] == [(1, 101)]

    asyncio.run(main(), debug=True)


def test_a_recordings_unit_waits_until_it_may_be_opened_and_is_opened_under_the_new_job() -> None:
    """The job changes while the unit waits: the gate is not locked meanwhile."""

    async def main() -> None:
        old = jobs.job()
        new = jobs.of_product(old, "4711")
        held_from, asked = [2], threading.Event()

        def is_held(index: int) -> bool:
            if index >= held_from[0]:
                asked.set()
            return index >= held_from[0]

        camera = Camera(old, is_held=is_held)
        recording = threading.Thread(target=camera.frames, args=(4,))
        recording.start()
        assert await asyncio.to_thread(asked.wait, 60)
        assert camera.gate.change_job(new) == 2
        held_from[0] = 9
        camera.gate.let_on()
        await asyncio.to_thread(recording.join)
        assert [frame.ref.under for frame in camera.waiting()] == [old, old, new, new]

    asyncio.run(main(), debug=True)
