from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from inspector.core.background import background, ready_or_failed
from inspector.core.errors import ConfigurationError, DrainTimeoutError, StageVanishedError
from inspector.pipeline.supervisor import run_pipeline


class Does:
    """A stage that does one thing."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._work = work
        self.asked_to_stop = False

    async def run(self) -> None:
        await self._work()

    def request_stop(self) -> None:
        self.asked_to_stop = True


async def for_ever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    pass


async def run_stages(*stages: Does, stop: bool = False, drain_timeout_s: float = 0.2) -> None:
    asked = asyncio.Event()
    if stop:
        asked.set()
    await run_pipeline([], stages, stop=asked, drain_timeout_s=drain_timeout_s)


def test_a_stage_that_raises_ends_the_pipeline_with_its_error() -> None:
    async def fails() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run_stages(Does("good", for_ever), Does("bad", fails)), debug=True)
    assert caught.group_contains(ZeroDivisionError, match="a bug")


def test_a_stage_cancelled_by_a_library_is_not_taken_for_an_ending() -> None:
    async def cancelled_from_inside() -> None:
        raise asyncio.CancelledError

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(
            run_stages(Does("good", for_ever), Does("vanishing", cancelled_from_inside)), debug=True
        )
    assert caught.group_contains(StageVanishedError, match="vanishing")


def test_only_the_stages_that_hang_are_named() -> None:
    with pytest.raises(DrainTimeoutError, match="hanging") as caught:
        asyncio.run(
            run_stages(Does("hanging", for_ever), Does("quick", at_once), stop=True), debug=True
        )
    assert caught.value.stage_names == ["hanging"]


def test_stopping_asks_the_sources_and_waits_for_the_rest() -> None:
    async def main() -> list[str]:
        story: list[str] = []
        asked, first_left = asyncio.Event(), asyncio.Event()

        async def source_works() -> None:
            while not source.asked_to_stop:  # noqa: ASYNC110 - set by a plain call
                await asyncio.sleep(0.001)
            story.append("source ended")
            first_left.set()

        async def stage_works() -> None:
            await first_left.wait()
            story.append("stage ended")

        source, stage = Does("source", source_works), Does("stage", stage_works)
        asked.set()
        await run_pipeline([source], [stage], stop=asked, drain_timeout_s=2)
        return story

    assert asyncio.run(main(), debug=True) == ["source ended", "stage ended"]


def test_other_peoples_servers_are_given_up_before_the_deadline() -> None:
    async def main() -> None:
        asked, given_up = asyncio.Event(), asyncio.Event()
        asked.set()

        async def waits_for_a_server() -> None:
            await given_up.wait()

        stage = Does("stage", waits_for_a_server)
        await run_pipeline([], [stage], stop=asked, drain_timeout_s=0.3, give_up=given_up.set)
        assert given_up.is_set()

    asyncio.run(main(), debug=True)


def test_a_pipeline_whose_stages_all_end_ends_without_being_asked() -> None:
    async def main() -> bool:
        await run_stages(Does("one", at_once), Does("two", at_once))
        return True

    assert asyncio.run(main(), debug=True)


def test_what_runs_in_the_background_is_gone_after_the_body() -> None:
    async def main() -> None:
        tidied: list[str] = []

        async def server() -> None:
            try:
                await for_ever()
            finally:
                await asyncio.sleep(0)
                tidied.append("yes")

        async with background(server(), name="server") as running:
            await asyncio.sleep(0)
        assert tidied == ["yes"]
        assert running.cancelled()

    asyncio.run(main(), debug=True)


def test_a_server_that_fails_before_it_is_ready_says_why() -> None:
    async def main() -> None:
        async def server() -> None:
            raise ConfigurationError("no such folder")

        async with background(server(), name="server") as running:
            with pytest.raises(ConfigurationError, match="no such folder"):
                await ready_or_failed(for_ever(), running)

    asyncio.run(main(), debug=True)
