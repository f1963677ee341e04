"""`inspector replay`: inspects recorded footage with the same stages, one JSON line per unit."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from inspector.commands.replay_script import ReplayScript, ScriptedCommand, make_products
from inspector.core.background import background
from inspector.core.errors import CameraUnavailableError, ConfigurationError
from inspector.core.faults import Fault
from inspector.core.plain_text import as_json
from inspector.core.ports import Stage
from inspector.core.recipes import Job
from inspector.core.records import CameraId, Stream
from inspector.events.schemas import rfc3339
from inspector.flow.event_door import EventDoor
from inspector.pipeline.build import Hooks, Pipeline, Reports, open_pipeline, reports_of
from inspector.pipeline.supervisor import run_to_the_end
from inspector.products.store import ProductStore
from inspector.service.servers import start_triton
from inspector.service.station_challenges import StationChallenges
from inspector.service.station_locks import StationLocks
from inspector.service.station_products import StationProducts
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.settings.types import EMBEDDED, Size
from inspector.sources.files.uri import FileUri
from inspector.sources.opening import Opening
from inspector.sources.registry import named_source
from inspector.sources.uri import Pace

CAMERA = CameraId("replay")
PROGRESS_EVERY_S = 0.2
CONNECTED_EVERY_S = 0.1
SERIAL_TIMEOUT_S = 30.0
"""A recording's results must not depend on how busy the machine is."""
NOT_TO_BE_INSPECTED = frozenset({"teaching", "no_product", "reference_mismatch", "locked"})
"""Reasons that are no failure: commands, another product, locks."""
_COPIED = {
    "trigger",
    "frames_per_unit",
    "travel",
    "travel_px_per_s",
    "arrival",
    "unit_length_px",
    "crop",
    "tile_overlap_px",
    "region",
    "serial",
}
"""Settings of a camera that also apply to a recording of it."""


@dataclass(slots=True)
class Tally:
    """Counts of a replay."""

    units: Counter[str] = field(default_factory=Counter)
    defects: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    frames_missed: Counter[str] = field(default_factory=Counter)
    """Missed frames by reason; with presence a frame may be missed while no unit is in view."""
    latency_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    changes: int = 0
    """Commands that were answered, and lessons that ended."""
    challenges: int = 0
    """Known parts that were shown, and checks that ended."""
    refused: list[str] = field(default_factory=list)
    """Why commands were not carried out, or lessons failed; in sentences."""

    def add_change(self, event: dict[str, Any]) -> None:
        """Count one answer."""
        self.changes += 1
        if event["result"] == "refused":
            self.refused.append(f"{event['command']}: {event['problem']}")

    def add(self, event: dict[str, Any]) -> None:
        """Count one unit event."""
        self.units[event["result"]] += 1
        if event["reason"]:
            self.reasons[event["reason"]] += 1
        self.defects.update(d["code"] for d in event["defects"])
        self.latency_ms.append(event["timing_ms"]["trigger_to_verdict"])

    @property
    def is_as_asked(self) -> bool:
        """Whether every unit was inspected as intended, and every command carried out."""
        looked_at = self.units["PASSED"] + self.units["FAILED"]
        asked_for = sum(self.reasons[reason] for reason in NOT_TO_BE_INSPECTED)
        missed = set(self.frames_missed) - NOT_TO_BE_INSPECTED
        return looked_at + asked_for == self.total and not missed and not self.refused

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
        *,
        changes: TextIO | None = None,
    ) -> None:
        """`changes` receives the answers to commands, which are no units."""
        self._door = door
        self._out = out
        self._tally = tally
        self._changes = changes

    async def run(self) -> None:
        """Write until the groups end."""
        async for group in self._door:
            if group.verdict is not None:
                self._tally.add(group.verdict.body)
                _write(self._out, group.verdict.body, self._tally.total)
            for event in group.events:
                if event.stream is Stream.CHANGES:
                    self._tally.add_change(event.body)
                    _write(self._changes, event.body, self._tally.changes)
                elif event.stream is Stream.CHALLENGES:
                    self._tally.challenges += 1
                    _write(self._changes, event.body, self._tally.challenges)


def _write(out: TextIO | None, body: dict[str, Any], seq: int) -> None:
    if out is not None:
        numbered = body | {"seq": seq, "published_at": rfc3339(time.time_ns())}
        out.write(as_json(numbered).decode() + "\n")
        out.flush()


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


def replay_settings(
    base: Settings | None, recording: FileUri, camera: str | None, products: Path | None = None
) -> Settings:
    """The line's settings with its cameras replaced by the footage.

    The footage is inspected as that of `camera`, or of the first. `products` is the folder of the
    products; None: as in the settings.

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
        copied = _copied(base, camera, size)
    content["cameras"] = {
        CAMERA: CameraSettings(source=recording, size=size, when_full="wait", **copied)
    }
    if base is None or base.evidence.directory is None:
        # The folder of the line's own evidence is not for recordings.
        content["evidence"] = {**content.get("evidence", {}), "enabled": False}
    if products is not None:
        content["products"] = {**content.get("products", {}), "directory": products}
    return Settings(**content)


def _copied(base: Settings, camera: str | None, size: Size) -> dict[str, Any]:
    """The settings of the line's camera that apply to the footage too."""
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
    return copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Receivers of a replay's results and progress."""

    out: TextIO | None = None
    changes: TextIO | None = None
    report: Callable[[str], None] = lambda _line: None
    on_frames: Callable[[int], None] = lambda _frames: None
    """Receives, several times a second, how many frames have been read."""


