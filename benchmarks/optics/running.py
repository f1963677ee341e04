"""Shows boards to the real stages and the real networks, with a reference or without."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from threading import Event
from typing import Any

from benchmarks.optics.boards import (
    BESIDE_MARK_PX,
    HEIGHT_PX,
    PRODUCTS,
    WIDTH_PX,
    Shown,
    Spoilt,
    boards,
)
from inspector.capture.optics import LEARNED_FROM, OpticsMemory, measure
from inspector.commands.replaying import CAMERA, JsonLinesSink, Tally
from inspector.core.errors import EndOfFootageError
from inspector.core.optics import baseline_of
from inspector.core.ports import FrameSource
from inspector.core.recipes import Job, ModelName, Reference
from inspector.core.records import CameraId, Grabbed, Image, Outline, Rect
from inspector.pipeline.build import Hooks, open_pipeline, reports_of
from inspector.pipeline.supervisor import run_to_the_end
from inspector.pipeline.terms import first_job
from inspector.products.reference import Learned, ShownUnit, Sight, learn
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings

LESSON = 6
OFF = {
    "blur_px": 0,
    "clipped": 0,
    "contrast": 0,
    "darker": 0,
    "brighter": 0,
    "tint": 0,
    "noise": 0,
    "moved_px": 0,
}
"""The guard refuses nothing."""


class _Boards(FrameSource):
    def __init__(self, shown: Sequence[Shown]) -> None:
        self._left: Iterator[Shown] = iter(shown)
        self._now: Image | None = None
        self._number = 0
        self.before_each: Callable[[int], None] = lambda _number: None
        """Called with how many were shown before. The capture thread."""

    def open(self) -> None:
        pass

    def grab(self) -> Grabbed:
        self.before_each(self._number)
        self._number += 1
        one = next(self._left, None)
        if one is None:
            raise EndOfFootageError("all boards were shown")
        self._now = one.picture
        return Grabbed(captured_mono_ns=time.monotonic_ns(), captured_unix_ns=time.time_ns())

    def retrieve_into(self, image: Image) -> None:
        assert self._now is not None  # noqa: S101 - a frame was grabbed
        image[:] = self._now

    def close(self) -> None:
        pass


@cache
def taught(product: int) -> Reference:
    """The reference of a design, learned from its first good boards."""
    whole = Outline(
        centre_x_px=WIDTH_PX / 2,
        centre_y_px=HEIGHT_PX / 2,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        turn_deg=0.0,
    )
    shown = list(boards(product, Spoilt(), bad=0, good=LESSON, first=0))
    units = [
        ShownUnit(number=number, sights=(Sight(image=one.picture, outline=whole),))
        for number, one in enumerate(shown)
    ]
    learned = learn(units)
    if not isinstance(learned, Learned):
        raise ValueError(learned.sentence)  # noqa: TRY004 - not of what type, but what they show
    area = Rect(0, 0, WIDTH_PX, HEIGHT_PX)
    measures = [measure(one.picture, area) for one in shown]
    return Reference(
        id=f"drawn-{product}/1",
        sha256=f"{product:064x}",
        mean=learned.mean,
        deviation=learned.deviation,
        optics=baseline_of(measures, camera=CAMERA, vouched=True),
    )


def settings_of(url: str, optics: Mapping[str, Any], *, golden: bool) -> Settings:
    """Each picture is a unit."""
    return Settings.model_validate(
        {
            "station": {"site": "optics", "line": "bench", "name": "aoi"},
            "inference": {"url": url},
            "evidence": {"enabled": False},
            "cameras": {
                CAMERA: {
                    "source": "file:drawn.mp4",
                    "size": f"{WIDTH_PX}x{HEIGHT_PX}",
                    "when_full": "wait",
                    "optics": dict(optics),
                    "region": None if golden else BESIDE_MARK_PX,
                }
            },
        }
    )


def job_of(settings: Settings, product: int, *, golden: bool) -> Job:
    """Under which its boards are shown."""
    job = first_job(settings)
    if not golden:
        return job
    model = ModelName(name=settings.inference.golden)
    recipe = replace(job.recipe, golden=model, reference=taught(product))
    return replace(job, recipe=recipe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """To what kind of station boards are shown."""

    golden: bool
    """It compares units with their reference."""
    vouched: bool = False
    """Somebody said of the first pictures that they were good."""
    is_first: bool = False
    """Nothing was shown to it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of the boards of all designs."""

    results: Counter[str]
    """`bad PASSED`, `good FAILED`, `bad camera_blurred`, …"""
    noticed: int | None
    """With how many of the spoilt boards the guard noticed it, at the latest; None: not always."""
    passed: list[str]
    """The bad boards that PASSED: design and number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of boards that were shown."""

    events: Sequence[Mapping[str, Any]]
    """The unit events, one for each board, in order."""
    raised_after: int | None
    """Boards shown when the fault `optics` was raised; None: it was not."""


async def shown_to_a_station(
    shown: Sequence[Shown], settings: Settings, job: Job, *, vouched: bool = False
) -> Run:
    """Show them one by one to a camera of its own."""
    lines, source = io.StringIO(), _Boards(shown)

    def make_source(_id: CameraId, _camera: CameraSettings, _stop: Event) -> FrameSource:
        return source

    reports = reports_of(settings)
    tally = Tally()
    async with open_pipeline(
        settings,
        reports,
        JsonLinesSink(reports.door, lines, tally),
        triton_url=settings.inference.url,
        jobs={CameraId(CAMERA): job},
        hooks=Hooks(
            make_source=make_source,
            optics={CameraId(CAMERA): OpticsMemory(renewed_unix_s=1.0 if vouched else None)},
        ),
    ) as pipeline:
        if job.recipe.golden is not None:
            pipeline.model.require(job.recipe.golden, job.recipe.codes)
        guard = pipeline.optics[CameraId(CAMERA)]
        raised: list[int] = []
        source.before_each = lambda number: raised.append(number) if guard.cause else None
        await run_to_the_end(
            pipeline.captures,
            pipeline.stages,
            drain_timeout_s=settings.shutdown.drain_timeout_s,
        )
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    return Run(events=events, raised_after=raised[0] if raised else None)


async def tally(
    url: str,
    spoilt: Spoilt,
    optics: Mapping[str, Any],
    how: Showing,
    *,
    bad: int,
    good: int,
) -> Found:
    """What became of bad and good boards.

    Before them come good ones through good optics, from which the guard learns what is usual.
    """
    settings = settings_of(url, optics, golden=how.golden)
    found: Counter[str] = Counter()
    noticed, passed = list[int](), list[str]()
    for product in range(PRODUCTS):
        before = [] if how.is_first or not optics.get("mark") else _before(product)
        shown = list(boards(product, spoilt, bad=bad, good=good))
        run = await shown_to_a_station(
            [*before, *shown],
            settings,
            job_of(settings, product, golden=how.golden),
            vouched=how.vouched,
        )
        for number, one in enumerate(shown):
            event = run.events[len(before) + number]
            said = event["reason"] or event["result"]
            found[f"{'bad' if one.is_bad else 'good'} {said}"] += 1
            if one.is_bad and said == "PASSED":
                passed.append(f"{product}/{number}")
        if run.raised_after is not None:
            noticed.append(run.raised_after - len(before))
    is_always = len(noticed) == PRODUCTS
    return Found(results=found, noticed=max(noticed) if is_always else None, passed=passed)


def _before(product: int) -> list[Shown]:
    return list(boards(product, Spoilt(), bad=0, good=LEARNED_FROM, first=20))
