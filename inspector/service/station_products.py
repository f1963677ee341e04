"""Connects the products of a station with its store, its pipeline and its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from inspector.core.changes import Change
from inspector.core.errors import ConfigurationError
from inspector.core.locks import LockBoard
from inspector.core.recipes import DEFAULT_PRODUCT, Job, JobState, Recipe
from inspector.core.records import CameraId, EventGroup, Serial
from inspector.core.verdicts import Verdict
from inspector.pipeline.build import Pipeline, Reports
from inspector.pipeline.products import catalogue_of, model_files, model_teacher
from inspector.products.by_serial import BySerial
from inspector.products.change_over import (
    ChangeOver,
    ChangeOverTerms,
    UnknownProductError,
    needs_of,
)
from inspector.products.commands import Request
from inspector.products.kept import KeptJob, KeptJobs, read_kept
from inspector.products.known import KnownProducts
from inspector.products.references import StationReferences
from inspector.products.teaching import ReferenceTeacher
from inspector.service.station_challenges import StationChallenges
from inspector.settings.renamed import OldName
from inspector.settings.settings import Settings

POLL_INTERVAL_S = 1.0

log = structlog.get_logger("products")


class StationProducts:
    """Exists before the pipeline, like the server: answers nothing until then.

    Event loop only.
    """

    def __init__(
        self,
        settings: Settings,
        reports: Reports,
        *,
        locks: LockBoard,
        challenges: StationChallenges,
        renew_optics: Callable[[CameraId | None], Mapping[str, str]] = lambda _camera: {},
    ) -> None:
        self._renew_optics = renew_optics
        self._settings = settings
        self._metrics = reports.metrics
        self._faults = reports.faults
        self._door = reports.door
        self._events = reports.events
        self._locks = locks
        self._challenges = challenges
        self._files = model_files(settings)
        catalogue = catalogue_of(settings, self._files)
        self._known = KnownProducts(catalogue)
        self._units_before: dict[CameraId, int] = {}
        self.references = StationReferences(
            ReferenceTeacher(catalogue.store, units_before=self._units_before),
            catalogue.store,
            teach_units=settings.products.teach_units,
        )
        self._kept: KeptJobs | None = None
        self._jobs: dict[CameraId, Job] = {}
        self._before: dict[CameraId, Job] = {}
        self._change_over: ChangeOver | None = None
        self._by_serial: BySerial | None = None
        self._shown: tuple[str, str] | None = None

    @property
    def change_over(self) -> ChangeOver:
        """The place where the job in force changes, once the pipeline is wired."""
        assert self._change_over is not None  # noqa: S101 - nobody asks before
        return self._change_over

    @property
    def job(self) -> Job | None:
        """The latest job in force; None before the pipeline is wired."""
        return None if self._change_over is None else self._change_over.job

    # --- the start ---

    async def require_right_files(self) -> None:
        """Refuse to start for mistakes that would make a change-over fail hours later.

        Raises:
            ConfigurationError: a product's file is wrong, or the settings name one that does
                not exist; with a line for every mistake.

        """
        catalogue, products = catalogue_of(self._settings, self._files), self._settings.products

        def read() -> tuple[list[str], list[OldName]]:
            unknown = catalogue.unknown(products.initial, products.by_serial)
            return catalogue.problems_of_files() + unknown, catalogue.old_names()

        problems, old_names = await asyncio.to_thread(read)
        if problems:
            raise ConfigurationError(*problems)
        for old_name in old_names:
            log.warning("setting renamed", key=old_name.place, now=old_name.now)

    async def restore(self, note: str | None) -> Mapping[CameraId, Job]:
        """The jobs that were in force when the service last ended, with their recipes read again.

        Raises:
            ConfigurationError: the file of a product that is in force is wrong.

        """
        await self._known.load()
        cameras = [CameraId(camera) for camera in self._settings.cameras]
        kept = self._kept = read_kept(note)
        if note is not None and kept is None:
            log.warning("the product in force could not be restored", note=note[:200])
        if kept is None or not kept.cameras:
            first = Job(number=0, recipe=await self._initial())
            self._jobs = dict.fromkeys(cameras, first)
            return self._jobs
        latest = max(kept.cameras.values(), key=lambda job: job.number)
        for camera in cameras:
            self._jobs[camera] = await self._restored(kept.cameras.get(camera, latest))
            if (before := kept.before.get(camera)) is not None:
                self._before[camera] = await self._restored(before)
        return self._jobs

    async def _initial(self) -> Recipe:
        name = self._settings.products.initial
        try:
            return await self._known.recipe(name)
        except UnknownProductError as unknown:
            raise ConfigurationError(f"products.initial: {unknown}") from None

    async def _restored(self, kept: KeptJob) -> Job:
        state, detail = kept.state, kept.detail
        try:
            recipe = await self._known.recipe(kept.product)
        except UnknownProductError as unknown:
            recipe = await self._known.recipe(DEFAULT_PRODUCT)
            state, detail = JobState.NO_PRODUCT, str(unknown)
        return Job(
            number=kept.number,
            recipe=recipe,
            order=kept.order,
            lot=kept.lot,
            context=kept.context,
            state=state,
            detail=detail,
        )

    def ask_for_features(self, triton_url: str) -> None:
        """Teach models too, with the features that this server computes."""
        self.references.teacher.models = model_teacher(self._settings, triton_url)

    def connect(self, pipeline: Pipeline, units_before: Mapping[CameraId, int]) -> ChangeOver:
        """Accept commands, now that the cameras are wired; nothing runs yet."""
        for job in {id(job): job for job in self._jobs.values()}.values():
            if job.state is JobState.INSPECTING:
                for (model, codes), lowest in needs_of(job.recipe).items():
                    pipeline.model.require(model, codes, lowest_threshold=lowest)
        self._units_before.update(units_before)
        self._change_over = ChangeOver(
            self._jobs,
            last_number=0 if self._kept is None else self._kept.last_number,
            products=self._known,
            line=pipeline,
            models=pipeline.model,
            door=self._door,
            events=self._events,
            references=self.references,
            terms=ChangeOverTerms(
                units_before=units_before,
                unknown=self._settings.products.unknown,
                on_change=self._on_change,
                on_jobs=self._on_jobs,
                locks=self._locks,
                challenges=self._challenges,
                renew_optics=self._renew_optics,
            ),
        )
        self._by_serial = BySerial(
            self._change_over,
            self._settings.products.by_serial,
            reading=[CameraId(c) for c, s in self._settings.cameras.items() if s.serial],
            on_fault=self._on_serial,
        )
        return self._change_over

    # --- while it runs ---

    async def run_until_cancelled(self) -> None:
        """Finish what the last run left; then handle lessons, and files that change."""
        await self.change_over.resume(self._kept, self._before)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.references.run(self.change_over), name="teaching")
            tasks.create_task(self._see_files(), name="files")

    async def _see_files(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            names = {job.recipe.product for job in self.change_over.jobs.values()}
            if await self._known.changed(names):
                self._tell_problems(await self.change_over.refresh(by="file"))

    async def require_known(self, settings: Settings) -> None:
        """Refuse settings that name a product without a file.

        Raises: ConfigurationError: with a line for every such name.

        """
        catalogue, products = catalogue_of(settings, self._files), settings.products
        unknown = await asyncio.to_thread(
            catalogue.unknown, products.initial, list(products.by_serial)
        )
        if unknown:
            raise ConfigurationError(*unknown)

    async def apply(self, settings: Settings) -> None:
        """Apply changed settings under the products."""
        self._settings = settings
        self.change_over.change_unknown(settings.products.unknown)
        if self._by_serial is not None:
            self._by_serial.change(settings.products.by_serial)
        self._known.change(catalogue_of(settings, self._files))
        self._tell_problems(await self.change_over.refresh(by="settings"))

    async def submit(self, request: Request, *, by: str) -> Change | None:
        """Handle a command that came over HTTP."""
        if self._change_over is None or self._door.closed:
            return None
        return await self._change_over.handle(request, by=by)

    def on_verdict(self, group: EventGroup) -> None:
        """A unit has its verdict: no further frame of it will be learned from."""
        if group.unit is not None:
            self.references.teacher.decided(group.unit)

    def check(self, verdict: Verdict, serial: Serial | None) -> Verdict:
        """Check by its serial whether a unit is of the product as which it was opened."""
        return verdict if self._by_serial is None else self._by_serial.check(verdict, serial)

    # --- what is reported ---

    def _tell_problems(self, problems: tuple[str, ...]) -> None:
        if problems:
            log.error(
                "a product's file is wrong, the old one stays in force", problems=list(problems)
            )
            self._faults.raise_fault("product", problems[0], "file")
        else:
            self._faults.clear("product", "file")

    def _on_change(self, change: Change) -> None:
        self._metrics.changes.labels("accepted" if change.accepted else "refused").inc()

    def _on_jobs(self, jobs: Mapping[CameraId, Job]) -> None:
        self._challenges.on_jobs(jobs)
        latest = max(jobs.values(), key=lambda job: job.number)
        shown = (latest.recipe.product, latest.recipe.revision)
        if latest.state is JobState.NO_PRODUCT:
            shown = ("", "")
            self._faults.raise_fault("product", latest.detail)
        else:
            self._faults.clear("product")
        if self._shown != shown:
            if self._shown is not None:
                self._metrics.product_info.remove(*self._shown)
            self._metrics.product_info.labels(*shown).set(1)
            self._shown = shown

    def _on_serial(self, camera: CameraId, cause: str) -> None:
        if cause:
            log.warning("serials do not fit the product", camera=camera, cause=cause)
            self._faults.raise_fault("product", cause, camera)
        else:
            self._faults.clear("product", camera)
