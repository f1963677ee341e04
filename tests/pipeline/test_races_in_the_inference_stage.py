"""Moments that random runs seldom hit, brought about on purpose."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from inspector.core.records import Batch, MissReason, Outcome
from inspector.flow.channel import Channel
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.worker import InferenceLimits, InferenceWorker
from inspector.ops.metrics import Metrics
from tests.kit.fake_models import MODEL, SilentModel
from tests.kit.fake_triton import Act, FakeTriton, serving
from tests.kit.pipeline import frames, line, settings_for


class Stage:
    """The inference stage by itself, between two channels of one place each."""

    def __init__(self, *, reply_timeout_s: float = 5.0, cleanup_s: float = 0.0) -> None:
        self.complaints: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: self.complaints.append(context))
        self.tensors = TensorPool(tensors=4, max_regions=1, shared=False)
        self.batches: Channel[Batch] = Channel(1)
        self.outcomes: Channel[Outcome] = Channel(1)
        self.model = SilentModel(self.tensors, cleanup_s=cleanup_s)
        self.worker = InferenceWorker(
            self.batches,
            self.model,
            self.outcomes,
            limits=InferenceLimits(max_in_flight=2, reply_timeout_s=reply_timeout_s),
            metrics=Metrics([], []),
            on_up=lambda _up, _cause: None,
        )

    async def batch(self, number: int, *, prepared: bool = True) -> Batch:
        return Batch(
            batch_id=number,
            model=MODEL,
            regions=(),
            tensor=await self.tensors.lease(MODEL) if prepared else None,
            model_input=self.tensors.input_of(MODEL) if prepared else None,
        )

    async def quiesce(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def ended(self) -> list[int]:
        return [outcome.batch.batch_id async for outcome in self.outcomes]


@pytest.mark.parametrize("gives_up", [False, True])
def test_a_refusal_under_way_when_the_stream_breaks_is_not_lost(gives_up: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        stage = Stage()
        running = asyncio.create_task(stage.worker.run())
        await stage.model.listening.wait()
        # Nobody reads: the first refusal fills the channel, the second waits before it.
        for number in range(2):
            await stage.batches.send(await stage.batch(number, prepared=False))
            await stage.quiesce()
        await stage.batches.close()
        if gives_up:
            stage.worker.give_up()
        stage.model.breaks.set()
        await stage.quiesce()
        assert await asyncio.wait_for(stage.ended(), 5) == [0, 1]
        await running
        assert not stage.complaints

    asyncio.run(main(), debug=True)


def test_a_server_that_ends_an_idle_stream_is_not_the_end_of_the_work() -> None:
    async def main() -> None:
        stage = Stage()
        running = asyncio.create_task(stage.worker.run())
        await stage.model.listening.wait()
        stage.model.ends = True
        stage.model.breaks.set()
        await stage.quiesce()
        await stage.batches.send(await stage.batch(0))
        await stage.batches.close()
        (outcome,) = [outcome async for outcome in stage.outcomes]
        assert outcome.miss is MissReason.MODEL_UNAVAILABLE
        await running
        assert not stage.complaints

    asyncio.run(main(), debug=True)


def test_a_batch_sent_while_a_silent_stream_is_being_given_up_is_reported() -> None:
    async def main() -> None:
        stage = Stage(reply_timeout_s=0.05, cleanup_s=0.05)
        running = asyncio.create_task(stage.worker.run())
        await stage.model.listening.wait()
        await stage.batches.send(await stage.batch(0))
        await stage.model.cleaning_up.wait()
        await stage.batches.send(await stage.batch(1))
        await stage.batches.close()
        assert sorted(await asyncio.wait_for(stage.ended(), 5)) == [0, 1]
        await running
        gc.collect()  # a failure nobody looked at is reported when its task goes
        assert not stage.complaints
        assert not stage.tensors.lent

    asyncio.run(main(), debug=True)


def test_giving_up_while_a_silent_stream_is_being_given_up_harms_nothing() -> None:
    async def main() -> None:
        stage = Stage(reply_timeout_s=0.05, cleanup_s=0.05)
        running = asyncio.create_task(stage.worker.run())
        await stage.model.listening.wait()
        await stage.batches.send(await stage.batch(0))
        await stage.batches.close()
        await stage.model.cleaning_up.wait()
        stage.worker.give_up()
        assert await asyncio.wait_for(stage.ended(), 5) == [0]
        await running
        assert not stage.complaints

    asyncio.run(main(), debug=True)


def test_calls_that_fail_together_are_reported_once() -> None:
    async def main() -> None:
        async with serving(FakeTriton(script=lambda n, _id: Act(hang=n >= 4))) as fake:
            settings = settings_for(
                fake.url,
                {"a": {}},
                batching={"max_regions": 1},
                inference={"transport": "unary", "max_in_flight": 4},
            )
            async with line(settings, {"a": frames(2000, fps=200)}) as run:
                await run.until(lambda: fake.requests >= 8)
                await fake.stop()
                await run.until(lambda: run.tally()["model_unavailable"] > 10)
                gc.collect()
                await asyncio.sleep(0)
                assert not run.complaints

    asyncio.run(main(), debug=True)
