"""What people ask about references, and what the heard hears of a lesson's end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inspector.core.recipes import Job, JobState
from inspector.products.change_over import RefusedError
from inspector.products.commands import Approve, Discard, RollBack
from inspector.products.reference import ShownUnit
from inspector.products.references import StationReferences
from inspector.products.store import ProductStore
from inspector.products.teaching import Phase, ReferenceTeacher
from inspector.simulation.defects import DefectCode
from tests.kit.jobs import TOP, job
from tests.kit.taught_units import board, frame_of, good_units, unit

JOB = job(JobState.TEACHING, number=4, frames_of_unit=1, product="a")


@dataclass
class ChangesHeard:
    heard: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    async def taught(
        self, problem: str = "", *, by: str = "service", found: Mapping[str, str] | None = None
    ) -> None:
        del by
        self.heard.append((problem, found or {}))


@pytest.fixture(scope="module")
def seen() -> list[ShownUnit]:
    return good_units(4)


@pytest.fixture
def store(tmp_path: Path) -> ProductStore:
    return ProductStore(tmp_path / "products")


def station(
    store: ProductStore, work: Callable[[StationReferences, ChangesHeard], Awaitable[None]]
) -> ChangesHeard:
    change_over = ChangesHeard()

    async def main() -> None:
        teacher = ReferenceTeacher(store, units_before={TOP: 0})
        references = StationReferences(teacher, store, teach_units=4)
        running = asyncio.create_task(references.run(change_over))
        try:
            await work(references, change_over)
        finally:
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(main(), debug=True)
    return change_over


async def teach(
    references: StationReferences, units: list[ShownUnit], *, approve: bool = False, of: Job = JOB
) -> None:
    await references.begin(of, units=None, approve=approve, by="Ute")
    for one in units:
        references.teacher.take(frame_of(one, 0, job=of))
    await references.idle()


def test_a_lesson_ends_with_a_version_that_is_not_in_force(store, seen):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        await teach(references, seen)

    change_over = station(store, work)
    ((problem, found),) = change_over.heard
    assert problem == ""
    assert (found["reference"], found["units"], found["approved"]) == ("a/1", "4", "false")
    assert store.approvals("a").in_force is None


def test_a_lesson_that_approves_puts_its_version_in_force_before_the_desk_hears_of_it(store, seen):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        await teach(references, seen, approve=True)

    assert station(store, work).heard[0][1]["approved"] == "true"
    assert store.approvals("a").in_force == 1


def test_a_unit_left_out_is_named_with_its_place_in_what_the_desk_hears(store, seen):
    bad = unit(9, board(9, [DefectCode.COPPER]).picture)

    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        await teach(references, [*seen[:3], bad])

    ((problem, found),) = station(store, work).heard
    assert problem == ""
    assert re.fullmatch(r"9 at \d+,\d+ \d+x\d+", found["left_out"])


def test_units_that_teach_nothing_are_a_problem_with_its_reason(store, seen):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        bad = [unit(n, board(n, [DefectCode.COPPER]).picture) for n in (8, 9)]
        await teach(references, [*seen[:2], *bad])

    ((problem, found),) = station(store, work).heard
    assert problem == "2 of 4 units agree with each other: 3 are needed"
    assert re.fullmatch(r"8 at .*; 9 at .*", found["left_out"])


def test_a_folder_that_cannot_be_written_ends_the_lesson_with_a_problem(tmp_path, seen):
    (tmp_path / "products").write_text("in the way")

    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        await teach(references, seen)
        await references.begin(JOB, units=4, approve=False, by="Ute")
        assert change_over.heard

    ((problem, _),) = station(ProductStore(tmp_path / "products"), work).heard
    assert "products/versions cannot be written: " in problem


def test_approve_discard_and_roll_back(store, seen):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        for _ in range(3):
            await teach(references, seen)
        await references.answer(Approve(product="a", version=1), product="a", by="Ute")
        await references.answer(Approve(product="a", version=None), product="a", by="Ute")
        assert store.approvals("a").in_force == 3
        assert references.teacher.state is None, "nothing waits for a person any more"
        await references.answer(RollBack(product="a"), product="a", by="Ute")
        assert store.approvals("a").in_force == 1
        await references.answer(Discard(product="a", version=2), product="a", by="Ute")
        await references.answer(Discard(product="a", version=None), product="a", by="Ute")
        assert store.reference_numbers("a") == (1,)

    station(store, work)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (Approve(product="a", version=None), "a has no reference; teach it first"),
        (Approve(product="a", version=7), "a has no reference 7; there are: none"),
        (Discard(product="a", version=None), "a has no reference to discard"),
        (RollBack(product="a"), "a has no earlier reference to go back to; approved: none"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(store, command, says):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        with pytest.raises(RefusedError, match=says):
            await references.answer(command, product="a", by="Ute")

    station(store, work)


def test_a_lesson_of_fewer_units_than_can_agree_is_refused_before_anything_is_taught(store):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        with pytest.raises(RefusedError, match="units is 2, expected at least 3"):
            await references.begin(JOB, units=2, approve=False, by="Ute")
        assert not references.teacher.is_under_way

    station(store, work)


def test_a_lesson_under_way_is_discarded_and_another_can_begin(store, seen):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        await references.begin(JOB, units=4, approve=False, by="Ute")
        with pytest.raises(RefusedError, match="a is being taught"):
            await references.begin(JOB, units=4, approve=False, by="Ute")
        await references.answer(Discard(product="a", version=None), product="a", by="Ute")
        await references.idle()
        assert change_over.heard == [], "who discarded it has the answer"
        await teach(references, seen)

    assert station(store, work).heard[0][1]["reference"] == "a/1"


def test_a_lesson_is_cut_off_by_another_job_unless_its_units_are_complete(store, seen):
    async def work(references: StationReferences, change_over: ChangesHeard) -> None:
        del change_over
        await references.begin(JOB, units=4, approve=False, by="Ute")
        references.cut_off()
        await references.idle()
        state = references.teacher.state
        assert state is not None
        assert state.phase is Phase.ENDED
        await references.begin(JOB, units=4, approve=False, by="Ute")
        for one in seen:
            references.teacher.take(frame_of(one, 0, job=JOB))
        references.teacher.close()
        references.cut_off()
        await references.idle()

    station(store, work)
    assert store.reference_numbers("a") == (1,)