async def run_replay(
    settings: Settings, told: Told, script: Sequence[ScriptedCommand] = ()
) -> Tally:
    """Inspect every frame of the footage; waits for Triton as long as it takes, and says so.

    The commands of a script are answered between the units; the products they name are made if they
    are missing.

    Raises:
        ConfigurationError: the model, a product's file or the products' folder does not fit.
        FatalError: it could not go on.

    """
    async with AsyncExitStack() as stack:
        url = await start_triton(settings, stack, report=told.report)

        def on_fault(fault: Fault, raised: bool) -> None:  # noqa: FBT001 - a state
            if raised and fault.kind == "triton":
                told.report(f"waiting for Triton at {url} (Ctrl-C ends): {fault.cause}")

        replay = _Replay(settings, url, told, reports_of(settings, on_fault))
        return await replay.run(script)


class _Replay:
    """One pass over a recording. Event loop only."""

    def __init__(self, settings: Settings, triton_url: str, told: Told, reports: Reports) -> None:
        self._settings = settings
        self._triton_url = triton_url
        self._told = told
        self._reports = reports
        self._tally = Tally()

    async def run(self, script: Sequence[ScriptedCommand]) -> Tally:
        """Run from the first frame to the last."""
        started_s = time.monotonic()
        await (self._run_with_products(script) if script else self._run())
        self._tally.seconds = time.monotonic() - started_s
        self._count_missed()
        return self._tally

    async def _run(self) -> None:
        async with self._opened() as pipeline:
            await self._to_the_end(pipeline)

    async def _run_with_products(self, script: Sequence[ScriptedCommand]) -> None:
        reports, settings = self._reports, self._settings
        store = ProductStore(settings.products_directory)
        await asyncio.to_thread(make_products, store, script)
        locks = StationLocks(faults=reports.faults, metrics=reports.metrics, door=reports.door)
        challenges = StationChallenges(settings, reports, locks=locks.board)
        await challenges.read_sets(settings, camera=CAMERA)
        products = StationProducts(settings, reports, locks=locks.board, challenges=challenges)
        products.ask_for_features(self._triton_url)
        jobs = await products.restore(None)
        played = ReplayScript(
            script,
            products.references,
            units_to_teach=settings.products.teach_units,
            may_ask=challenges.may_ask,
        )
        hooks = Hooks(
            products=products,
            known_parts=challenges,
            locks=locks.board,
            teacher=products.references.teacher,
            on_verdict=products.on_verdict,
            is_held=played.is_held,
        )
        async with self._opened(hooks, jobs) as pipeline:
            challenges.connect(pipeline, {CAMERA: 0}, jobs, note=None, is_recording=True)
            products.connect(pipeline, {CAMERA: 0})
            changing = ChangingReplay(played, products, pipeline, self._tally)
            try:
                await self._to_the_end(pipeline, changing)
            finally:
                changing.give_up()

    def _opened(
        self, hooks: Hooks | None = None, jobs: Mapping[CameraId, Job] | None = None
    ) -> AbstractAsyncContextManager[Pipeline]:
        told, tally = self._told, self._tally
        sink = JsonLinesSink(
            self._reports.door,
            told.out,
            tally,
            changes=told.changes,
        )
        return open_pipeline(
            self._settings,
            self._reports,
            sink,
            triton_url=self._triton_url,
            jobs=jobs,
            hooks=hooks,
            serial_timeout_s=SERIAL_TIMEOUT_S,
        )

    async def _to_the_end(self, pipeline: Pipeline, *stages: Stage) -> None:
        async with background(self._show_progress(pipeline), name="progress"):
            await run_to_the_end(
                pipeline.captures,
                [*pipeline.stages, *stages],
                drain_timeout_s=self._settings.shutdown.drain_timeout_s,
            )
        self._told.on_frames(pipeline.captured)

    async def _show_progress(self, pipeline: Pipeline) -> None:
        while True:
            self._told.on_frames(pipeline.captured)
            await asyncio.sleep(PROGRESS_EVERY_S)

    def _count_missed(self) -> None:
        collected = self._reports.metrics.frames_missed.collect()
        for sample in (sample for metric in collected for sample in metric.samples):
            if sample.name.endswith("_total") and sample.value:
                self._tally.frames_missed[sample.labels["reason"]] += round(sample.value)


class ChangingReplay(Stage):
    """Changes the product of a replay. Event loop only."""

    name = "products"

    def __init__(
        self, script: ReplayScript, products: StationProducts, pipeline: Pipeline, tally: Tally
    ) -> None:
        self._script = script
        self._products = products
        self._pipeline = pipeline
        self._tally = tally

    async def run(self) -> None:
        """Carry out commands and lessons until the recording has ended."""
        change_over = self._products.change_over
        async with background(self._products.references.run(change_over), name="teaching"):
            await self._connected()
            await self._script.run(change_over, self._pipeline.let_on)
        self._tally.refused += self._script.never_due

    def give_up(self) -> None:
        """Let the recording go on to its end."""
        self._script.give_up()
        self._pipeline.let_on()

    async def _connected(self) -> None:
        """Wait for the server as long as it takes: without it a command would be refused."""
        models, known = self._products.change_over.job.recipe.models, self._pipeline.model.spec_of
        while not all(known(model) for model in models):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(CONNECTED_EVERY_S)


def default_changes(out: Path) -> Path:
    """The default file for answers to commands: beside the units' lines."""
    return out.with_name(f"{out.stem}.changes.jsonl")


def default_output(recording: FileUri) -> Path:
    """The default file for the lines: named after the recording, in the current folder."""
    return Path(recording.path.absolute().stem + ".jsonl")
