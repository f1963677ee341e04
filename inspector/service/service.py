"""The service: runs a pipeline with everything around it, from settings to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import structlog

from inspector import __version__
from inspector.challenge.book import CHALLENGE_NOTE
from inspector.core.background import background
from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.faults import Fault, FaultBoard
from inspector.core.locks import LOCKS_NOTE
from inspector.core.recipes import Job
from inspector.core.records import CameraId, EventGroup, unit_counter
from inspector.events.wording import EventBuilder
from inspector.flow.event_door import EventDoor
from inspector.flow.tensor_pool import remove_segments_of_the_dead
from inspector.journal.journal import Journal
from inspector.ops.descriptors import connections_of_http, raise_limit
from inspector.ops.log import configure_logging
from inspector.ops.metrics import Metrics
from inspector.ops.standard_error import lost_lines
from inspector.page.archive import AnsweredCommands, Archive
from inspector.page.challenge_routes import challenge_routes
from inspector.page.http import HttpServer, StatusSources, build_app
from inspector.page.operator_page import OperatorPage, ShownPictures
from inspector.page.optics_route import optics_route
from inspector.page.product_routes import product_routes
from inspector.page.product_shelf import ProductShelf
from inspector.page.trigger_routes import trigger_routes
from inspector.pipeline.buffers import buffers_of, image_memory_bytes
from inspector.pipeline.build import Hooks, Pipeline, Reports, open_pipeline
from inspector.pipeline.products import catalogue_of
from inspector.pipeline.supervisor import run_to_the_end
from inspector.pipeline.terms import event_terms, model_terms, page_terms
from inspector.products.change_over import COMMANDS_NOTE
from inspector.products.command_stream import CommandWorker, NotedPlace
from inspector.products.kept import JOBS_NOTE
from inspector.publish.readers import ReaderMonitor
from inspector.publish.recovery import recover_unit_numbers
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from inspector.publish.throttle import ThrottleLimits
from inspector.publish.worker import FurtherSink, PublishTerms, PublishWorker
from inspector.service.external_triggers import ExternalTriggers, expire_triggers
from inspector.service.faults import FaultNews
from inspector.service.host_monitor import HostMonitor
from inspector.service.reload import Reloader
from inspector.service.servers import ToldToStopError, start_redis, start_triton
from inspector.service.state import StationState
from inspector.service.station_challenges import StationChallenges
from inspector.service.station_locks import StationLocks
from inspector.service.station_optics import StationOptics
from inspector.service.station_process import PROCESS_NOTE, StationProcess
from inspector.service.station_products import StationProducts
from inspector.service.systemd import Notifier
from inspector.service.telemetry import ReaderNews, SinkNews, Telemetry, TriggerNews
from inspector.service.watchdog import feed_watchdog
from inspector.settings.changes import Changes
from inspector.settings.settings import Settings
from inspector.sinks.kind import SinkPlace
from inspector.triggers.external.worker import TriggerWorker

log = structlog.get_logger("service")

SECONDS_PER_DAY = 86_400
PUBLISH_DRAIN_SHARE = 0.3
"""The share of the drain deadline that Redis gets to take the last events."""


class Service:
    """One station, from `run` until `request_stop`. Event loop only."""

    def __init__(
        self,
        settings: Settings,
        *,
        report: Callable[[str], None] = lambda _text: None,
        config: Path | None = None,
    ) -> None:
        """`config` is the file from which settings are reloaded; None: they stay as they are."""
        self._settings = settings
        self._report = report
        self._notifier = Notifier()
        cameras = [CameraId(c) for c in settings.cameras]
        self.metrics = _metrics_of(settings, cameras)
        self.faults = FaultBoard(self._on_fault, on_heard=self._on_heard)
        self._expect_parts()
        self.views = StationState(settings.station.id, self.faults)
        self.metrics.ready.set_function(lambda: float(self.views.readiness()[0]))
        self._stop = self.views.stopping
        self.running = self.views.running
        """Set once the pipeline runs."""
        self._triggers = ExternalTriggers()
        self._readers_of_others: list[CommandWorker | TriggerWorker] = []
        self._door = EventDoor()
        self._builder = EventBuilder(event_terms(settings))
        self._reports = Reports(
            metrics=self.metrics, faults=self.faults, events=self._builder, door=self._door
        )
        self._fault_news = FaultNews(self.metrics, self.views, self._door)
        self.locks = self.views.locks = StationLocks(
            faults=self.faults, metrics=self.metrics, door=self._door
        )
        self._challenges = StationChallenges(settings, self._reports, locks=self.locks.board)
        self._optics = StationOptics(cameras)
        self._products = StationProducts(
            settings,
            self._reports,
            locks=self.locks.board,
            challenges=self._challenges,
            renew_optics=self._optics.renew,
        )
        self._process = StationProcess(
            settings.process,
            cameras,
            faults=self.faults,
            locks=self.locks.board,
            door=self._door,
        )
        self._reloader = self.views.reloader = self._make_reloader(config)
        self.http_url = ""
        self.redis_url = ""

    def _expect_parts(self) -> None:
        """The parts that must have reported before the station is ready."""
        cameras = self._settings.cameras
        for camera in cameras:
            self.faults.expect("camera", camera)
        self.faults.expect("triton")
        self.faults.expect("redis")
        if any(camera.trigger == "external" for camera in cameras.values()):
            self.faults.expect("triggers")

    def _make_reloader(self, config: Path | None) -> Reloader | None:
        if config is None:
            return None
        return Reloader(
            config,
            self._settings,
            check=self._check_changes,
            apply=self._apply,
            on_outcome=self._on_reload,
            notifier=self._notifier,
        )

    def request_stop(self) -> None:
        """Drain and end."""
        self._stop.set()

    def request_reload(self) -> None:
        """Read the settings again and apply what can change while the service runs."""
        if self._reloader is None or not self.running.is_set() or self._stop.is_set():
            log.warning("settings are not read again now")
        else:
            self._reloader.request()

    async def run(self) -> None:
        """Serve until stopped; everything captured by then is published or in the journal.

        Raises:
            ConfigurationError: a setting, a port, a folder or the model does not fit.
            FatalError: it cannot go on; says why.

        """
        await self._products.require_right_files()
        await self._challenges.read_sets(self._settings)
        async with AsyncExitStack() as stack:
            if removed := remove_segments_of_the_dead():
                log.info("removed shared memory of a process that was killed", segments=removed)
            journal = self._open_journal(stack)
            page = self._open_page(stack, journal)
            http = await self._start_http(stack, page)
            stack.callback(self._door.abandon)
            self.locks.restore(journal.note(LOCKS_NOTE))
            try:
                triton_url = await start_triton(
                    self._settings, stack, stop=self._stop, report=self._report
                )
                self.redis_url = await start_redis(self._settings, stack, stop=self._stop)
            except ToldToStopError:
                log.info("stopped before it ran")
                return
            writer = self._open_writer(stack)
            lost = await recover_unit_numbers(journal, writer)
            pipeline = await self._open(
                triton_url=triton_url,
                journal=journal,
                writer=writer,
                stack=stack,
                page=page,
                jobs=await self._restored(journal),
            )
            await self._begin(stack, pipeline, http.url, lost)
            await self._run_to_the_end(pipeline, journal)

    def _open_journal(self, stack: AsyncExitStack) -> Journal:
        settings = self._settings
        journal = Journal.open(
            settings.journal.directory,
            retention_s=settings.journal.retention_days * SECONDS_PER_DAY,
            stream_retention_s=settings.redis.retention_days * SECONDS_PER_DAY,
            limit_bytes=settings.journal.limit_bytes,
            counters_of=self._triggers.counters_of,
            further_sinks={name: kind.streams for name, kind in settings.sinks.items()},
            on_fault=self._on_journal_fault,
        )
        stack.callback(journal.close)
        stack.callback(HostMonitor(settings, self.metrics).close)
        return journal

    def _open_page(self, stack: AsyncExitStack, journal: Journal) -> OperatorPage:
        page = self.views.page = OperatorPage(
            page_terms(self._settings),
            journal,
            self._door,
            self._builder,
            self.metrics,
            shelf=self._shelf(self._settings),
        )
        stack.callback(page.close)
        return page

    def _open_writer(self, stack: AsyncExitStack) -> RedisStreamWriter:
        settings = self._settings
        writer = RedisStreamWriter(
            self.redis_url, station_id=settings.station.id, password=settings.redis.secret()
        )
        stack.push_async_callback(writer.close)
        return writer

    async def _restored(self, journal: Journal) -> Mapping[CameraId, Job]:
        """Restore the jobs and the process rules as they were at the last stop."""
        jobs = await self._products.restore(journal.note(JOBS_NOTE))
        await self._process.restore(self._settings.journal.directory, journal.note(PROCESS_NOTE))
        return jobs

    async def _begin(
        self, stack: AsyncExitStack, pipeline: Pipeline, http_url: str, lost: str | None
    ) -> None:
        """Start the tasks beside the pipeline, and report that the service runs."""
        settings = self._settings

        async def beside(work: Coroutine[Any, Any, None], name: str) -> None:
            await stack.enter_async_context(background(work, name=name))

        await beside(
            feed_watchdog(pipeline, self.views, self._notifier, settings.health), "watchdog"
        )
        await beside(expire_triggers(pipeline), "trigger-timer")
        log.info(
            "running",
            station=settings.station.id,
            cameras=list(settings.cameras),
            http=http_url,
            image_buffers_mb=round(image_memory_bytes(settings) / 1e6, 1),
            buffers_per_camera={c: buffers_of(settings, c) for c in settings.cameras},
        )
        if lost is not None:
            self._tell_lost_journal(lost)
        self.running.set()
        await beside(self._readers().run_until_cancelled(), "readers")
        await beside(self._products.run_until_cancelled(), "products")
        await beside(self._challenges.run_until_cancelled(), "challenges")
        await beside(self._optics.run_until_cancelled(), "optics")
        if self._reloader is not None:
            await beside(self._reloader.run_until_cancelled(), "reload")

    async def _check_changes(self, changes: Changes, wanted: Settings) -> None:
        """Refuse unknown products, and what the model contradicts, now or at the next start.

        A threshold is not accepted before the model was seen once: it cannot be compared. The
        settings of the next start are compared if they name the same server; others are unknown.
        """
        pipeline, running = self.views.pipeline, self._settings.inference
        assert pipeline is not None  # noqa: S101 - nothing is reloaded before it runs
        if "products.by_serial" in changes.applied:
            await self._products.require_known(changes.settings)
        if changes.concern_model_now:
            try:
                await pipeline.model.compare(model_terms(changes.settings))
            except InferenceUnavailableError as away:
                raise ConfigurationError(
                    f"inspection: the model is not known yet, so that nothing can be compared with "
                    f"it: {away}; expected it to be there when its thresholds change"
                ) from None
        same_server = (running.url, running.repository) == (
            wanted.inference.url,
            wanted.inference.repository,
        )
        if changes.concern_model_later and same_server:
            with suppress(InferenceUnavailableError):
                await pipeline.model.compare(model_terms(wanted))

    def _readers(self) -> ReaderMonitor:
        redis = self._settings.redis
        self.metrics.retention.set(redis.retention_days * SECONDS_PER_DAY)
        news = self.views.reader_news = ReaderNews(self.metrics)
        return ReaderMonitor(
            self.redis_url,
            station_id=self._settings.station.id,
            password=redis.secret(),
            telemetry=news,
        )

    async def _apply(self, settings: Settings) -> None:
        """Apply reloaded settings; units under way keep those they began with."""
        pipeline = self.views.pipeline
        assert pipeline is not None  # noqa: S101 - nothing is reloaded before it runs
        self._settings = settings
        pipeline.change(settings)
        await self._products.apply(settings)
        self._process.change(settings.process)
        self.metrics.deadline_seconds.set(settings.inspection.deadline_ms / 1000)
        configure_logging(settings.log, settings.secrets())

    def _on_reload(self, outcome: str, restart: bool) -> None:  # noqa: FBT001 - a state
        self.metrics.reloads.labels(outcome).inc()
        self.metrics.restart_needed.set(restart)

    def _end_triggers(self) -> None:
        """Called when the cameras are done, even if nobody stopped them: footage ends."""
        self._triggers.close()
        for reader in self._readers_of_others:
            reader.request_stop()

    def _shelf(self, settings: Settings) -> ProductShelf:
        return ProductShelf(
            catalogue_of(settings),
            units_to_teach=settings.products.teach_units,
            job=lambda: self._products.job,
            teaching=lambda: self._products.references.teacher.state,
        )

    async def _run_to_the_end(self, pipeline: Pipeline, journal: Journal) -> None:
        def give_up() -> None:
            pipeline.give_up()
            journal.take_the_rest()

        announce = asyncio.create_task(self._announce_stop(), name="announce")
        try:
            await run_to_the_end(
                [*pipeline.captures, *self._readers_of_others],
                pipeline.stages,
                stop=self._stop,
                drain_timeout_s=self._settings.shutdown.drain_timeout_s,
                give_up=give_up,
            )
        finally:
            announce.cancel()
        log.info(
            "stopped",
            why="asked to" if self._stop.is_set() else "the recording is over",
            captured=pipeline.captured,
            settled=pipeline.results.settled,
            verdicts=pipeline.results.verdicts,
        )

    async def _announce_stop(self) -> None:
        await self._stop.wait()
        log.info("stopping", drain_timeout_s=self._settings.shutdown.drain_timeout_s)
        self._notifier.send("STOPPING=1", "STATUS=draining")

    async def _start_http(self, stack: AsyncExitStack, page: OperatorPage) -> HttpServer:
        token = self._settings.http.token
        views = StatusSources(
            metrics=self.metrics.exposition,
            health=self.views.health,
            readiness=self.views.readiness,
            status=self.views.status,
        )
        app = build_app(
            views,
            token.get_secret_value() if token else None,
            more=[
                *trigger_routes(self._triggers),
                *product_routes(self._products),
                *challenge_routes(self._challenges),
                optics_route(self._optics.shown),
                *page.routes(self.views.status),
            ],
        )
        connections = connections_of_http(raise_limit(), cameras=len(self._settings.cameras))
        server = HttpServer(
            app,
            self._settings.http,
            connections=connections,
            on_closed=lambda why: self.metrics.http_closed.labels(why).inc(),
        )
        self.http_url = server.url
        await stack.enter_async_context(background(server.run_until_cancelled(), name="http"))
        return server

    async def _open(
        self,
        *,
        triton_url: str,
        journal: Journal,
        writer: RedisStreamWriter,
        stack: AsyncExitStack,
        page: OperatorPage,
        jobs: Mapping[CameraId, Job],
    ) -> Pipeline:
        cameras = map(CameraId, self._settings.cameras)
        units_before = {camera: journal.counter(unit_counter(camera)) for camera in cameras}
        self._products.ask_for_features(triton_url)
        opened = open_pipeline(
            self._settings,
            self._reports,
            self._publishing(journal, writer, self._build_sinks(stack)),
            triton_url=triton_url,
            units_before=units_before,
            jobs=jobs,
            hooks=self._hooks(journal, page),
        )
        pipeline = self.views.pipeline = await stack.enter_async_context(opened)
        note = journal.note(CHALLENGE_NOTE)
        self._challenges.connect(pipeline, units_before, jobs, note=note, triton_url=triton_url)
        self._optics.connect(pipeline.optics, keep=journal.keep_notes)
        self._read_others(pipeline, journal, stack, units_before)
        return pipeline

    def _hooks(self, journal: Journal, page: OperatorPage) -> Hooks:
        """The pipeline's calls into its surroundings."""

        def on_verdict(group: EventGroup) -> None:
            self._products.on_verdict(group)
            self._process.on_verdict(group)
            page.on_verdict(group)

        return Hooks(
            pictures=lambda keeper: ShownPictures(keeper, page.feeds),
            eyes=page.eyes,
            products=self._products,
            known_parts=self._challenges,
            locks=self.locks.board,
            optics=self._optics.restore(journal.note),
            teacher=self._products.references.teacher,
            on_verdict=on_verdict,
            before_end=self._end_triggers,
        )

    def _publishing(
        self, journal: Journal, writer: RedisStreamWriter, further: Sequence[FurtherSink]
    ) -> PublishWorker:
        redis = self._settings.redis
        return PublishWorker(
            self._door,
            journal,
            writer,
            telemetry=Telemetry(self.metrics, self.faults),
            further=further,
            terms=PublishTerms(
                retention_s=redis.retention_days * SECONDS_PER_DAY,
                drain_s=self._settings.shutdown.drain_timeout_s * PUBLISH_DRAIN_SHARE,
                pace=ThrottleLimits(
                    events_per_s=redis.drain_events_per_s,
                    step_ms=redis.drain_step_ms,
                ),
            ),
        )

    def _read_others(
        self,
        pipeline: Pipeline,
        journal: Journal,
        stack: AsyncExitStack,
        units_before: Mapping[CameraId, int],
    ) -> None:
        """Read the streams that others write: commands, and triggers if a camera has them."""
        settings = self._settings
        changes = self._products.connect(pipeline, units_before)
        archive = Archive(settings.journal.directory)
        stack.callback(archive.close)
        self._readers_of_others.append(
            CommandWorker(
                self.redis_url,
                station_id=settings.station.id,
                change_over=changes,
                place=NotedPlace(journal.note(COMMANDS_NOTE), journal.keep_notes),
                answered=AnsweredCommands(archive),
                password=settings.redis.secret(),
            )
        )
        receiver = self._triggers.connect(pipeline, settings, journal, self.metrics, changes)
        if receiver is not None:
            self.views.trigger_reader = TriggerWorker(
                self.redis_url,
                station_id=settings.station.id,
                receiver=receiver,
                password=settings.redis.secret(),
                telemetry=TriggerNews(self.metrics, self.faults),
                answered=archive,
                note=journal.raise_counters,
            )
            self._readers_of_others.append(self.views.trigger_reader)

    def _build_sinks(self, stack: AsyncExitStack) -> list[FurtherSink]:
        built = []
        for name, kind in self._settings.sinks.items():
            sink = kind.make_sink(SinkPlace(station_id=self._settings.station.id, name=name))
            stack.push_async_callback(sink.close)
            news = SinkNews(name, self.metrics, self.faults)
            built.append(FurtherSink(name=name, sink=sink, telemetry=news))
        return built

    def _on_fault(self, fault: Fault, raised: bool) -> None:  # noqa: FBT001 - a state
        self._fault_news.tell(fault, self._builder.health(fault, raised=raised), raised=raised)

    def _on_heard(self) -> None:
        if self.views.page is not None:
            self.views.page.tell(self.views.status())

    def _on_journal_fault(self, cause: str | None) -> None:
        if cause is None:
            log.info("the journal can be written again")
            self.faults.clear("disk", "journal")
        else:
            log.error("the journal cannot be written", cause=cause)
            self.faults.raise_fault("disk", cause, "journal")

    def _tell_lost_journal(self, cause: str) -> None:
        """Report a fault that happened and is over: the health stream gets both."""
        log.error("the journal was lost", cause=cause)
        self.faults.raise_fault("disk", cause, "journal")
        self.faults.clear("disk", "journal")


def _metrics_of(settings: Settings, cameras: Sequence[CameraId]) -> Metrics:
    metrics = Metrics(cameras, settings.codes)
    metrics.count_lost_log_lines(lost_lines)
    metrics.build_info.labels(__version__, settings.inference.model).set(1)
    metrics.deadline_seconds.set(settings.inspection.deadline_ms / 1000)
    return metrics


def stop_on_signals(service: Service) -> None:
    """SIGTERM and SIGINT drain; SIGHUP reads the settings again."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.request_stop)
    loop.add_signal_handler(signal.SIGHUP, service.request_reload)
