"""A model slower than its cameras costs frames, in the inbox and nowhere else, never freshness."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

import pytest

from tests.kit.fake_triton import Act, FakeTriton, serving
from tests.kit.pipeline import Line, frames, line, recording, settings_for

SERVICE_S = 0.02
WINDOW_MS = 2.0
MAX_AGE_MS = 150.0
IN_FLIGHT = 2
SLACK_S = 0.1
"""For what two shared cores do to timers."""


def freshness_bound_s(max_regions: int) -> float:
    """The oldest a frame can be at its verdict.

    It leaves the inbox at most `max_age_ms` old, may wait for company for `window_ms`, and has
    before it at most: one batch in the channel, `max_in_flight` at the server; then its own turn.
    """
    del max_regions  # a batch takes its service time whatever it holds
    return MAX_AGE_MS / 1e3 + WINDOW_MS / 1e3 + (1 + IN_FLIGHT + 1) * SERVICE_S


async def overloaded(factor: float, run_s: float, **cameras: Any) -> tuple[Line, dict[str, int]]:
    """One camera `factor` times faster than the model; one region per request."""
    peaks = {"inbox": 0, "groups": 0, "early": 0}
    fake = FakeTriton(script=lambda *_: Act(delay_s=SERVICE_S))
    async with serving(fake):
        settings = settings_for(
            fake.url,
            {"a": cameras},
            batching={"max_regions": 1, "window_ms": WINDOW_MS, "max_age_ms": MAX_AGE_MS},
            inference={"max_in_flight": IN_FLIGHT},
        )
        fps = factor / SERVICE_S
        async with line(settings, {"a": frames(int(fps * run_s * 3), fps=fps)}) as run:
            await run.until(lambda: "PASSED" in run.results())
            began_s = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - began_s < run_s:
                pipeline = run.pipeline
                peaks["inbox"] = max(peaks["inbox"], len(pipeline.inbox))
                peaks["groups"] = max(peaks["groups"], len(pipeline.door))
                early = max(book.waiting for book in pipeline.results._books.values())
                peaks["early"] = max(peaks["early"], early)
                await asyncio.sleep(0.002)
        assert fake.most_waiting <= IN_FLIGHT
    return run, peaks


@pytest.mark.parametrize("factor", [3, 10])
def test_verdicts_stay_fresh_however_fast_the_camera(factor: int) -> None:
    run, peaks = asyncio.run(overloaded(factor, 1.5))
    looked = [u for u in run.units if u["result"] == "PASSED"]
    ages_s = [u["timing_ms"]["trigger_to_verdict"] / 1e3 for u in looked]
    assert len(looked) > 0.5 * 1.5 / SERVICE_S
    p95_s = statistics.quantiles(ages_s, n=20)[-1]
    assert p95_s <= freshness_bound_s(1) + SLACK_S, f"p95 age {p95_s:.3f} s"
    # The inbox sheds, and only the inbox: never for want of a buffer.
    assert set(run.missed("a")) <= {"lane_full", "stale", "model_unavailable"}
    assert run.missed("a")["lane_full"] > len(looked)
    # Memory: the lane, the channel, and what overtook the frames in flight.
    assert peaks["inbox"] <= run.settings.batching.lane_capacity
    assert peaks["groups"] <= 16
    in_flight_s = (2 + IN_FLIGHT) * SERVICE_S + MAX_AGE_MS / 1e3 + SLACK_S
    assert peaks["early"] <= factor / SERVICE_S * in_flight_s


def test_a_slow_camera_beside_a_fast_one_loses_no_frame() -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda *_: Act(delay_s=SERVICE_S))) as fake:
            settings = settings_for(
                fake.url, {"fast": {}, "slow": {}}, batching={"max_regions": 2, "max_age_ms": 1000}
            )
            scripts = {"fast": frames(4000, fps=200), "slow": frames(400, fps=10)}
            async with line(settings, scripts) as run:
                await run.until(lambda: "PASSED" in run.results("slow"))
                first = run.results("slow").index("PASSED")
                await run.until(lambda: run.tally("slow")["PASSED"] > 20)
                assert run.tally("fast")["frame_dropped"] > 50
                during = run.results("slow")[first:]
            assert set(during) == {"PASSED"}
            assert set(run.missed("slow")) <= {"model_unavailable"}

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("delay_s", [0.0, 0.03])
def test_a_camera_that_may_wait_loses_no_frame_however_slow_the_model(delay_s: float) -> None:
    async def main() -> Line:
        async with serving(FakeTriton(script=lambda *_: Act(delay_s=delay_s))) as fake:
            settings = settings_for(
                fake.url, {"a": recording(), "b": recording()}, batching={"max_regions": 2}
            )
            async with line(settings, {"a": frames(40), "b": frames(40)}) as run:
                await run.ended
        return run

    run = asyncio.run(main(), debug=True)
    assert run.results("a") == run.results("b") == ["PASSED"] * 40


def test_a_sink_that_stands_still_pushes_back_to_the_inbox_and_no_further() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(4000, fps=300)}) as run:
                await run.until(lambda: run.tally()["PASSED"] > 10)
                run.sink.open.clear()
                captured = run.pipeline.captured
                await run.until(lambda: run.pipeline.captured > captured + 150)
                assert len(run.pipeline.door) == 16
                assert len(run.pipeline.inbox) == settings.batching.lane_capacity
                run.sink.open.set()
                seen = len(run.units)
                await run.until(lambda: "PASSED" in run.results()[seen + 100 :])
            # The settings promise enough buffers that the camera never goes without.
            assert "no_buffer" not in run.missed("a")
            assert run.missed("a")["lane_full"] > 50

    asyncio.run(main(), debug=True)


def test_frames_too_old_for_their_verdict_are_stale_and_not_inspected() -> None:
    async def main() -> None:
        fake = FakeTriton(script=lambda n, _id: Act(delay_s=0.4 if n == 5 else 0))
        async with serving(fake):
            settings = settings_for(
                fake.url,
                {"a": {}},
                batching={"max_regions": 1, "max_age_ms": 60.0, "lane_capacity": 64},
                inference={"max_in_flight": 1},
            )
            async with line(settings, {"a": frames(2000, fps=100)}) as run:
                await run.until(lambda: run.tally()["stale"] > 10)
                seen = len(run.units)
                await run.until(lambda: "PASSED" in run.results()[seen:])

    asyncio.run(main(), debug=True)
