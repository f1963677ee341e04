"""`inspector replay`: recorded footage through the very same stages, one JSON line per unit."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from inspector.core.background import first_of
from inspector.core.errors import CameraUnavailableError, ConfigurationError
from inspector.core.faults import Fault, FaultBoard
from inspector.core.plain_text import as_json
from inspector.core.records import CameraId
from inspector.events.schemas import rfc3339
from inspector.events.wording import EventBuilder
from inspector.flow.event_door import EventDoor
from inspector.ops.metrics import Metrics
from inspector.pipeline.build import Pipeline, Surroundings, build_pipeline
from inspector.pipeline.supervisor import run_pipeline
from inspector.pipeline.unit_services import build_pictures, build_serials
from inspector.service.servers import start_triton
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED, Size
from inspector.sources.files.uri import FileUri
from inspector.sources.opening import Opening
from inspector.sources.registry import named_source
from inspector.sources.uri import Pace

CAMERA = CameraId("replay")
SERIAL_TIMEOUT_S = 30.0
"""A recording's results must not depend on how busy the machine is."""
_COPIED = {
    "trigger",
    "frames_per_unit",
    "travel",
    "travel_px_per_s",
    "arrival",
    "unit_length_px",
    "look",
    "tile_overlap_px",
    "region",
    "serial",
}
"""What a recording is looked at with, as its camera would be."""


@dataclass(slots=True)
class Tally:
    """What a replay saw."""

    units: Counter[str] = field(default_factory=Counter)
    defects: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    frames_missed: Counter[str] = field(default_factory=Counter)
    """By reason; with presence a frame may be missed while no unit is in view."""
    latency_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, event: dict[str, Any]) -> None:
        """Count one unit event."""
        self.units[event["result"]] += 1
        if event["reason"]:
            self.reasons[event["reason"]] += 1
        self.defects.update(d["code"] for d in event["defects"])
        self.latency_ms.append(event["timing_ms"]["trigger_to_verdict"])

    @property
    def total(self) -> int:
        """Units so far."""
        return self.units.total()


class JsonLinesSink:
    """The last stage of a replay: unit events as lines, numbered as a stream would."""

    name = "json-lines"

    def __init__(
        self,
        door: EventDoor,
        out: TextIO | None,
        tally: Tally,
        on_unit: Callable[[], None],
    ) -> None:
        self._door = door
        self._out = out
        self._tally = tally
        self._on_unit = on_unit

    async def run(self) -> None:
        """Write until the groups end."""
        async for group in self._door:
            if group.verdict is not None:
                self._write(group.verdict.body)

    def _write(self, body: dict[str, Any]) -> None:
        self._tally.add(body)
        numbered = body | {"seq": self._tally.total, "published_at": rfc3339(time.time_ns())}
        if self._out is not None:
            self._out.write(as_json(numbered).decode() + "\n")
            self._out.flush()
        self._on_unit()


def footage(source: str, pace: Pace) -> FileUri:
    """A path or a `file:` URI, read at this pace where it names none itself.

    Raises:
        ConfigurationError: it is something else.

    """
    try:
        found = named_source(source, exists=Path(source).exists())
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"replay: {error}") from None
    if not isinstance(found, FileUri):
        raise ConfigurationError(f"replay: {found} is live; expected a video or a folder")
    return replace(found, pace=found.pace or pace)


def replay_settings(base: Settings | None, recording: FileUri, camera: str | None) -> Settings:
    """The line's settings with its cameras replaced by the footage.

    What is looked at, and how, is as for `camera`, or for the first.

    Raises:
        ConfigurationError: the footage cannot be opened, or there is no such camera.

    """
    try:
        size = Size(*recording.probe_size(Opening()))
    except CameraUnavailableError as error:
        raise ConfigurationError(f"replay: {error}") from None
    content: dict[str, Any] = {
        "station": {"site": "replay", "line": "replay", "name": "replay"},
        "inference": {"url": EMBEDDED},
    }
    copied: dict[str, Any] = {}
    if base is not None:
        content = base.model_dump(exclude={"cameras"}, exclude_unset=True)
        if camera is not None and camera not in base.cameras:
            known = ", ".join(base.cameras)
            raise ConfigurationError(f'replay: no camera "{camera}"; the settings have: {known}')
        recorded = base.cameras[camera or next(iter(base.cameras))]
        copied = recorded.model_dump(include=_COPIED, exclude_unset=True)
        if recorded.size != size:
            copied.pop("region", None)
        if copied.get("trigger") == "external":
            # Nobody triggers a recording.
            copied["trigger"] = "every_frame"
    content["cameras"] = {
        CAMERA: CameraSettings(source=recording, size=size, when_full="wait", **copied)
    }
    return Settings(**content)


async def run_replay(
    settings: Settings,
    out: TextIO | None,
    *,
    report: Callable[[str], None],
    on_unit: Callable[[Tally], None],
) -> Tally:
    """Inspect every frame of the footage; waits for Triton as long as it takes, and says so.

    Raises:
        ConfigurationError: the model does not fit the settings.
        FatalError: it could not go on.

    """
    tally = Tally()
    async with AsyncExitStack() as stack:
        url = await start_triton(settings, stack, report=report)

        def on_fault(fault: Fault, raised: bool) -> None:  # noqa: FBT001 - a state
            if raised and fault.kind == "triton":
                report(f"waiting for Triton at {url} (Ctrl-C ends): {fault.cause}")

        return await _replay(settings, url, out, tally, on_unit, faults=FaultBoard(on_fault))


async def _replay(
    settings: Settings,
    triton_url: str,
    out: TextIO | None,
    tally: Tally,
    on_unit: Callable[[Tally], None],
    *,
    faults: FaultBoard,
) -> Tally:
    kinds = {CAMERA: settings.cameras[CAMERA].source.traits}
    around = Surroundings(
        metrics=Metrics([CAMERA], settings.inspection.codes),
        faults=faults,
        builder=EventBuilder(settings, kinds),
        triton_url=triton_url,
        units_before={CAMERA: 0},
    )
    started_s = time.monotonic()
    async with AsyncExitStack() as stack:
        metrics, faults = around.metrics, around.faults
        serials = build_serials(settings, stack, metrics, timeout_s=SERIAL_TIMEOUT_S)
        if settings.evidence.enabled and settings.evidence.directory is not None:
            pictures = build_pictures(settings, stack, metrics, faults)
            around = replace(around, pictures=pictures or around.pictures)
        if serials is not None:
            around = replace(around, serials=serials, on_chosen=serials.look)
        pipeline: Pipeline = build_pipeline(
            settings,
            around,
            lambda door: JsonLinesSink(door, out, tally, lambda: on_unit(tally)),
        )
        stack.callback(pipeline.tensors.close)
        try:
            await run_pipeline(
                pipeline.captures,
                pipeline.stages,
                stop=asyncio.Event(),
                drain_timeout_s=settings.shutdown.drain_timeout_s,
            )
        except ExceptionGroup as group:
            raise first_of(group) from group
    tally.seconds = time.monotonic() - started_s
    for sample in (s for metric in metrics.frames_missed.collect() for s in metric.samples):
        if sample.name.endswith("_total") and sample.value:
            tally.frames_missed[sample.labels["reason"]] += round(sample.value)
    return tally


def default_output(recording: FileUri) -> Path:
    """Where the lines go unless told otherwise: named as the recording, in the current folder."""
    return Path(recording.path.absolute().stem + ".jsonl")
