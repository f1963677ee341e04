"""A stop drains: what was captured is accounted for in time, and what hangs is named."""

from __future__ import annotations

import asyncio
import time

import pytest

from inspector.core.errors import DrainTimeoutError
from tests.kit.fake_triton import Act, FakeTriton, serving
from tests.kit.pipeline import frames, line, settings_for

DRAIN_S = 1.5


@pytest.mark.parametrize("transport", ["stream", "unary"])
@pytest.mark.parametrize("after", [1, 13, 60])
def test_a_stop_under_load_accounts_for_every_frame_in_time(transport: str, after: int) -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda *_: Act(delay_s=0.01))) as fake:
            settings = settings_for(
                fake.url,
                {"a": {}, "b": {}},
                shutdown={"drain_timeout_s": DRAIN_S},
                inference={"reply_timeout_s": 1.2, "transport": transport},
            )
            scripts = {"a": frames(4000, fps=200), "b": frames(4000, fps=150)}
            async with line(settings, scripts) as run:
                await run.until(lambda: len(run.units) >= after)
                run.stop.set()
                began_s = time.monotonic()
                await run.ended
                assert time.monotonic() - began_s < DRAIN_S
        assert len(run.units) >= after

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize("transport", ["stream", "unary"])
def test_a_stop_while_triton_hangs_writes_off_what_it_owes(transport: str) -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda n, _id: Act(hang=n >= 10))) as fake:
            settings = settings_for(
                fake.url,
                {"a": {}},
                shutdown={"drain_timeout_s": DRAIN_S},
                inference={"reply_timeout_s": 1.4, "transport": transport},
            )
            async with line(settings, {"a": frames(4000, fps=100)}) as run:
                in_flight = settings.inference.max_in_flight
                await run.until(lambda: fake.requests >= 10 + in_flight)
                run.stop.set()
                began_s = time.monotonic()
                await run.ended
                assert time.monotonic() - began_s < DRAIN_S
        assert run.missed("a")["shutting_down"] >= in_flight

    asyncio.run(main(), debug=True)


def test_a_stop_while_triton_is_away_ends_at_once() -> None:
    async def main() -> None:
        async with serving(FakeTriton(), from_start=False) as fake:
            settings = settings_for(fake.url, {"a": {}})
            async with line(settings, {"a": frames(4000, fps=100)}) as run:
                await run.until(lambda: run.tally()["model_unavailable"] > 5)
                run.stop.set()
                began_s = time.monotonic()
                await run.ended
                assert time.monotonic() - began_s < 1.0

    asyncio.run(main(), debug=True)


def test_a_stage_that_hangs_is_named() -> None:
    async def main() -> None:
        async with serving(FakeTriton()) as fake:
            settings = settings_for(
                fake.url,
                {"a": {}},
                shutdown={"drain_timeout_s": 0.6},
                inference={"reply_timeout_s": 0.5},
            )
            async with line(settings, {"a": frames(4000, fps=100)}) as run:
                await run.until(lambda: len(run.units) > 5)
                run.sink.open.clear()
                # Enough verdicts to fill what lies before the sink.
                await run.until(lambda: len(run.pipeline.door) == 16)
                run.stop.set()
                with pytest.raises(DrainTimeoutError) as caught:
                    await run.ended
        assert "sink" in caught.value.stage_names
        assert "capture/a" not in caught.value.stage_names

    asyncio.run(main(), debug=True)
