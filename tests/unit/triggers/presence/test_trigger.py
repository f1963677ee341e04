from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from inspector.core.recipes import Job
from inspector.core.records import (
    FrameRef,
    Image,
    MissedFrame,
    MissReason,
    TriggerKind,
    UnitClosed,
    UnitOpened,
)
from inspector.simulation.options import SimulationOptions
from tests.kit import jobs
from tests.kit.belt_footage import CAMERA, Line, Shot, dark, faint, light_belt, shots

LENGTH = 340
"""Frames in which three boards pass."""
GOOD = [None]


def judged_as(line: Line, boards: int) -> None:
    """Each board is one unit, in order, with its three whole frames and its exact outline."""
    assert line.opened == list(range(boards))
    assert line.misses == GOOD * boards
    for index in range(boards):
        frames = line.of_unit(index)
        assert len(frames) == 3
        assert all(line.is_whole(index + 1, frame) for frame in frames)
        assert max(line.errors_px(index + 1, frame) for frame in frames) <= 2
    assert line.idle + len(line.chosen) == line.frames, "frames are conserved"
    assert line.pool.free == line.pool.buffers


@pytest.mark.parametrize("travel", ["left", "right", "up", "down"])
def test_each_board_is_one_unit_whichever_way_it_goes(travel: str) -> None:
    judged_as(Line(travel=travel).run(shots(range(LENGTH))), 3)


@pytest.mark.parametrize("every", [2, 4])
def test_each_board_is_one_unit_on_a_faster_belt(every: int) -> None:
    judged_as(Line().run(shots(range(0, LENGTH, every), interval_ms=33)), 3)


@pytest.mark.parametrize("change", [faint, light_belt])
def test_each_board_is_one_unit_on_another_belt(change: Callable[[Image], Image]) -> None:
    judged_as(Line().run(shots(range(LENGTH), change=change)), 3)


def test_light_that_drifts_and_flickers_changes_nothing() -> None:
    rng = np.random.default_rng(3)

    def lit(gain: float) -> Callable[[Image], Image]:
        return lambda picture: np.clip(picture * gain, 0, 255).astype(np.uint8)

    footage = [
        Shot(at, 33 * at, lit((1 + 0.25 * math.sin(at / 40)) * (1 + float(rng.normal(0, 0.03)))))
        for at in range(LENGTH)
    ]
    judged_as(Line().run(footage), 3)


def test_two_boards_close_together_are_two_units() -> None:
    options = SimulationOptions(speed=10.0, gap=24, boards=4, seed=5)
    judged_as(Line(options=options).run(shots(range(370))), 4)


def test_a_board_that_stops_and_goes_on_is_one_unit() -> None:
    judged_as(Line().run(shots([*range(80), *[80] * 60, *range(80, LENGTH)])), 3)


@pytest.mark.parametrize("turns", [55, 90])
def test_a_board_that_enters_and_goes_back_is_one_unit(turns: int) -> None:
    belt = [*range(turns), *range(turns, 2, -1), *range(2, LENGTH)]
    judged_as(Line().run(shots(belt)), 3)


def test_a_belt_that_stops_for_a_minute_changes_nothing() -> None:
    line = Line().run(shots(range(85)))
    standing = [Shot(84, n * 200) for n in range(1, 300)]
    after = [Shot(at, 60_000 + n * 33) for n, at in enumerate(range(85, LENGTH), 1)]
    judged_as(line.run([*standing, *after]), 3)


def test_a_board_in_view_at_the_start_is_a_unit() -> None:
    footage = shots(range(85, LENGTH))
    line = Line().run(footage)
    judged_as(line, 3)
    first = line.told[0]
    # Once it was seen to go with the belt: what stands in view may be anything.
    assert first.unit.triggered_mono_ns <= (1000 + 8 * 33) * 1_000_000


@pytest.mark.parametrize("dark_from", [30, 68, 80, 110])
def test_lights_that_fail_for_two_seconds_lose_no_board_and_make_none(dark_from: int) -> None:
    footage = [
        Shot(shot.belt, shot.at_ms, dark if dark_from <= shot.belt < dark_from + 60 else None)
        for shot in shots(range(LENGTH))
    ]
    line = Line().run(footage)
    assert line.opened == [0, 1, 2]
    assert len(line.misses) == 3
    assert line.misses.count(None) >= 1
    for frame in line.chosen:
        assert not dark_from <= line.belt_of[frame.ref.sequence] < dark_from + 60
    assert line.idle + len(line.chosen) == line.frames


