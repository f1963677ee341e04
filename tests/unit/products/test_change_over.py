"""The one place where the job in force changes, with a line that only counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from inspector.core.changes import Change
from inspector.core.errors import ConfigurationError, InferenceUnavailableError
from inspector.core.locks import LOCKS_NOTE, Lock, LockBoard, LockKind
from inspector.core.recipes import Job, JobState, ModelName, Recipe
from inspector.core.records import CameraId, EventGroup
from inspector.events.wording import EventBuilder
from inspector.flow.event_door import EventDoor
from inspector.pipeline.terms import event_terms
from inspector.products import change_over
from inspector.products.change_over import (
    COMMANDS_NOTE,
    ChangeOver,
    ChangeOverTerms,
    Line,
    Models,
    Products,
    References,
    RefusedError,
    unknown_product,
)
from inspector.products.commands import Approve, Discard, RollBack, read_request
from inspector.products.kept import JOBS_NOTE, KeptJobs, read_kept
from tests.kit import jobs
from tests.kit.pipeline import settings_for

A, B = jobs.A, jobs.B
OTHER_MODEL = ModelName(name="other")


def recipe(product: str, **more: Any) -> Recipe:
    return jobs.recipe(cameras=(A, B), product=product, sha256=product[:1] * 64, **more)


@dataclass
class Shelf(Products):
    """Products by name; what is a string is what is wrong with its file."""

    recipes: dict[str, Recipe | str]
    is_read: bool = True

    async def recipe(self, name: str) -> Recipe:
        await asyncio.sleep(0)
        self.is_read = True
        found = self.at_hand(name)
        assert found is not None
        return found

    def at_hand(self, name: str) -> Recipe | None:
        if name not in self.recipes:
            raise unknown_product(name, tuple(self.recipes))
        found = self.recipes[name]
        if isinstance(found, str):
            raise ConfigurationError(found)
        return found if self.is_read else None


@dataclass
class Server(Models):
    """Has some models; `may_answer` holds the others up."""

    fails: list[Exception] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str, float]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    gone: set[str] = field(default_factory=set)
    """Models that were prepared and are not there any more."""
    in_use: set[str] = field(default_factory=set)

    def use(self, needs: Collection[tuple[ModelName, tuple[str, ...]]]) -> None:
        self.in_use = {model.name for model, _codes in needs}

    def knows(self, model: ModelName, codes: tuple[str, ...]) -> bool:
        del codes
        return model.name not in self.gone

    async def prepare(
        self, model: ModelName, codes: tuple[str, ...], *, lowest_threshold: float = 1.0
    ) -> Any:
        del codes
        self.asked.append((model.name, lowest_threshold))
        self.begun.set()
        await self.may_answer.wait()
        if self.fails:
            raise self.fails.pop(0)
        self.gone.discard(model.name)


@dataclass
class Pupils(References):
    """Teaches on paper."""

    said: list[str] = field(default_factory=list)
    refuses: str = ""

    async def begin(self, job: Job, *, units: int | None, approve: bool, by: str) -> None:
        if self.refuses:
            raise RefusedError(self.refuses)
        self.said.append(f"{job.recipe.product}: {units} units for {by}, {approve}")

    async def answer(self, command: Approve | Discard | RollBack, *, product: str, by: str) -> None:
        del by
        if self.refuses:
            raise RefusedError(self.refuses)
        self.said.append(f"{type(command).__name__} {product}")

    def cut_off(self) -> None:
        self.said.append("cut off")


class Counting(Line):
    def __init__(self) -> None:
        self.opened = {A: 0, B: 0}
        self.jobs: dict[CameraId, Job] = {}

    def change_jobs(self, new: Mapping[CameraId, Job]) -> dict[CameraId, int]:
        self.jobs.update(new)
        return {camera: self.opened[camera] for camera in new}


class Station:
    """A change-over and all around it."""

    def __init__(self, *, unknown: Literal["lock", "keep"] = "lock", **products: Recipe | str):
        first = Job(number=0, recipe=recipe("default"))
        self.shelf = Shelf({"default": first.recipe, **products})
        self.server = Server()
        self.pupils = Pupils()
        self.line = Counting()
        self.door = EventDoor()
        self.seen: list[Change] = []
        self.answered = asyncio.Event()
        self.locks = LockBoard()
        self.change_over = ChangeOver(
            {A: first, B: first},
            last_number=0,
            products=self.shelf,
            line=self.line,
            models=self.server,
            door=self.door,
            events=EventBuilder(event_terms(settings_for("127.0.0.1:1", {"a": {}, "b": {}}))),
            references=self.pupils,
            terms=ChangeOverTerms(
                units_before={A: 100, B: 0},
                unknown=unknown,
                on_change=self._see,
                locks=self.locks,
                renew_optics=lambda camera: {f"optics:{camera or 'all'}": "renewed"},
            ),
        )

    def _see(self, change: Change) -> None:
        self.seen.append(change)
        self.answered.set()

    async def say(self, position: str | None = None, **fields: str) -> Change:
        return await self.change_over.handle(read_request(fields), by="commands", position=position)

    async def groups(self) -> list[EventGroup]:
        """What has entered the door."""
        return list(await self.door.receive(1000)) if len(self.door) else []

    async def kept(self) -> KeptJobs:
        """What the journal knows by now."""
        found = [g.notes[JOBS_NOTE] for g in await self.groups() if JOBS_NOTE in g.notes]
        kept = read_kept(found[-1])
        assert kept is not None
        return kept


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await main()

    asyncio.run(limited(), debug=True)


def set_product(product: str, **said: str) -> dict[str, str]:
    return {"command": "set_product", "product": product, **said}


def test_the_answer_names_the_first_unit_and_enters_the_door_with_the_jobs_and_the_position() -> (
    None
):
    async def main() -> None:
        station = Station(x=recipe("x"))
        station.line.opened = {A: 7, B: 2}
        change = await station.say("5-1", **set_product("x", order="88"))
        assert (change.accepted, change.effective) == (True, {A: 108, B: 3})
        assert station.line.jobs[A].recipe.product == "x"
        assert station.line.jobs[A].order == "88"
        (group,) = await station.groups()
        kept = read_kept(group.notes[JOBS_NOTE])
        assert kept is not None
        assert (kept.cameras["a"].product, kept.cameras["b"].order) == ("x", "88")
        assert group.notes[COMMANDS_NOTE] == "5-1"
        assert group.events[0].body["effective"] == {"a": 108, "b": 3}
        assert not station.server.asked, "its model inspects already"

    run(main)


def test_an_acknowledged_lock_is_over_and_out_of_the_journal_with_the_answer() -> None:
    async def main() -> None:
        station = Station()
        due = Lock(kind=LockKind.CHALLENGE, reason="due", since="2026-03-01T06:00:00+00:00")
        station.locks.set(due)
        say = {"command": "acknowledge", "by": "Kim"}
        refused = await station.say("5-1", **say)
        assert "does not end by being acknowledged" in refused.problem
        assert station.locks.standing == (due,)
        station.locks.set(replace(due, kind=LockKind.PROCESS, reason="ten in a row"))
        await station.groups()
        change = await station.say("5-2", **say)
        assert change.accepted
        assert change.by == "commands: Kim"
        assert station.locks.standing == (due,)
        (group,) = await station.groups()
        assert group.events[0].body["result"] == "accepted"
        assert group.notes[COMMANDS_NOTE] == "5-2"
        assert group.notes[LOCKS_NOTE] == station.locks.text()

    run(main)


def test_what_is_usual_is_forgotten_in_the_journal_with_the_answer() -> None:
    async def main() -> None:
        station = Station()
        change = await station.say("5-1", command="renew_optics")
        assert "by is missing" in change.problem
        change = await station.say("5-2", command="renew_optics", by="Kim", camera="c")
        assert change.problem == "camera is 'c', expected one of: a, b"
        await station.groups()
        assert (await station.say("5-3", command="renew_optics", by="Kim", camera="a")).accepted
        (group,) = await station.groups()
        assert group.notes["optics:a"] == "renewed"
        assert group.notes[COMMANDS_NOTE] == "5-3"

    run(main)


def test_nobody_acknowledges_without_a_name() -> None:
    async def main() -> None:
        station = Station()
        change = await station.say("5-1", command="acknowledge")
        assert change.problem == "by is missing, expected the name of the person who acknowledges"
        change = await station.say("5-1", command="acknowledge", by="Kim", lock="door")
        assert change.problem == "lock is 'door', expected one of: challenge, process"

    run(main)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (set_product("wrong"), "wrong.toml:3: no"),
        ({"command": "dance"}, "command is 'dance'"),
        ({"command": "approve"}, ""),
    ],
)
def test_what_is_refused_changes_nothing(fields: dict[str, str], problem: str) -> None:
    async def main() -> None:
        station = Station(wrong="wrong.toml:3: no")
        station.pupils.refuses = "there is nothing to approve" if not problem else ""
        change = await station.say("5-1", **fields)
        assert not change.accepted
        assert (problem or "there is nothing to approve") in change.problem
        assert change.job.recipe.product == "default"
        assert not change.effective
        assert not station.line.jobs
        (group,) = await station.groups()
        assert group.notes[COMMANDS_NOTE] == "5-1", "it is answered all the same"

    run(main)


@pytest.mark.parametrize("unknown", ["lock", "keep"])
def test_an_unknown_product_locks_the_line_or_changes_nothing(
    unknown: Literal["lock", "keep"],
) -> None:
    async def main() -> None:
        station = Station(unknown=unknown, x=recipe("x"))
        change = await station.say(**set_product("y"))
        assert not change.accepted
        assert change.problem == "there is no product 'y', expected one of: default, x"
        state = station.change_over.job.state
        assert state is (JobState.NO_PRODUCT if unknown == "lock" else JobState.INSPECTING)
        assert bool(change.effective) == (unknown == "lock")
        assert (await station.say(**set_product("x"))).accepted
        assert station.change_over.job.state is JobState.INSPECTING

    run(main)


def test_what_an_unknown_product_does_may_change_while_the_line_runs() -> None:
    async def main() -> None:
        station = Station(unknown="lock", x=recipe("x"))
        states = []
        settings: tuple[Literal["keep", "lock"], ...] = ("keep", "lock")
        for unknown in settings:
            station.change_over.change_unknown(unknown)
            change = await station.say(**set_product("y"))
            states.append((bool(change.effective), station.change_over.job.state))
        assert states == [(False, JobState.INSPECTING), (True, JobState.NO_PRODUCT)]

    run(main)


def test_a_product_with_another_model_waits_for_it_and_the_journal_knows() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", model=OTHER_MODEL))
        changing = asyncio.create_task(station.say("5-1", **set_product("x")))
        await station.server.begun.wait()
        assert {j.state for j in station.line.jobs.values()} == {JobState.CHANGING_OVER}
        assert not station.seen, "it is answered once, at its end"
        kept = await station.kept()
        assert kept.change is not None
        assert (kept.change.entry, kept.cameras["a"].product) == ("5-1", "x")
        assert kept.before["a"].product == "default"
        station.line.opened[A] = 5
        station.server.may_answer.set()
        change = await changing
        assert (change.accepted, change.effective[A]) == (True, 106)
        assert station.line.jobs[A].state is JobState.INSPECTING
        assert (await station.kept()).change is None
        # It is known from now on.
        await station.say(**set_product("default"))
        await station.say(**set_product("x"))
        assert len(station.server.asked) == 1

    run(main)


def test_a_model_that_does_not_fit_goes_back_to_the_old_product() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", model=OTHER_MODEL))
        station.server.fails = [ConfigurationError("it has 3 classes; expected 6")]
        station.server.may_answer.set()
        change = await station.say(**set_product("x"))
        assert (change.accepted, change.problem) == (False, "it has 3 classes; expected 6")
        assert station.line.jobs[A].recipe.product == "default"
        assert station.line.jobs[A].state is JobState.INSPECTING
        assert change.effective, "from which unit on the old one is in force again"

    run(main)


FURTHER = (ModelName(name="surface"), ModelName(name="label", version="2"))
TWO_MORE: dict[str, Any] = {
    "codes": (*jobs.CODES, "anomaly", "torn"),
    "codes_of": {
        "pcb_inspection": jobs.CODES,
        "surface": ("anomaly",),
        "label": ("torn",),
    },
    "thresholds": (0.5,) * 6 + (0.4, 0.9),
    "also": FURTHER,
}


def test_every_further_model_is_made_ready_each_with_the_lowest_threshold_of_its_codes() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", **TWO_MORE))
        changing = asyncio.create_task(station.say(**set_product("x")))
        await station.server.begun.wait()
        assert station.line.jobs[A].detail == (
            "x: models pcb_inspection, surface, label are being made ready"
        )
        station.server.may_answer.set()
        assert (await changing).accepted
        assert station.server.asked == [("surface", 0.4), ("label", 0.9)]
        assert station.server.in_use == {"pcb_inspection", "surface", "label"}

    run(main)


def test_one_further_model_that_does_not_fit_keeps_the_old_product() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", **TWO_MORE))
        station.server.fails = [ConfigurationError("surface: has no pred_score")]
        station.server.may_answer.set()
        change = await station.say(**set_product("x"))
        assert (change.accepted, change.problem) == (False, "surface: has no pred_score")
        assert station.line.jobs[A].recipe.product == "default"
        assert station.server.in_use == {"pcb_inspection"}

    run(main)


def test_a_server_that_is_away_for_a_moment_refuses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        station = Station(x=recipe("x", model=OTHER_MODEL))
        station.server.may_answer.set()
        station.server.fails = [InferenceUnavailableError("away")] * 2
        monkeypatch.setattr(change_over, "RETRY_S", 0.0)
        assert (await station.say(**set_product("x"))).accepted
        monkeypatch.setattr(change_over, "PATIENCE_S", -1.0)
        station.shelf.recipes["y"] = recipe("y", model=ModelName(name="third"))
        station.server.fails = [InferenceUnavailableError("away")]
        change = await station.say(**set_product("y"))
        assert (change.accepted, change.problem) == (False, "its model is not ready: away")
        assert station.line.jobs[A].recipe.product == "x"

    run(main)


def test_a_threshold_below_what_was_compared_is_compared_first() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", thresholds=(0.1,) * 6))
        station.server.may_answer.set()
        assert (await station.say(**set_product("x"))).accepted
        assert station.server.asked == [("pcb_inspection", 0.1)]
        assert len(station.seen) == 1
        assert all(job.state is JobState.INSPECTING for job in station.line.jobs.values())

    run(main)


def test_a_command_that_comes_before_the_server_is_connected_is_not_refused_for_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        station = Station(x=recipe("x", thresholds=(0.1,) * 6))
        station.server.may_answer.set()
        station.server.fails = [InferenceUnavailableError("not connected")] * 2
        monkeypatch.setattr(change_over, "RETRY_S", 0.0)
        assert (await station.say(**set_product("x"))).accepted
        assert all(job.state is JobState.INSPECTING for job in station.line.jobs.values())

    run(main)


def test_commands_wait_for_one_another() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", model=OTHER_MODEL), y=recipe("y"))
        first = asyncio.create_task(station.say("1-1", **set_product("x")))
        second = asyncio.create_task(station.say("1-2", **set_product("y")))
        await station.server.begun.wait()
        station.server.may_answer.set()
        await asyncio.gather(first, second)
        assert [c.command_entry for c in station.seen] == ["1-1", "1-2"]
        assert station.line.jobs[A].recipe.product == "y"

    run(main)


def test_a_change_over_that_a_kill_cut_short_is_finished_and_answered_once() -> None:
    async def main() -> None:
        before = Station(x=recipe("x", model=OTHER_MODEL))
        changing = asyncio.create_task(before.say("5-1", **set_product("x", order="88")))
        await before.server.begun.wait()
        kept = await before.kept()
        changing.cancel()

        after = Station(x=before.shelf.recipes["x"])
        old = after.change_over.jobs
        waiting = replace(
            before.line.jobs[A], number=kept.cameras["a"].number, state=JobState.CHANGING_OVER
        )
        after.change_over._jobs = {A: waiting, B: waiting}
        after.server.may_answer.set()
        await after.change_over.resume(kept, dict(old))
        (change,) = after.seen
        assert (change.accepted, change.command_entry, change.job.order) == (True, "5-1", "88")
        assert after.line.jobs[A].state is JobState.INSPECTING

    run(main)


def test_a_trigger_changes_its_own_camera_from_its_unit_on() -> None:
    async def main() -> None:
        station = Station(x=recipe("x"))
        assert station.change_over.choose(A, {"product": "default"}) is None
        fields = {"product": "x", "order": "88", "context": "{}"}
        job = station.change_over.choose(A, fields)
        assert job is not None
        assert station.change_over.jobs[A].recipe.product == "default", "it may still be refused"
        station.change_over.chosen(A, job, fields, number=104)
        (change,) = station.seen
        assert (change.by, change.effective, change.accepted) == ("trigger", {A: 104}, True)
        assert station.change_over.jobs[B].recipe.product == "default"
        # A context is for one unit, an order and a lot for all that follow.
        job = station.change_over.choose(A, {"lot": "7"})
        assert job is not None
        assert (job.order, job.lot, job.context, job.number) == ("88", "7", None, change.job.number)
        station.change_over.chosen(A, job, {"lot": "7"}, number=105)
        assert len(station.seen) == 1, "no change of the product"
        assert (await station.kept()).cameras["a"].lot == "7"

    run(main)


def test_a_trigger_for_a_model_that_is_not_ready_opens_a_unit_that_waits_for_nobody() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", model=OTHER_MODEL))
        job = station.change_over.choose(A, {"product": "x"})
        assert job is not None
        assert job.state is JobState.CHANGING_OVER
        station.change_over.chosen(A, job, {"product": "x"}, number=101)
        station.line.opened[A] = 3
        station.server.may_answer.set()
        await station.answered.wait()
        (change,) = station.seen
        assert (change.effective, change.job.state) == ({A: 104}, JobState.INSPECTING)

    run(main)


def test_a_product_that_is_not_at_hand_is_read_for_its_trigger() -> None:
    async def main() -> None:
        station = Station(x=recipe("x"))
        station.shelf.is_read = False
        job = station.change_over.choose(A, {"product": "x"})
        assert job is not None
        assert job.state is JobState.CHANGING_OVER
        station.change_over.chosen(A, job, {"product": "x"}, number=101)
        await station.answered.wait()
        assert station.line.jobs[A].recipe.product == "x"
        assert station.line.jobs[A].state is JobState.INSPECTING

    run(main)


def test_a_file_that_changed_is_the_next_revision_and_one_that_is_wrong_is_not() -> None:
    async def main() -> None:
        station = Station(x=recipe("x"))
        await station.say(**set_product("x", order="88"))
        assert await station.change_over.refresh(by="file") == ()
        assert len(station.seen) == 1, "nothing changed"
        station.shelf.recipes["x"] = "x.toml:1: no"
        assert await station.change_over.refresh(by="file") == ("x.toml:1: no",)
        assert station.change_over.job.recipe.sha256 == "x" * 64
        station.shelf.recipes["x"] = replace(recipe("x", revision="2"), sha256="9" * 64)
        assert await station.change_over.refresh(by="file") == ()
        change = station.seen[-1]
        assert (change.command, change.by, change.job.order) == ("revise", "file", "88")
        assert station.line.jobs[A].recipe.revision == "2"

    run(main)


def test_teaching_holds_the_units_back_until_it_is_over_or_cut_off() -> None:
    async def main() -> None:
        station = Station(x=recipe("x"))
        await station.say(**set_product("x", order="88"))
        change = await station.say(command="teach", units="6", approve="yes", by="me")
        assert (change.accepted, change.job.state) == (True, JobState.TEACHING)
        assert change.job.order == "88"
        assert station.pupils.said == ["x: 6 units for commands: me, True"]
        await station.change_over.taught()
        assert station.seen[-1].command == "taught"
        assert station.change_over.job.state is JobState.INSPECTING
        await station.say(command="teach")
        await station.say(**set_product("default"))
        assert station.pupils.said[-1] == "cut off"
        await station.change_over.taught("too late")
        assert station.change_over.job.recipe.product == "default"

    run(main)


def test_a_lesson_that_a_restart_cut_off_is_over_and_a_change_says_so() -> None:
    async def main() -> None:
        before = Station(x=recipe("x"))
        await before.say(command="teach", product="x", units="6")
        kept = await before.kept()
        assert kept.cameras["a"].state is JobState.TEACHING

        after = Station(x=before.shelf.recipes["x"])
        after.change_over._jobs = dict.fromkeys((A, B), before.change_over.job)
        await after.change_over.resume(kept, {})
        (change,) = after.seen
        assert (change.command, change.accepted) == ("taught", False)
        assert "restarted before enough units were seen: teach it again" in change.problem
        assert change.effective == {A: 101, B: 1}
        assert after.line.jobs[A].state is JobState.INSPECTING
        assert after.change_over.job.recipe.product == "x"

    run(main)


def test_what_came_of_a_lesson_is_in_the_answer_that_ends_it() -> None:
    async def main() -> None:
        station = Station(x=recipe("x"))
        await station.say(command="teach", product="x", units="6")
        await station.change_over.taught(found={"reference": "x/1", "left_out": "4 at 1,2 3x4"})
        fields = station.seen[-1].fields
        assert fields == {"product": "x", "reference": "x/1", "left_out": "4 at 1,2 3x4"}

    run(main)


def test_the_server_is_told_which_models_the_jobs_in_force_need() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", model=OTHER_MODEL))
        own = station.shelf.recipes["default"]
        assert isinstance(own, Recipe)
        assert station.server.in_use == {own.model.name}
        changing = asyncio.create_task(station.say(**set_product("x")))
        await station.server.begun.wait()
        # A model that nobody needs any more must not keep the server from being connected to.
        assert station.server.in_use == set()
        station.server.may_answer.set()
        await changing
        assert station.server.in_use == {OTHER_MODEL.name}
        await station.say(command="teach", product="x", units="8")
        assert station.server.in_use == {OTHER_MODEL.name}, "it inspects again after the lesson"

    run(main)


def test_a_model_that_was_ready_once_and_is_gone_is_made_ready_again() -> None:
    async def main() -> None:
        station = Station(x=recipe("x", model=OTHER_MODEL))
        station.server.may_answer.set()
        await station.say(**set_product("x"))
        await station.say(**set_product("default"))
        assert len(station.server.asked) == 1
        station.server.gone.add(OTHER_MODEL.name)
        station.server.fails = [ConfigurationError("the server has it no more")]
        change = await station.say(**set_product("x"))
        assert (change.accepted, change.problem) == (False, "the server has it no more")
        assert (await station.say(**set_product("x"))).accepted
        assert len(station.server.asked) == 3

    run(main)
