"""From frames at the gate to a version in the store, and whatever comes in between."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from inspector.core.optics import Optics
from inspector.core.recipes import Job, JobState
from inspector.core.records import Frame
from inspector.products.reference import NotLearned, ShownUnit, learn
from inspector.products.store import ProductStore
from inspector.products.stored import StoredReference
from inspector.products.teaching import (
    NICENESS,
    Lesson,
    Phase,
    ReferenceTeacher,
    TeachingCancelledError,
    cut,
    in_background,
    told,
)
from inspector.simulation.defects import DefectCode
from tests.kit.jobs import SIDE, TOP, job
from tests.kit.taught_units import CountedLease, board, frame_of, good_units, judged, unit

BEFORE = {TOP: 100, SIDE: 7}
JOB = job(JobState.TEACHING, number=4, frames_of_unit=3)
LESSON = Lesson(product="a/1", revision="3", units=4, job=4, by="Ute")


@pytest.fixture(scope="module")
def seen() -> list[ShownUnit]:
    return good_units(6)


@pytest.fixture
def store(tmp_path) -> ProductStore:
    return ProductStore(tmp_path / "products")


def teacher(store: ProductStore, **more: int) -> ReferenceTeacher:
    return ReferenceTeacher(store, units_before=BEFORE, **more)


def show(
    taught: ReferenceTeacher, units: list[ShownUnit], *, of: Job = JOB, frames: int = 3
) -> list[Frame]:
    shown = [frame_of(one, number, job=of) for one in units for number in range(frames)]
    for frame in shown:
        taught.take(frame)
    return shown


def test_the_next_units_become_a_version_that_waits_for_a_person(store, seen):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(LESSON)
        frames = show(taught, seen)
        for frame in frames:
            frame.lease.image[:] = 0  # somebody else's picture by now
        stored = await taught.outcome()
        assert isinstance(stored, StoredReference)
        assert (stored.id, stored.camera, stored.made_by) == ("a/1/1", TOP, "Ute")
        assert stored.revision == "3"
        assert [one.number for one in stored.units] == [101, 102, 103, 104]
        assert all(one.used for one in stored.units)
        assert store.approvals("a/1").in_force is None
        loaded = store.load_reference("a/1", 1)
        assert loaded.sha256 == stored.sha256
        assert loaded.mean.mean() > 50
        state = taught.state
        assert state is not None
        assert (state.phase, state.reference) == (Phase.TO_BE_APPROVED, "a/1/1")
        leases = [frame.lease for frame in frames]
        assert all(isinstance(lease, CountedLease) and not lease.released for lease in leases)
        taught.approved_or_discarded("a/1/1")
        assert taught.state is None

    asyncio.run(run())


def test_the_picture_of_each_unit_is_kept_for_people(store, seen):
    bad = unit(3, board(3, [DefectCode.COPPER, DefectCode.SHORT]).picture)

    async def run() -> StoredReference:
        taught = teacher(store)
        taught.begin(replace(LESSON, units=5))
        show(taught, [*seen[:2], bad, *seen[3:5]])
        stored = await taught.outcome()
        assert isinstance(stored, StoredReference)
        state = taught.state
        assert state is not None
        assert [one.number for one in state.left_out] == [103]
        return stored

    stored = asyncio.run(run())
    left_out = [one for one in stored.units if not one.used]
    assert [(one.number, one.why) for one in left_out] == [(103, "differs")]
    assert left_out[0].places
    for one in stored.units:
        assert store.unit_picture("a/1", 1, one).startswith(b"\xff\xd8")


def test_later_versions_are_numbered_on_and_earlier_ones_kept(store, seen):
    async def run() -> None:
        taught = teacher(store)
        for number in (1, 2):
            taught.begin(LESSON)
            show(taught, seen)
            stored = await taught.outcome()
            assert isinstance(stored, StoredReference)
            assert stored.number == number

    asyncio.run(run())
    assert store.reference_numbers("a/1") == (1, 2)


def test_units_of_another_job_another_camera_and_further_ones_are_not_learned_from(store, seen):
    earlier = replace(JOB, number=3)

    async def run() -> None:
        taught = teacher(store)
        taught.begin(replace(LESSON, units=3))
        taught.take(frame_of(seen[5], 0, job=earlier))
        taught.take(frame_of(seen[0], 0, job=JOB))
        taught.take(frame_of(seen[4], 0, job=JOB, camera=SIDE))
        show(taught, seen)
        state = taught.state
        assert state is not None
        assert [one.number for one in state.seen] == [101, 102, 103]

    asyncio.run(run())


def test_the_camera_that_is_named_is_learned_from(store, seen):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(replace(LESSON, camera=SIDE))
        taught.take(frame_of(seen[0], 0, job=JOB))
        taught.take(frame_of(seen[0], 0, job=JOB, camera=SIDE))
        state = taught.state
        assert state is not None
        assert [one.number for one in state.seen] == [8]

    asyncio.run(run())


def test_it_is_full_with_the_last_units_first_frame_and_complete_with_its_last(store, seen):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(LESSON)
        full, complete = asyncio.create_task(taught.full()), asyncio.create_task(taught.complete())
        show(taught, seen[:3])
        taught.take(frame_of(seen[3], 0, job=JOB))
        await full
        taught.take(frame_of(seen[3], 1, job=JOB))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not complete.done()
        taught.take(frame_of(seen[3], 2, job=JOB))
        await complete

    asyncio.run(run())


def test_a_unit_that_got_its_verdict_with_fewer_frames_is_waited_for_no_longer(store, seen):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(LESSON)
        show(taught, seen[:3])
        last = frame_of(seen[3], 0, job=JOB)
        taught.take(last)
        complete = asyncio.create_task(taught.complete())
        taught.decided(judged(last, 104))
        await complete
        state = taught.state
        assert state is not None
        assert [(one.id, one.frames) for one in state.seen][-1] == ("SN-104", 1)

    asyncio.run(run())


def test_what_was_collected_has_to_do_once_it_is_closed(store, seen):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(replace(LESSON, units=8))
        show(taught, seen[:3])
        taught.close()
        show(taught, seen[3:])
        stored = await taught.outcome()
        assert isinstance(stored, StoredReference)
        assert [one.number for one in stored.units] == [101, 102, 103]

    asyncio.run(run())


def test_units_that_do_not_agree_make_no_version_and_the_sentence_says_why(store, seen):
    bad = unit(3, board(3, [DefectCode.COPPER]).picture)

    async def run() -> None:
        taught = teacher(store)
        taught.begin(replace(LESSON, units=3))
        show(taught, [*seen[:2], bad])
        found = await taught.outcome()
        assert isinstance(found, NotLearned)
        assert found.sentence == "2 of 3 units agree with each other: 3 are needed"
        state = taught.state
        assert state is not None
        assert (state.phase, state.problem) == (Phase.ENDED, found.sentence)
        assert not taught.is_under_way

    asyncio.run(run())
    assert store.reference_numbers("a/1") == ()


def test_a_second_teaching_is_refused_while_one_is_under_way(store):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(LESSON)
        with pytest.raises(ValueError, match="a/1 is being taught; cancel that first"):
            taught.begin(LESSON)

    asyncio.run(run())


def test_a_cancelled_teaching_wakes_who_waits_and_keeps_nothing(store, seen):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(LESSON)
        show(taught, seen[:2])
        waiting = asyncio.create_task(taught.outcome())
        await asyncio.sleep(0)
        taught.cancel("another product was set")
        with pytest.raises(TeachingCancelledError):
            await waiting
        state = taught.state
        assert state is not None
        assert (state.phase, state.problem) == (Phase.ENDED, "another product was set")
        show(taught, seen)
        assert taught.state == state

    asyncio.run(run())
    assert store.reference_numbers("a/1") == ()


def test_memory_is_bounded_frames_are_left_away_first_and_units_that_fit_not_at_all_are_named(
    store, seen
):
    one = cut(frame_of(seen[0], 0, job=JOB)).image.nbytes

    async def run(room_bytes: int) -> NotLearned | StoredReference:
        taught = teacher(store, room_bytes=room_bytes)
        taught.begin(LESSON)
        show(taught, seen)
        return await taught.outcome()

    stored = asyncio.run(run(round(4 * 1.5 * one)))
    assert isinstance(stored, StoredReference)
    assert stored.units_used == 4
    found = asyncio.run(run(4 * one // 2))
    assert isinstance(found, NotLearned)
    assert "the room for each unit: teach fewer at once" in found.sentence


def test_how_much_memory_a_teaching_may_take_is_logged_as_it_begins(store):
    async def run() -> None:
        teacher(store).begin(LESSON)

    with capture_logs() as logs:
        asyncio.run(run())
    (entry,) = [one for one in logs if one["event"] == "teaching"]
    assert (entry["product"], entry["units"], entry["room_mb"]) == ("a/1", 4, 1074)


def test_a_frame_that_cannot_be_copied_costs_neither_the_line_nor_the_teaching(store, seen):
    class Gone:
        @property
        def image(self) -> np.ndarray:
            raise RuntimeError("gone")

        def release(self) -> None:
            pass

    async def run() -> None:
        taught = teacher(store)
        taught.begin(LESSON)
        broken = replace(frame_of(seen[0], 0, job=JOB), lease=Gone())
        with capture_logs() as logs:
            taught.take(broken)
        assert [one["event"] for one in logs] == ["a frame could not be learned from"]
        show(taught, seen)
        assert isinstance(await taught.outcome(), StoredReference)

    asyncio.run(run())


def test_a_unit_is_cut_out_with_what_surrounds_it_and_lies_there_as_in_the_frame(seen):
    whole = frame_of(seen[0], 0, job=JOB)
    cut_out = cut(whole)
    assert cut_out.image.size < whole.lease.image.size
    assert not np.shares_memory(cut_out.image, whole.lease.image)
    frames = [frame_of(one, 0, job=JOB) for one in seen]
    cuts = learn([ShownUnit(number=n, sights=(cut(f),)) for n, f in enumerate(frames)])
    wholes = learn([ShownUnit(number=n, sights=(seen[n].sights[0],)) for n in range(len(frames))])
    assert not isinstance(cuts, NotLearned)
    assert not isinstance(wholes, NotLearned)
    assert cuts.mean.shape == wholes.mean.shape
    assert np.abs(cuts.mean.astype(int) - wholes.mean.astype(int)).mean() < 1


def test_without_an_outline_the_whole_frame_is_the_unit(seen):
    sight = cut(frame_of(seen[0], 0, job=JOB, outlined=False))
    height_px, width_px = sight.image.shape[:2]
    assert (sight.outline.width_px, sight.outline.height_px) == (width_px, height_px)
    assert (sight.outline.centre_x_px, sight.outline.turn_deg) == (width_px / 2, 0)


def test_a_unit_left_out_is_named_with_where_to_look(seen):
    bad = board(3, [DefectCode.COPPER])
    found = learn([*seen[:2], unit(3, bad.picture), *seen[3:]])
    assert not isinstance(found, NotLearned)
    sentence = told(found.left_out[0])
    place = found.left_out[0].places[0]
    assert sentence == (
        "unit 3 is left out: it shows something that the others do not, at"
        f" {place.x_px}, {place.y_px} ({place.width_px}x{place.height_px} px)"
    )


def test_work_in_the_background_gives_way_to_the_line_and_brings_its_result_or_failure():
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def fail() -> None:
        raise OSError("the disk is full")

    async def run() -> None:
        before = niceness()
        assert await in_background(niceness, name="teaching") == NICENESS
        assert niceness() == before
        with pytest.raises(OSError, match="the disk is full"):
            await in_background(fail, name="teaching")

    asyncio.run(run())


def test_what_the_pictures_of_good_units_are_like_is_kept_beside_the_reference(store, seen):
    def measured(frame: Frame, blur_px: float) -> Frame:
        optics = Optics(blur_px=blur_px, clipped=0.0, darkest=9, bright=170, contrast=150)
        return replace(frame, ref=replace(frame.ref, optics=optics, captured_unix_ns=7_000_000_000))

    bad = unit(3, board(3, [DefectCode.COPPER, DefectCode.SHORT]).picture)

    async def run() -> None:
        taught = teacher(store)
        taught.begin(replace(LESSON, units=5))
        for one in [*seen[:2], bad, *seen[3:5]]:
            for number in range(3):
                blur_px = 9.0 if one is bad else 2.5 + number / 10
                taught.take(measured(frame_of(one, number, job=JOB), blur_px))
        assert isinstance(await taught.outcome(), StoredReference)

    asyncio.run(run())
    usual = store.load_reference("a/1", 1).optics
    assert usual is not None
    assert (usual.camera, usual.pictures, usual.blur_px) == (TOP, 12, 2.6)
    assert (usual.vouched, usual.since_unix_s, usual.bright) == (True, 7.0, 170)


def test_where_nobody_measures_pictures_nothing_is_kept_of_them(store, seen):
    async def run() -> None:
        taught = teacher(store)
        taught.begin(LESSON)
        show(taught, seen)
        await taught.outcome()

    asyncio.run(run())
    assert store.load_reference("a/1", 1).optics is None
    assert not (store.reference_folder("a/1", 1) / "optics.json").exists()
