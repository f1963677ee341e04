"""Decides on every change of the job: commands, triggers, serials. Gates carry it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import structlog

from inspector.core.basics import CameraId
from inspector.core.challenges import Answer, Step
from inspector.core.changes import Change
from inspector.core.errors import ConfigurationError, InferenceUnavailableError, ItemError
from inspector.core.locks import LOCKS_NOTE, LockBoard
from inspector.core.part_names import shown
from inspector.core.recipes import Job, JobState, ModelName, Recipe
from inspector.core.records import Event, EventGroup, ModelSpec
from inspector.events.wording import EventBuilder
from inspector.flow.event_door import EventDoor
from inspector.products.commands import (
    Acknowledge,
    Approve,
    Challenge,
    Command,
    Discard,
    MalformedCommandError,
    OfReferences,
    RenewOptics,
    Request,
    RollBack,
    Said,
    SetProduct,
    Teach,
    read_product,
    read_said,
)
from inspector.products.kept import JOBS_NOTE, KeptChange, KeptJobs, kept_jobs

COMMANDS_NOTE = "commands"
"""The journal's note of the last answered command of the stream: its entry ID."""
PATIENCE_S = 10.0
"""How long a change-over waits for an unavailable server before it is refused."""
RETRY_S = 0.25
_OF_TRIGGERS = ("product", "order", "lot", "context")

log = structlog.get_logger("products")


class RefusedError(ItemError):
    """A command cannot be carried out; its text is one sentence."""


class UnknownProductError(RefusedError):
    """The station has no such product."""


class Products(Protocol):
    """What the station knows about its products. Event loop only."""

    async def recipe(self, name: str) -> Recipe:
        """The recipe of the product's next units.

        Raises:
            UnknownProductError: there is no such product.
            ConfigurationError: its file is wrong.

        """

    def at_hand(self, name: str) -> Recipe | None:
        """The same without waiting, as it was read last; None if it was not read yet.

        Raises:
            UnknownProductError: there is no such product.

        """


class Line(Protocol):
    """The cameras' gates. Event loop only."""

    def change_jobs(self, jobs: Mapping[CameraId, Job]) -> Mapping[CameraId, int]:
        """Open every further unit under these jobs; returns how many each camera opened before."""


