"""The inference stage by itself, before any server, fed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from inspector.core.recipes import ModelName
from inspector.core.records import Batch, Outcome
from inspector.flow.channel import Channel
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.model_check import configured_model
from inspector.inference.triton import TritonModel
from inspector.inference.worker import InferenceLimits, InferenceWorker
from inspector.ops.metrics import Metrics
from inspector.pipeline.buffers import tensor_pool
from inspector.pipeline.terms import model_terms
from tests.kit.pipeline import settings_for


@dataclass(kw_only=True)
class InferenceStage:
    """The worker and its model, and what came out."""

    model: TritonModel
    tensors: TensorPool
    batches: Channel[Batch]
    worker: InferenceWorker
    ended: dict[int, Outcome] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    """Batches as they ended."""
    told: list[tuple[bool, str]] = field(default_factory=list)
    number: int = 0

    async def send(self, model: ModelName, *, fill: int = 0) -> int:
        """A batch of one picture of this grey; returns its number."""
        tensor = await self.tensors.lease(model)
        assert tensor is not None
        tensor.array[:] = fill
        batch = Batch(
            batch_id=self.number,
            model=model,
            regions=(object(),),  # type: ignore[arg-type] # nothing here reads it
            tensor=tensor,
            model_input=self.tensors.input_of(model),
        )
        self.number += 1
        await self.batches.send(batch)
        return batch.batch_id

    async def until(self, what: Callable[[], object], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not what():  # noqa: ASYNC110 - several things may be waited for
                await asyncio.sleep(0.002)

    async def outcome(self, number: int) -> Outcome:
        await self.until(lambda: number in self.ended)
        return self.ended[number]


@asynccontextmanager
async def inference_stage(
    url: str, *, max_in_flight: int = 4, **inference: Any
) -> AsyncIterator[InferenceStage]:
    """Connected inside the `with`; at its end every batch has left and every tensor is back."""
    # The server runs in this process: on a busy machine it needs more than the second that other
    # tests give it for describing a model or mapping a block, and `prepare` would give up.
    unhurried = {"max_in_flight": max_in_flight, "connect_timeout_s": 10.0, **inference}
    settings = settings_for(url, {"a": {}}, inference=unhurried)
    tensors = tensor_pool(settings)
    model = TritonModel(url, model_terms(settings), tensors)
    batches: Channel[Batch] = Channel(1)
    outcomes: Channel[Outcome] = Channel(1)
    told: list[tuple[bool, str]] = []
    worker = InferenceWorker(
        batches,
        model,
        outcomes,
        limits=InferenceLimits(max_in_flight=max_in_flight, reply_timeout_s=5.0),
        metrics=Metrics([], []),
        on_up=lambda up, cause: told.append((up, cause)),
    )
    made = InferenceStage(model=model, tensors=tensors, batches=batches, worker=worker, told=told)

    async def collect() -> None:
        async for outcome in outcomes:
            assert outcome.batch.batch_id not in made.ended
            made.ended[outcome.batch.batch_id] = outcome
            made.order.append(outcome.batch.batch_id)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run())
            group.create_task(collect())
            station = configured_model(settings.inference)
            # Known is not yet connected: a batch that comes in between is refused.
            await made.until(lambda: model.spec_of(station) is not None and told and told[-1][0])
            yield made
            await batches.close()
        assert sorted(made.ended) == list(range(made.number))
        assert not tensors.lent
    finally:
        # Also after a test that failed: the next one looks for memory that was left.
        tensors.close()
