"""Drives the presence trigger alone, frame by frame: what it costs and what it chooses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event

import numpy as np

from benchmarks.line.footage import Footage
from benchmarks.line.locating import all_located
from benchmarks.line.matching import iou
from benchmarks.line.truth import LineTruth, TrueBox, corners
from inspector.core.errors import EndOfFootageError
from inspector.core.records import (
    CameraId,
    Frame,
    FrameRef,
    Image,
    MissReason,
    Outline,
    UnitClosed,
    UnitOpened,
)
from inspector.settings.sections import CameraSettings
from inspector.triggers.presence.trigger import PresenceTrigger
from tests.kit import jobs

CAMERA = CameraId("line")
NS_PER_S = 1_000_000_000
SPREAD_NS = 800_000_000
WARM_FRAMES = 15
"""The first frames pay for what is allocated and learned once."""


class _Lease:
    """A buffer for one frame: dropped, not reused."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.released = False

    @property
    def image(self) -> Image:
        return self._image

    def release(self) -> None:
        assert not self.released  # noqa: S101
        self.released = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A frame that would be inspected."""

    frame: int
    unit: int
    outline: Outline | None


@dataclass(slots=True)
class Watched:
    """What the trigger did with a video."""

    name: str
    truth: LineTruth
    opened: list[UnitOpened] = field(default_factory=list)
    closed: list[UnitClosed] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)
    idle: int = 0
    empty_ms: list[float] = field(default_factory=list)
    """CPU of each frame without a board in the picture."""
    with_boards_ms: list[float] = field(default_factory=list)
    """CPU of each frame with one, frames that are chosen left out."""
    choosing_ms: list[float] = field(default_factory=list)
    """CPU of each frame at which one is sent to inspection: its outline is found."""

    @property
    def mean_ms(self) -> float:
        """CPU per frame, all of them."""
        every = self.empty_ms + self.with_boards_ms + self.choosing_ms
        return float(np.mean(every)) if every else 0.0

    def outline_error_px(self, one: Chosen) -> float:
        """How far the worst corner is from the nearest board's; infinite without an outline."""
        if one.outline is None:
            return float("inf")
        seen = np.array(corners(one.outline))
        return min(
            float(np.abs(np.array(corners(self.truth.outline(b, one.frame))) - seen).max())
            for b in self.truth.boards
        )

    def outline_errors_px(self) -> list[float]:
        """Per chosen frame."""
        return [self.outline_error_px(one) for one in self.chosen]

    def boards_of_units(self) -> dict[int, list[int]]:
        """By unit: the boards that its frames show, in order."""
        found: dict[int, list[int]] = {}
        for one in self.chosen:
            found.setdefault(one.unit, []).append(self._board_at(one))
        return found

    def _board_at(self, one: Chosen) -> int:
        if one.outline is None:
            return 0
        seen = _around(one.outline)
        best = max(
            self.truth.boards,
            key=lambda board: iou(seen, _around(self.truth.outline(board, one.frame))),
        )
        overlap = iou(seen, _around(self.truth.outline(best, one.frame)))
        return best.number if overlap > 0.5 else 0  # noqa: PLR2004


def _around(outline: Outline) -> TrueBox:
    xs, ys = zip(*corners(outline), strict=True)
    return TrueBox("", min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def watch(footage: Footage) -> Watched:
    """Show every frame to a new trigger, set up as for a replay."""
    truth = footage.truth
    settings = CameraSettings.model_validate(
        {
            "source": footage.uri,
            "size": f"{truth.width_px}x{truth.height_px}",
            "trigger": "presence",
            "travel": truth.travel,
            "when_full": "wait",
        }
    )
    watched = Watched(truth.name, truth)

    def tell(notice: UnitOpened | UnitClosed) -> None:
        if isinstance(notice, UnitOpened):
            watched.opened.append(notice)
        else:
            watched.closed.append(notice)

    def idle(count: int) -> None:
        watched.idle += count

    job = jobs.job(cameras=[CAMERA], frames_of_unit=settings.frames_of_unit)
    trigger = PresenceTrigger(
        CAMERA,
        settings,
        job_now=lambda: job,
        spread_ns=SPREAD_NS,
        tell=tell,
        on_idle=idle,
        frame_interval_ns=round(NS_PER_S / truth.fps),
    )
    for number, image in enumerate(_frames(footage)):
        watched.truth = all_located(watched.truth, number, image)
        frame = Frame(ref=_ref(number), lease=_Lease(image))
        started_ns = time.thread_time_ns()
        sent = trigger.observe(frame)
        cost_ms = (time.thread_time_ns() - started_ns) / 1e6
        _take(watched, sent)
        if number >= WARM_FRAMES:
            kind = watched.choosing_ms if sent else _kind(watched, number)
            kind.append(cost_ms)
    _take(watched, trigger.interrupted(MissReason.SHUTTING_DOWN, "the recording ended"))
    return watched


def _take(watched: Watched, frames: Sequence[Frame]) -> None:
    for frame in frames:
        assert frame.ref.unit is not None  # noqa: S101
        watched.chosen.append(
            Chosen(frame=frame.ref.sequence, unit=frame.ref.unit.index, outline=frame.ref.outline)
        )
        frame.lease.release()


def _kind(watched: Watched, frame: int) -> list[float]:
    truth = watched.truth
    for board in truth.boards:
        around = _around(truth.outline(board, frame))
        if (
            around.x_px < truth.width_px
            and around.x_px + around.width_px > 0
            and around.y_px < truth.height_px
            and around.y_px + around.height_px > 0
        ):
            return watched.with_boards_ms
    return watched.empty_ms


def _frames(footage: Footage) -> Iterator[Image]:
    source = footage.open(Event())
    source.open()
    try:
        while True:
            source.grab()
            image = np.empty((footage.size[1], footage.size[0], 3), np.uint8)
            source.retrieve_into(image)
            yield image
    except EndOfFootageError:
        return
    finally:
        source.close()


def _ref(number: int) -> FrameRef:
    now_ns = time.monotonic_ns()
    return FrameRef(
        camera_id=CameraId("line"),
        sequence=number,
        captured_mono_ns=now_ns,
        captured_unix_ns=time.time_ns(),
    )
