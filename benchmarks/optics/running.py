"""Shows boards to the real stages and the real networks, with a reference or without."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from threading import Event
from typing import Any

from benchmarks.optics.boards import HEIGHT_PX, WIDTH_PX, Shown, Spoilt, boards
from inspector.capture.optics import measure
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
OFF = {"blur_px": 0, "clipped": 0, "contrast": 0, "darker": 0, "brighter": 0, "tint": 0, "noise": 0}
"""The guard refuses nothing."""


class _Boards(FrameSource):
    def __init__(self, shown: Sequence[Shown]) -> None:
        self._left: Iterator[Shown] = iter(shown)
        self._now: Image | None = None

    def open(self) -> None:
        pass

    def grab(self) -> Grabbed:
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


def settings_of(url: str, optics: Mapping[str, Any]) -> Settings:
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


async def events_of(shown: Sequence[Shown], settings: Settings, job: Job) -> list[dict[str, Any]]:
    """The unit events, one for each board, in order."""

    def make_source(_id: CameraId, _camera: CameraSettings, _stop: Event) -> FrameSource:
        return _Boards(shown)

    lines = io.StringIO()
    reports = reports_of(settings)
    async with open_pipeline(
        settings,
        reports,
        JsonLinesSink(reports.door, lines, Tally(), lambda: None),
        triton_url=settings.inference.url,
        jobs={CameraId(CAMERA): job},
        hooks=Hooks(make_source=make_source),
    ) as pipeline:
        if job.recipe.golden is not None:
            pipeline.model.require(job.recipe.golden, job.recipe.codes)
        await run_to_the_end(
            pipeline.captures,
            pipeline.stages,
            drain_timeout_s=settings.shutdown.drain_timeout_s,
        )
    return [json.loads(line) for line in lines.getvalue().splitlines()]


async def tally(
    url: str,
    spoilt: Spoilt,
    optics: Mapping[str, Any],
    *,
    golden: bool,
    bad: int,
    good: int,
    products: int,
) -> Counter[str]:
    """What became of bad and good boards: `bad PASSED`, `good FAILED`, `bad camera_blurred`, …."""
    settings = settings_of(url, optics)
    found: Counter[str] = Counter()
    for product in range(products):
        shown = list(boards(product, spoilt, bad=bad, good=good))
        events = await events_of(shown, settings, job_of(settings, product, golden=golden))
        for one, event in zip(shown, events, strict=True):
            said = event["reason"] or event["result"]
            found[f"{'bad' if one.is_bad else 'good'} {said}"] += 1
    return found