def test_an_empty_belt_costs_no_frame() -> None:
    line = Line().run(shots([0] * 60))
    assert line.idle == 60
    assert not line.told


def test_only_the_region_is_looked_at() -> None:
    line = Line(settings={"region": [100, 0, 900, 360]}).run(shots(range(LENGTH)))
    assert line.misses == GOOD * 3
    for frame in line.chosen:
        outline = frame.ref.outline
        assert outline is not None
        assert outline.centre_x_px - outline.width_px / 2 >= 98
        assert outline.centre_x_px + outline.width_px / 2 <= 1002
    assert max(line.errors_px(n + 1, f) for n in range(3) for f in line.of_unit(n)) <= 2


def test_a_unit_larger_than_the_region_is_never_called_good() -> None:
    line = Line(settings={"region": [200, 0, 560, 360]}).run(shots(range(LENGTH)))
    assert line.misses == [MissReason.NO_FRAME] * 3
    assert not line.chosen


def test_units_carry_the_clocks_of_the_frame_in_which_they_were_first_whole() -> None:
    line = Line().run(shots(range(LENGTH)))
    for told in (t for t in line.told if isinstance(t, UnitOpened)):
        unit = told.unit
        sequence = round((unit.triggered_mono_ns / 1e6 - 1000) / 33) - 1
        whole = [
            n
            for n in range(LENGTH)
            if any(b.number == unit.index + 1 and b.fully_in_view for b in line.view.truth(n))
        ]
        assert 0 <= line.belt_of[sequence] - whole[0] <= 3
        assert unit.kind is TriggerKind.PRESENCE
        assert unit.triggered_unix_ns == unit.triggered_mono_ns


def test_a_lost_camera_closes_the_units_in_view_and_they_get_no_second_verdict() -> None:
    line = Line().run(shots(range(78))).interrupt()
    assert line.opened == [0]
    assert line.misses == [MissReason.CAMERA_LOST]
    assert line.pool.free == line.pool.buffers, "what was at hand is inspected or released"
    line.run([Shot(at, 1000 + n * 33) for n, at in enumerate(range(108, LENGTH), 1)])
    assert line.opened == [0, 1, 2]
    assert line.misses == [MissReason.CAMERA_LOST, None, None]


def test_an_interruption_before_the_first_frame_is_nothing() -> None:
    line = Line().interrupt()
    assert not line.told
    assert not line.chosen


def test_a_missed_frame_belongs_to_no_unit_and_explains_one_that_stays_short() -> None:
    line = Line().run(shots(range(72)))
    ref = FrameRef(camera_id=CAMERA, sequence=62, captured_mono_ns=3_000_000, captured_unix_ns=1)
    missed = MissedFrame(ref=ref, reason=MissReason.NO_BUFFER)
    assert line.trigger.missed(missed) == missed
    line.run([Shot(at, 1500 + n * 33) for n, at in enumerate(range(120, LENGTH), 1)])
    closed = next(told for told in line.told if isinstance(told, UnitClosed))
    assert (closed.unit.index, closed.miss) == (0, MissReason.NO_BUFFER)
    assert closed.frames_expected == 3


def test_recordings_are_timed_by_their_frames_not_by_their_reading() -> None:
    line = Line()
    line.trigger._frame_interval_ns = 33_000_000
    footage = [Shot(at, 0) for at in range(LENGTH)]  # read all at once
    judged_as(line.run(footage), 3)
    first = line.of_unit(0)
    assert first[-1].ref.sequence - first[0].ref.sequence >= 15, "spread over its passage"


def test_a_job_given_at_the_opening_decides_how_many_frames_that_unit_has() -> None:
    """A recording's unit waits for its job after the frame that shows it was looked at."""
    counted: list[int] = []

    def job_for(index: int) -> Job:
        counted.append(line.trigger.opened_units)
        return jobs.job(number=index, frames_of_unit=index + 1, cameras=(CAMERA,))

    line = Line(job_for=job_for)
    line.run(shots(range(LENGTH)))
    assert [len(line.of_unit(index)) for index in line.opened] == [1, 2, 3]
    assert [told.unit.under.number for told in line.told] == [0, 0, 1, 1, 2, 2]
    assert counted == [0, 1, 2], "what waits is not opened yet"


def test_looking_is_cheap() -> None:
    line = Line()
    line.run(shots(range(60)))
    costs_s = []
    for shot in shots(range(60, 120)):
        before_s = time.thread_time()
        line.run([shot])
        costs_s.append(time.thread_time() - before_s)
    assert sorted(costs_s)[len(costs_s) // 4] < 0.01, "with drawing the picture"
