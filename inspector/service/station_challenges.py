"""The known parts of a station: their files, and the desk between its pipeline and its journal."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Never

from inspector.challenge.book import InForce
from inspector.challenge.desk import Around, ChallengeDesk
from inspector.challenge.sets import KnownSet
from inspector.core.challenges import Answer, PartShown, Step
from inspector.core.locks import LockBoard
from inspector.core.ports import KnownParts
from inspector.core.recipes import Job, JobState, Recipe
from inspector.core.records import CameraId, EventGroup
from inspector.core.verdicts import Verdict
from inspector.pipeline.build import Pipeline, Reports
from inspector.pipeline.challenges import read_sets
from inspector.pipeline.products import catalogue_of
from inspector.products.change_over import Challenges
from inspector.service.picture_check import SUBJECT, PictureCheck
from inspector.settings.settings import Settings

TICK_S = 1.0


class StationChallenges(KnownParts, Challenges):
    """Exists before the pipeline: until it is connected every unit is a product.

    Event loop only.
    """

    def __init__(
        self,
        settings: Settings,
        reports: Reports,
        *,
        locks: LockBoard,
    ) -> None:
        self._terms = settings.challenge
        self._faults = reports.faults
        self._around = Around(
            door=reports.door,
            events=reports.events,
            metrics=reports.metrics,
            locks=locks,
            on_due=self._on_due,
            now_ns=time.time_ns,
        )
        self.sets: tuple[KnownSet, ...] = ()
        self._settings = settings
        self._jobs: dict[CameraId, Job] = {}
        self._pictures: PictureCheck | None = None
        self._in_force: Callable[[], Mapping[CameraId, InForce]] = dict
        self._desk: ChallengeDesk | None = None

    async def read_sets(self, settings: Settings, *, camera: CameraId | None = None) -> None:
        """Read the sets; see `read_sets`.

        Raises:
            ConfigurationError: with a line for every mistake.

        """
        self.sets = await asyncio.to_thread(
            lambda: read_sets(settings, catalogue_of(settings), camera=camera)
        )

    def connect(
        self,
        pipeline: Pipeline,
        units_before: Mapping[CameraId, int],
        jobs: Mapping[CameraId, Job],
        *,
        note: str | None,
        triton_url: str = "",
        is_recording: bool = False,
    ) -> None:
        """Take part from the first unit on."""
        if not self.sets and note is None:
            return
        self._note_jobs(jobs)
        self._in_force = lambda: in_force(self._jobs, pipeline)
        if any(known.said.pictures for known in self.sets) and not is_recording:
            self._pictures = PictureCheck(
                self._settings, self._around, self._faults, triton_url=triton_url
            )
            self._pictures.jobs = lambda: self._jobs
            self._faults.expect("challenge", SUBJECT)
        self._desk = ChallengeDesk(self.sets, self._terms, self._around, note=note)
        self._desk.begin(
            self._in_force,
            lambda camera: units_before[camera] + pipeline.opened_units(camera) + 1,
            is_recording=is_recording,
        )
        self._look()

    def on_jobs(self, jobs: Mapping[CameraId, Job]) -> None:
        """Report the jobs in force from now on."""
        self._note_jobs(jobs)
        self._look()

    def _note_jobs(self, jobs: Mapping[CameraId, Job]) -> None:
        for camera, job in jobs.items():
            # While a change-over is under way it may still be refused, and nothing is judged.
            if job.state is not JobState.CHANGING_OVER or camera not in self._jobs:
                self._jobs[camera] = job

    def _look(self) -> None:
        if self._desk is not None:
            self._desk.look()
        if self._pictures is not None:
            self._pictures.see(self.sets, self._in_force())

    async def run_until_cancelled(self) -> None:
        """Check due times, and show stored pictures."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick(), name="challenges/time")
            if self._pictures is not None:
                tasks.create_task(self._pictures.run_until_cancelled(), name="challenges/pictures")

    async def _tick(self) -> Never:
        while True:
            await asyncio.sleep(TICK_S)
            if self._desk is not None:
                self._desk.tick()
            self._look()

    def answer(self, step: Step, set_name: str | None, *, by: str) -> Answer:
        """See `ChallengeDesk.answer`."""
        if self._desk is None:
            return Answer(problem="this station has no known parts")
        return self._desk.answer(step, set_name, by=by)

    def may_ask(self, step: Step) -> bool:
        """Whether no picture is being shown whose result this step needs."""
        running = self.status()["running"]
        is_asked = running is not None and running["phase"] == "differs"
        return step is Step.ABORT or running is None or (step is Step.RETRY and is_asked)

    def part(self, verdict: Verdict, unit_id: str) -> PartShown | None:
        """See `ChallengeDesk.part`."""
        if self._desk is None:
            return None
        if self._pictures is not None:
            # A replaced model must not pass a unit before the replacement is detected.
            self._pictures.see(self.sets, self._in_force())
        return self._desk.part(verdict, unit_id)

    def shown(self, part: PartShown, verdict: Verdict, group: EventGroup) -> EventGroup:
        """See `ChallengeDesk.shown`."""
        return group if self._desk is None else self._desk.shown(part, verdict, group)

    def status(self) -> dict[str, Any]:
        """The challenge as people see it."""
        if self._desk is None:
            return {"locks": self._terms.locks, "sets": [], "running": None, "last": None}
        return self._desk.status()

    def _on_due(self, cause: str) -> None:
        if cause:
            self._faults.raise_fault("challenge", cause)
        else:
            self._faults.clear("challenge")


def in_force(jobs: Mapping[CameraId, Job], pipeline: Pipeline) -> dict[CameraId, InForce]:
    """The recipe of each camera's units; without cameras that have no product."""
    return {
        camera: InForce(
            product=job.recipe.product,
            models=_models(job.recipe, pipeline),
            revision=_revision(job.recipe),
        )
        for camera, job in jobs.items()
        if job.state in (JobState.INSPECTING, JobState.TEACHING)
    }


def _models(recipe: Recipe, pipeline: Pipeline) -> str:
    """The models with their versions and files; empty while one of them is not known."""
    found = []
    for model in recipe.models:
        spec = pipeline.model.spec_of(model)
        if spec is None:
            return ""
        found.append(f"{model.name} {spec.version} {model.file_sha256}")
    return ", ".join(found)


def _revision(recipe: Recipe) -> str:
    reference = "" if recipe.reference is None else recipe.reference.sha256
    parts = (recipe.product, recipe.sha256, reference, *map(str, recipe.models))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
