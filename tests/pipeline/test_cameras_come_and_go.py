"""A camera may vanish, fail, or hang inside its library: the line hears of it, once per frame."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

import pytest

from tests.kit.fake_triton import FakeTriton, serving
from tests.kit.pipeline import (
    Blocks,
    Fails,
    Line,
    Lost,
    Picture,
    Refuses,
    Step,
    frames,
    line,
    recording,
    settings_for,
)


def run_to_the_end(steps: list[Step], **camera: Any) -> Line:
    async def main() -> Line:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {**recording(), **camera}})
            async with line(settings, {"a": steps}) as run:
                await asyncio.wait_for(run.ended, 10)
        return run

    return asyncio.run(main(), debug=True)


def test_the_end_of_the_footage_ends_the_pipeline() -> None:
    run = run_to_the_end(list(frames(25)))
    assert run.results() == ["PASSED"] * 25


def test_an_empty_recording_ends_too() -> None:
    assert run_to_the_end([]).results() == []


def test_numbers_go_on_where_they_were_when_a_camera_comes_back() -> None:
    steps = [*frames(5), Lost(), Refuses(), Refuses(), *frames(5), Lost(), *frames(5)]
    run = run_to_the_end(steps)
    assert run.results() == ["PASSED"] * 15
    assert run.count("inspector_camera_reconnects_total", camera="a") == 4


def test_a_frame_that_cannot_be_read_is_not_inspected() -> None:
    steps = [*frames(3), Picture(unreadable=True), *frames(3)]
    run = run_to_the_end(steps)
    assert run.results() == [*["PASSED"] * 3, "frame_unreadable", *["PASSED"] * 3]
    assert run.units[3]["detail"] == "truncated picture"
    assert run.units[3]["result"] == "NOT_INSPECTED"


@pytest.mark.parametrize(
    "failure",
    [Fails(RuntimeError("driver bug")), Fails(ValueError("no such array")), Fails(MemoryError())],
    ids=lambda f: type(f.error).__name__,
)
def test_an_exception_inside_the_camera_library_is_retried(failure: Fails) -> None:
    run = run_to_the_end([*frames(4), failure, *frames(4)])
    assert run.results() == ["PASSED"] * 8
    assert run.count("inspector_camera_reconnects_total", camera="a") == 1


def test_an_exception_while_a_picture_is_decoded_costs_that_frame_only() -> None:
    run = run_to_the_end([*frames(4), Picture(raises=RuntimeError("codec")), *frames(4)])
    assert run.results() == [*["PASSED"] * 4, "frame_unreadable", *["PASSED"] * 4]


def test_the_long_pause_after_a_refused_login_is_not_taken_for_a_stuck_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inspector.capture.worker.STUCK_AFTER_S", 1.3)
    monkeypatch.setattr("inspector.capture.reconnect.REFUSED_LATER_S", 2.5)

    async def main() -> float:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {"silent_after_s": 0.3}})
            steps = [*frames(5), Lost(), Refuses("refused (401)", login=True), *frames(5)]
            async with line(settings, {"a": steps}) as run:
                await run.until(lambda: [f.cause for f in run.faults.standing] == ["refused (401)"])
                return await run.until(lambda: len(run.units) == 10)

    # A reader that was taken to be stuck is replaced, and its successor knows of no pause.
    assert asyncio.run(main(), debug=True) > 2.0


def test_a_lost_camera_is_a_fault_and_its_return_clears_it() -> None:
    async def main() -> None:
        gone: list[Step] = [Lost("switch is off"), *[Refuses("no route")] * 12]
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {}})
            # Paced from the beginning of the script: what follows is due by then.
            steps: list[Step] = [*frames(20, fps=100), *gone, *frames(2000, fps=100)]
            async with line(settings, {"a": steps}) as run:
                await run.until(lambda: run.count("inspector_camera_up", camera="a") == 1)
                await run.until(lambda: run.faults.standing)
                fault = run.faults.standing[0]
                assert (fault.kind, fault.subject) == ("camera", "a")
                assert fault.cause in ("switch is off", "no route")
                assert run.count("inspector_camera_up", camera="a") == 0
                await run.until(lambda: not run.faults.standing)
                await run.until(lambda: run.count("inspector_camera_up", camera="a") == 1)

    asyncio.run(main(), debug=True)


def test_a_camera_that_blocks_for_ever_is_reported_and_does_not_hold_up_a_stop() -> None:
    async def main() -> None:
        released = Event()
        async with serving(FakeTriton()) as fake:
            settings = settings_for(
                fake.url,
                {"a": {"silent_after_s": 0.3}, "b": {}},
                shutdown={"drain_timeout_s": 1.2},
                inference={"reply_timeout_s": 0.5},
            )
            scripts = {
                "a": [*frames(10, fps=100), Blocks(released)],
                "b": frames(2000, fps=100),
            }
            async with line(settings, scripts) as run:
                await run.until(lambda: len(run.tally("a")) and run.faults.standing)
                assert run.faults.standing[0].subject == "a"
                assert run.faults.standing[0].cause == "no frame for 0.3 s"
                seen = len(run.results("b"))
                await run.until(lambda: len(run.results("b")) > seen + 5)
                run.stop.set()
                began_s = asyncio.get_running_loop().time()
                await run.ended
                assert asyncio.get_running_loop().time() - began_s < 1.2
            released.set()
        assert len(run.results("a")) == 10

    asyncio.run(main(), debug=True)


def test_silence_is_reported_within_half_a_second_of_the_limit() -> None:
    async def main() -> float:
        released = Event()
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {"silent_after_s": 0.3}})
            async with line(settings, {"a": [*frames(5, fps=50), Blocks(released)]}) as run:
                await run.until(lambda: len(run.units) == 5)
                after_s = await run.until(lambda: run.faults.standing)
                released.set()
        return after_s

    assert asyncio.run(main(), debug=True) < 0.3 + 0.5


@pytest.mark.parametrize("in_retrieve", [False, True], ids=["in grab", "in retrieve"])
def test_a_reader_stuck_in_its_library_is_replaced_and_verdicts_go_on(
    monkeypatch: pytest.MonkeyPatch,
    in_retrieve: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr("inspector.capture.worker.STUCK_AFTER_S", 0.4)
    released = Event()

    async def main() -> Line:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {}})
            steps = [*frames(5, fps=100), Blocks(released, in_retrieve), *frames(2000, fps=100)]
            async with line(settings, {"a": steps}) as run:
                await run.until(lambda: len(run.units) > 60)
                # The stuck call comes back long after: its frame has had its verdict.
                released.set()
                seen = len(run.units)
                await run.until(lambda: len(run.units) > seen + 20)
        return run

    run = asyncio.run(main(), debug=True)
    if in_retrieve:
        assert run.results()[5] == "frame_unreadable"
        assert run.units[5]["detail"] == "the camera's library did not return"
        assert run.missed("a")["unreadable"] == 1


def test_a_picture_still_being_decoded_at_the_stop_is_accounted_for() -> None:
    released = Event()

    async def main() -> Line:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(
                fake.url,
                {"a": {}},
                shutdown={"drain_timeout_s": 1.2},
                inference={"reply_timeout_s": 0.5},
            )
            steps = [*frames(5), Blocks(released, in_retrieve=True)]
            async with line(settings, {"a": steps}) as run:
                await run.until(lambda: run.pipeline.captured == 6)
                await run.until(lambda: len(run.units) == 5)
                run.stop.set()
                await run.ended
                released.set()
                # Its buffer comes home when the library returns, its verdict did not wait.
                pool = next(iter(run.pipeline.pools.values()))
                while pool.free < pool.buffers:  # noqa: ASYNC110 - a thread has no event
                    await asyncio.sleep(0.005)
        return run

    assert asyncio.run(main(), debug=True).results()[-1] == "frame_unreadable"


def test_a_pipeline_that_fails_leaves_no_thread_waiting_for_room() -> None:
    class Unusable(FakeTriton):
        async def ModelMetadata(self, _request: Any, _context: Any) -> Any:  # noqa: N802
            reply = await super().ModelMetadata(_request, _context)
            reply.inputs[0].datatype = "BF16"
            return reply

    async def main() -> None:
        async with serving(Unusable()) as fake:
            settings = settings_for(fake.url, {"a": recording()})
            async with line(settings, {"a": frames(500)}) as run:
                with pytest.raises(ExceptionGroup):
                    await run.ended
                assert len(run.pipeline.inbox) == settings.batching.lane_capacity

    asyncio.run(main(), debug=True)  # the fixture looks for the thread