class Models(Protocol):
    """The model server while it is connected. Event loop only."""

    async def prepare(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> ModelSpec:
        """Make a model ready while others answer.

        Raises:
            InferenceUnavailableError: the server is away, or the model is not ready.
            ConfigurationError: there is no such model, or it is not what the recipe says.

        """

    def use(self, needs: Collection[tuple[ModelName, tuple[str, ...]]]) -> None:
        """Set the models, with their codes, that the recipes in use need."""

    def knows(self, model: ModelName, codes: tuple[str, ...]) -> bool:
        """Whether a model was prepared for these codes and still exists."""


class References(Protocol):
    """Makes references of good units. Event loop only."""

    async def begin(self, job: Job, *, units: int | None, approve: bool, by: str) -> None:
        """Learn from the units that are opened under this job, whose state is TEACHING.

        `units` of None: as many as the settings say. `approve`: use the result at once. The end is
        reported to `ChangeOver.taught`.

        Raises:
            RefusedError: it cannot.

        """

    async def answer(self, command: Approve | Discard | RollBack, *, product: str, by: str) -> None:
        """Approve, discard or take back a reference of this product.

        The caller reads the product again afterwards; a discarded lesson is over.

        Raises:
            RefusedError: it cannot.

        """

    def cut_off(self) -> None:
        """Forget a lesson whose job was replaced, if it is not over."""


class Challenges(Protocol):
    """Known parts that are shown to the station. Event loop only."""

    def answer(self, step: Step, set_name: str | None, *, by: str) -> Answer:
        """Begin, repeat or end a check; the result enters the door together with the answer."""


class NoChallenges(Challenges):
    """A station without known parts."""

    def answer(self, step: Step, set_name: str | None, *, by: str) -> Answer:
        """Refused."""
        del step, set_name, by
        return Answer(problem="this station has no known parts")


class NoReferences(References):
    """A station that cannot be taught."""

    async def begin(self, job: Job, *, units: int | None, approve: bool, by: str) -> None:
        """Refused."""
        del job, units, approve, by
        raise RefusedError("this station cannot be taught")

    async def answer(self, command: Approve | Discard | RollBack, *, product: str, by: str) -> None:
        """Refused."""
        del command, product, by
        raise RefusedError("this station cannot be taught")

    def cut_off(self) -> None:
        """Nothing was begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOverTerms:
    """What the change-over works with."""

    units_before: Mapping[CameraId, int]
    """The number of each camera's last unit before this start."""
    unknown: Literal["lock", "keep"]
    on_change: Callable[[Change], None] = lambda _change: None
    """Called with every answer, before it is journaled."""
    on_jobs: Callable[[Mapping[CameraId, Job]], None] = lambda _jobs: None
    """Called with the jobs in force whenever they change."""
    challenges: Challenges = field(default_factory=NoChallenges)
    locks: LockBoard = field(default_factory=LockBoard)
    """The locks that people acknowledge."""
    renew_optics: Callable[[CameraId | None], Mapping[str, str]] = lambda _camera: {}
    """Accepts the pictures of a camera, or of all; returns what the journal must keep of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request, and its origin."""

    request: Request
    by: str
    position: str | None


class ChangeOver:
    """Answers commands one at a time, in the order in which they come. Event loop only.

    An answer and the swap of the job are one step without an await in between, and the answer is in
    the journal's door before any unit of the new job can be judged. In the same transaction the
    journal keeps the jobs in force, and how far the stream of commands is answered.
    """

    def __init__(
        self,
        jobs: Mapping[CameraId, Job],
        *,
        last_number: int,
        products: Products,
        line: Line,
        models: Models,
        door: EventDoor,
        events: EventBuilder,
        references: References | None = None,
        terms: ChangeOverTerms,
    ) -> None:
        """`jobs` are in force already, and the models of those that inspect are ready."""
        self._jobs = dict(jobs)
        self._last_number = last_number
        self._products = products
        self._line = line
        self._models = models
        self._door = door
        self._events = events
        self.references: References = references or NoReferences()
        self._terms = terms
        self._one_at_a_time = asyncio.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self._told = ""
        self._ready: dict[tuple[ModelName, tuple[str, ...]], float] = {}
        """The lowest threshold that each model, with its codes, was compared with."""
        for job in jobs.values():
            if job.state is JobState.INSPECTING:
                self._ready.update(needs_of(job.recipe))
        models.use(models_in_use(jobs.values()))
        terms.on_jobs(self._jobs)

    @property
    def jobs(self) -> Mapping[CameraId, Job]:
        """The job under which each camera's next unit is opened."""
        return self._jobs

    @property
    def job(self) -> Job:
        """The latest job."""
        return max(self._jobs.values(), key=lambda job: job.number)

    def change_unknown(self, unknown: Literal["lock", "keep"]) -> None:
        """Set what the next change to an unknown product does; the job in force stays as it is."""
        self._terms = replace(self._terms, unknown=unknown)

    async def handle(self, request: Request, *, by: str, position: str | None = None) -> Change:
        """Execute a command, or refuse it; returns once the answer is in the journal's door.

        `position` is its entry in the stream of commands.
        """
        who = f"{by}: {request.sender}" if request.sender else by
        asked = _Asked(request=request, by=who, position=position)
        async with self._one_at_a_time:
            if request.command is None:
                return self._refuse(asked, request.problem)
            try:
                return await self._carry_out(asked, request.command)
            except RefusedError as refused:
                return self._refuse(asked, str(refused))
            except ConfigurationError as wrong:
                return self._refuse(asked, wrong.problems[0])

    async def resume(self, kept: KeptJobs | None, before: Mapping[CameraId, Job]) -> None:
        """Go on with what was unfinished when the service ended.

        `before` are the jobs that a refusal goes back to.
        """
        async with self._one_at_a_time:
            if kept is not None and kept.change is not None:
                said = kept.change
                request = Request(name=said.name, fields=said.fields)
                asked = _Asked(request=request, by=said.by, position=said.entry)
                await self._finish(asked, self.job, before)
            elif any(job.state is JobState.TEACHING for job in self._jobs.values()):
                why = "the service was restarted before enough units were seen: teach it again"
                await self._end_lesson(why)

    async def refresh(self, *, by: str) -> tuple[str, ...]:
        """Read the products in force again; changes apply from the next unit on.

        Returns their mistakes, in sentences; a product with a mistake stays as it is.
        """
        problems: list[str] = []
        async with self._one_at_a_time:
            for name in {job.recipe.product for job in self._jobs.values()}:
                try:
                    recipe = await self._products.recipe(name)
                    if any(_differs(recipe, job) for job in self._of(name).values()):
                        await self._make_ready(recipe)
                except ConfigurationError as wrong:
                    problems += wrong.problems
                except (RefusedError, InferenceUnavailableError) as refused:
                    problems.append(str(refused))
                else:
                    self._revise(recipe, by)
        return tuple(problems)

    async def taught(
        self, problem: str = "", *, by: str = "service", found: Mapping[str, str] | None = None
    ) -> None:
        """End a lesson, with success or a reason. Its product is inspected again.

        `found` is its outcome, for the event.
        """
        async with self._one_at_a_time:
            await self._end_lesson(problem, by=by, found=found or {})

    async def _end_lesson(
        self, problem: str, *, by: str = "service", found: Mapping[str, str] | None = None
    ) -> None:
        lesson = next((j for j in self._jobs.values() if j.state is JobState.TEACHING), None)
        if lesson is None:
            return
        asked = _Asked(
            request=Request(
                name="taught", fields={"product": lesson.recipe.product, **(found or {})}
            ),
            by=by,
            position=None,
        )
        cameras = [c for c, job in self._jobs.items() if job.number == lesson.number]
        try:
            recipe = await self._products.recipe(lesson.recipe.product)
            over = replace(lesson, recipe=recipe, state=JobState.INSPECTING, detail="")
            await self._change_over(asked, over, cameras, problem=problem)
        except (ConfigurationError, RefusedError) as wrong:
            over = replace(lesson, state=JobState.INSPECTING, detail="")
            await self._change_over(asked, over, cameras, problem=problem or str(wrong))

    async def _carry_out(self, asked: _Asked, command: Command) -> Change:
        if isinstance(command, SetProduct):
            try:
                recipe = await self._products.recipe(command.product)
            except UnknownProductError as unknown:
                return self._lock(asked, str(unknown))
            job = self._next(recipe, command.said)
            return await self._change_over(asked, job, list(self._jobs))
        if isinstance(command, Challenge):
            return self._challenge(asked, command)
        if isinstance(command, Acknowledge):
            return self._acknowledge(asked, command)
        if isinstance(command, RenewOptics):
            return self._renew_optics(asked, command)
        return await self._of_references(asked, command)

    def _challenge(self, asked: _Asked, command: Challenge) -> Change:
        answer = self._terms.challenges.answer(command.step, command.set_name, by=asked.by)
        if answer.problem:
            return self._refuse(asked, answer.problem)
        return self._publish(
            asked, self.job, answer.effective, "", notes=answer.notes, events=answer.events
        )

    def _acknowledge(self, asked: _Asked, command: Acknowledge) -> Change:
        """Acknowledge locks: the answer and the end of the locks enter the journal together."""
        locks = self._terms.locks
        over, problem = locks.to_acknowledge(command.lock)
        if problem:
            return self._refuse(asked, problem)
        change = self._publish(
            asked, self.job, {}, "", notes={LOCKS_NOTE: locks.text(without=over)}
        )
        for lock in over:
            locks.clear(*lock.key)
        return change

    def _renew_optics(self, asked: _Asked, command: RenewOptics) -> Change:
        """Renew the optics: the answer and what is forgotten enter the journal together."""
        camera = None if command.camera is None else CameraId(command.camera)
        if camera is not None and camera not in self._jobs:
            known = ", ".join(self._jobs)
            return self._refuse(
                asked, f"camera is {shown(command.camera or '')}, expected one of: {known}"
            )
        return self._publish(asked, self.job, {}, "", notes=self._terms.renew_optics(camera))

    async def _of_references(self, asked: _Asked, command: OfReferences) -> Change:
        product = command.product or self._one_product()
        if isinstance(command, Teach):
            recipe = await self._products.recipe(product)
            now = self.job
            same = Said(order=now.order, lot=now.lot, context=now.context)
            said = same if now.recipe.product == product else Said()
            detail = f"{product} is being taught"
            job = replace(self._next(recipe, said), state=JobState.TEACHING, detail=detail)
            await self.references.begin(
                job, units=command.units, approve=command.approve, by=asked.by
            )
            return self._accept(asked, dict.fromkeys(self._jobs, job))
        await self.references.answer(command, product=product, by=asked.by)
        in_force = self._of(product)
        if not in_force:
            return self._accept(asked, {})
        recipe = await self._products.recipe(product)
        now = next(iter(in_force.values()))
        number = self._next(recipe, Said()).number
        over = replace(now, number=number, recipe=recipe, state=JobState.INSPECTING, detail="")
        return await self._change_over(asked, over, list(in_force))

    def _one_product(self) -> str:
        products = {job.recipe.product for job in self._jobs.values()}
        if len(products) > 1:
            names = ", ".join(sorted(products))
            raise RefusedError(f"product is missing, expected one of those in force: {names}")
        return products.pop()

    # --- triggers and serials that name a product: they cannot wait ---

    def choose(self, camera: CameraId, fields: Mapping[str, str]) -> Job | None:
        """The job of the unit that a trigger of this camera opens; None: the one in force.

        Unusable fields are left out: the unit matters more than its context.
        """
        now = self._jobs[camera]
        said = _usable(fields)
        try:
            name = read_product(fields) or now.recipe.product
            if name == now.recipe.product and now.state is not JobState.NO_PRODUCT:
                job = _with(now, said)
            else:
                job = _with(self._over_to(name, now), said)
        except (MalformedCommandError, UnknownProductError) as unknown:
            if self._terms.unknown == "keep":
                self._say_once(f"a trigger names a product: {unknown}")
                return None
            job = _with(self._without_product(str(unknown)), said)
        return None if job == now else job

    def chosen(self, camera: CameraId, job: Job, fields: Mapping[str, str], *, number: int) -> None:
        """A trigger named this job, which applies from the unit `number` that it opened on."""
        before = self._jobs[camera]
        self._last_number = max(self._last_number, job.number)
        self._note_jobs({camera: job})
        if job.number == before.number:
            # Each unit may have its own context: this is not a change of the product.
            self._door.put(EventGroup(events=(), notes={JOBS_NOTE: self._kept().text()}))
            return
        said = {name: fields[name] for name in _OF_TRIGGERS if name in fields}
        asked = _Asked(
            request=Request(name="set_product", fields=said), by="trigger", position=None
        )
        self._said_in_passing(asked, job, {camera: before}, {camera: number})

    def shown(self, product: str, cameras: Collection[CameraId]) -> Job:
        """Change the product because of a serial, from the next unit on.

        Raises:
            UnknownProductError: there is no such product; nothing changes.

        """
        before = {camera: self._jobs[camera] for camera in cameras}
        job = self._over_to(product, next(iter(before.values())))
        self._last_number = job.number
        effective = self._put(dict.fromkeys(cameras, job))
        request = Request(name="set_product", fields={"product": product})
        asked = _Asked(request=request, by="serial", position=None)
        self._said_in_passing(asked, job, before, effective)
        return job

    def _said_in_passing(
        self,
        asked: _Asked,
        job: Job,
        before: Mapping[CameraId, Job],
        effective: Mapping[CameraId, int],
    ) -> None:
        """Publish a change that is in force already, once its models are ready."""
        if job.state is not JobState.CHANGING_OVER:
            is_unknown = job.state is JobState.NO_PRODUCT
            self._publish(asked, job, effective, job.detail if is_unknown else "")
            return
        self._keep(before, asked)
        task = asyncio.create_task(self._bring(asked, job, before), name="products/change-over")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _bring(self, asked: _Asked, job: Job, before: Mapping[CameraId, Job]) -> None:
        async with self._one_at_a_time:
            cameras = [c for c, now in self._jobs.items() if now.number == job.number]
            if not cameras:
                return  # another command came since
            name = read_product(asked.request.fields)
            try:
                if name is not None and job.recipe.product != name:
                    job = replace(job, recipe=await self._products.recipe(name))
                    self._put(dict.fromkeys(cameras, job))
            except UnknownProductError as unknown:
                self._lock(asked, str(unknown))
            except ConfigurationError as wrong:
                back = {camera: before[camera] for camera in cameras}
                self._answer(asked, back, problem=wrong.problems[0])
            else:
                await self._finish(asked, job, before)

    def _over_to(self, name: str, now: Job) -> Job:
        """The next job, with a product that is at hand."""
        recipe = self._products.at_hand(name)
        if recipe is None or not self._is_ready_for(recipe):
            detail = f"{name} is being made ready"
            state = JobState.CHANGING_OVER
        else:
            state, detail = JobState.INSPECTING, ""
        return Job(
            number=self._last_number + 1,
            recipe=recipe or now.recipe,
            state=state,
            detail=detail,
        )

    def _without_product(self, problem: str) -> Job:
        """The next job, without a known product."""
        return Job(
            number=self._last_number + 1,
            recipe=self.job.recipe,
            state=JobState.NO_PRODUCT,
            detail=problem,
        )

    def _is_ready_for(self, recipe: Recipe) -> bool:
        return all(self._lowest(need) <= low for need, low in needs_of(recipe).items())

    def _lowest(self, need: tuple[ModelName, tuple[str, ...]]) -> float:
        """The threshold that a model was compared with; 2, above any, if it has to be compared."""
        return self._ready[need] if need in self._ready and self._models.knows(*need) else 2.0

    def _say_once(self, told: str) -> None:
        if told != self._told:
            self._told = told
            log.warning("the product was not changed", cause=told)

    # --- changing over ---

    async def _change_over(
        self, asked: _Asked, job: Job, cameras: list[CameraId], *, problem: str = ""
    ) -> Change:
        """Change to a job that inspects; with a `problem` the command is answered as refused."""
        if self._knows_models_of(job.recipe):
            # An unavailable server is waited for below: a command may come right after the start of
            # the service, before it is connected.
            with suppress(InferenceUnavailableError):
                await self._make_ready(job.recipe)
                return self._answer(asked, dict.fromkeys(cameras, job), problem=problem)
        before = {camera: self._jobs[camera] for camera in cameras}
        waiting = replace(
            job,
            state=JobState.CHANGING_OVER,
            detail=f"{job.recipe.product}: {_named(job.recipe)} being made ready",
        )
        self._put(dict.fromkeys(cameras, waiting))
        self._keep(before, asked)
        return await self._finish(asked, waiting, before, problem=problem)

    async def _finish(
        self,
        asked: _Asked,
        waiting: Job,
        before: Mapping[CameraId, Job],
        *,
        problem: str = "",
    ) -> Change:
        """Make the model ready, then inspect; otherwise go back."""
        refusal = await self._why_not_ready(waiting.recipe)
        # A trigger may have named another product for a camera meanwhile.
        waits = {c: job for c, job in self._jobs.items() if job.number == waiting.number}
        if refusal:
            back = {c: before[c] for c in waits if c in before}
            return self._answer(asked, back, problem=refusal)
        inspecting = {c: replace(j, state=JobState.INSPECTING, detail="") for c, j in waits.items()}
        return self._answer(asked, inspecting, problem=problem)

    async def _why_not_ready(self, recipe: Recipe) -> str:
        """Make its models ready; returns in a sentence why that failed."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + PATIENCE_S
        while True:
            try:
                await self._make_ready(recipe)
            except ConfigurationError as wrong:
                return wrong.problems[0]
            except InferenceUnavailableError as away:
                if loop.time() >= until_s:
                    return f"its model is not ready: {away}"
                await asyncio.sleep(RETRY_S)
            else:
                return ""

    def _knows_models_of(self, recipe: Recipe) -> bool:
        return all(self._lowest(need) <= 1.0 for need in needs_of(recipe))

    async def _make_ready(self, recipe: Recipe) -> None:
        for (model, codes), lowest in needs_of(recipe).items():
            if lowest >= self._lowest((model, codes)):
                continue
            await self._models.prepare(model, codes, lowest_threshold=lowest)
            self._ready[model, codes] = lowest

    # --- answers ---

    def _lock(self, asked: _Asked, problem: str) -> Change:
        if self._terms.unknown == "keep":
            return self._refuse(asked, problem)
        nothing = self._without_product(problem)
        self._last_number += 1
        return self._answer(asked, dict.fromkeys(self._jobs, nothing), problem=problem)

    def _refuse(self, asked: _Asked, problem: str) -> Change:
        return self._answer(asked, {}, problem=problem)

    def _accept(self, asked: _Asked, jobs: Mapping[CameraId, Job]) -> Change:
        return self._answer(asked, jobs, problem="")

    def _answer(self, asked: _Asked, jobs: Mapping[CameraId, Job], *, problem: str) -> Change:
        """Swap the jobs and put the answer into the door: one step."""
        effective = self._put(jobs)
        return self._publish(asked, next(iter(jobs.values()), self.job), effective, problem)

    def _publish(
        self,
        asked: _Asked,
        job: Job,
        effective: Mapping[CameraId, int],
        problem: str,
        *,
        notes: Mapping[str, str] | None = None,
        events: tuple[Event, ...] = (),
    ) -> Change:
        """Put the answer into the door, with `notes` to keep and `events` to publish."""
        change = Change(
            command=asked.request.name,
            fields=asked.request.fields,
            accepted=not problem,
            problem=problem,
            by=asked.by,
            command_entry=asked.position,
            effective=effective,
            job=job,
        )
        kept = {**(notes or {}), JOBS_NOTE: self._kept().text()}
        if asked.position is not None:
            kept[COMMANDS_NOTE] = asked.position
        group = self._events.change(change, kept)
        self._door.put(replace(group, events=(*group.events, *events)))
        log.info(
            "command answered",
            command=change.command,
            by=change.by,
            problem=problem or None,
            product=change.job.recipe.product,
            effective=dict(effective),
        )
        self._terms.on_change(change)
        return change

    def _put(self, jobs: Mapping[CameraId, Job]) -> dict[CameraId, int]:
        """Swap the jobs; returns the number of the first unit under each."""
        opened = self._line.change_jobs(jobs)
        self._note_jobs(jobs)
        before = self._terms.units_before
        return {camera: before[camera] + units + 1 for camera, units in opened.items()}

    def _note_jobs(self, jobs: Mapping[CameraId, Job]) -> None:
        was_taught = any(job.state is JobState.TEACHING for job in self._jobs.values())
        self._jobs.update(jobs)
        self._models.use(models_in_use(self._jobs.values()))
        if was_taught and all(job.state is not JobState.TEACHING for job in self._jobs.values()):
            self.references.cut_off()
        self._terms.on_jobs(self._jobs)

    def _kept(self) -> KeptJobs:
        return KeptJobs(last_number=self._last_number, cameras=kept_jobs(self._jobs))

    def _keep(self, before: Mapping[CameraId, Job], asked: _Asked) -> None:
        """Note in the journal that a change-over is in progress: its command is read."""
        change = KeptChange(
            name=asked.request.name,
            fields=dict(asked.request.fields),
            by=asked.by,
            entry=asked.position,
        )
        kept = self._kept().model_copy(update={"before": kept_jobs(before), "change": change})
        notes = {JOBS_NOTE: kept.text()}
        if asked.position is not None:
            notes[COMMANDS_NOTE] = asked.position
        self._door.put(EventGroup(events=(), notes=notes))

    def _next(self, recipe: Recipe, said: Said) -> Job:
        self._last_number += 1
        return Job(
            number=self._last_number,
            recipe=recipe,
            order=said.order,
            lot=said.lot,
            context=said.context,
        )

    def _of(self, product: str) -> dict[CameraId, Job]:
        """The cameras whose job is of this product."""
        return {c: job for c, job in self._jobs.items() if job.recipe.product == product}

    def _revise(self, recipe: Recipe, by: str) -> None:
        changed = {c: j for c, j in self._of(recipe.product).items() if _differs(recipe, j)}
        if not changed:
            return
        self._last_number += 1
        revised = {
            c: replace(j, number=self._last_number, recipe=recipe) for c, j in changed.items()
        }
        request = Request(name="revise", fields={"product": recipe.product})
        self._answer(_Asked(request=request, by=by, position=None), revised, problem="")


def unknown_product(name: str, known: tuple[str, ...]) -> UnknownProductError:
    """The sentence about a product that the station does not have."""
    few = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")  # noqa: PLR2004 - a line of them
    return UnknownProductError(f"there is no product {shown(name)}, expected one of: {few}")


def _with(job: Job, said: Said) -> Job:
    """The job with the order, lot and context of a command; order and lot stay until replaced."""
    return replace(
        job,
        order=said.order or job.order,
        lot=said.lot or job.lot,
        context=said.context,
    )


def _usable(fields: Mapping[str, str]) -> Said:
    """The fields of a trigger that can travel with its unit."""
    kept: dict[str, str | None] = {}
    for name in ("order", "lot", "context"):
        try:
            kept[name] = getattr(read_said({name: fields.get(name, "")}), name)
        except MalformedCommandError as malformed:
            log.warning("a field of a trigger was ignored", problem=str(malformed))
    return Said(**kept)


def needs_of(recipe: Recipe) -> dict[tuple[ModelName, tuple[str, ...]], float]:
    """The models that inspect its units, with their codes and lowest thresholds."""
    models = [recipe.model, *recipe.also]
    if recipe.golden is not None and recipe.reference is not None:
        models.append(recipe.golden)
    return {(m, recipe.classes_of(m)): recipe.lowest_threshold(m) for m in models}


def _named(recipe: Recipe) -> str:
    names = [model.name for model in (recipe.model, *recipe.also)]
    return f"model {names[0]} is" if len(names) == 1 else f"models {', '.join(names)} are"


def models_in_use(jobs: Iterable[Job]) -> set[tuple[ModelName, tuple[str, ...]]]:
    """The models without which units of these jobs cannot be inspected, now or after a lesson."""
    return {
        need
        for job in jobs
        if job.state in (JobState.INSPECTING, JobState.TEACHING)
        for need in needs_of(job.recipe)
    }


def _differs(recipe: Recipe, job: Job) -> bool:
    old = job.recipe
    one, other = (
        (r.sha256, None if r.reference is None else (r.reference.id, r.reference.sha256))
        for r in (recipe, old)
    )
    return one != other
