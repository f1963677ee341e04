"""Hundreds of short seeded runs with everything going wrong at random moments."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import Any

import pytest

from inspector.core.records import (
    Batch,
    MissReason,
    Outcome,
)
from inspector.flow.channel import Channel
from inspector.flow.tensor_pool import TensorPool
from inspector.inference.model_check import ModelTerms
from inspector.inference.worker import InferenceLimits, InferenceWorker
from inspector.ops.metrics import Metrics
from tests.kit.fake_models import MODEL, FlakyModel
from tests.kit.pipeline import (
    Fails,
    Lost,
    Picture,
    Refuses,
    Step,
    line,
    nothing_runs_on,
    recording,
    settings_for,
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.inference.worker.RETRY_FIRST_S", 0.0005)
    monkeypatch.setattr("inspector.inference.worker.RETRY_MAX_S", 0.002)


async def one_run_of_the_inference_stage(seed: int) -> Counter[str]:
    """Batches in, outcomes out: each exactly once, each tensor home, whatever the model does."""
    rng = random.Random(seed)
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    limit = rng.randrange(1, 5)
    tensors = TensorPool(tensors=limit + 2, max_regions=1, shared=False)
    batches: Channel[Batch] = Channel(1)
    outcomes: Channel[Outcome] = Channel(1)
    worker = InferenceWorker(
        batches,
        FlakyModel(rng, tensors, trouble=rng.choice([0.0, 0.05, 0.15])),
        outcomes,
        limits=InferenceLimits(
            max_in_flight=limit,
            reply_timeout_s=rng.choice([0.003, 0.01]),
            wait_for_server=rng.random() < 0.3,
        ),
        metrics=Metrics([], []),
        on_up=lambda _up, _cause: None,
    )
    count, ended = rng.randrange(0, 40), []

    async def feed() -> None:
        for number in range(count):
            tensor = await tensors.lease(MODEL)
            model_input = tensors.input_of(MODEL) if tensor else None
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() * 0.002)
            await batches.send(
                Batch(
                    batch_id=number,
                    model=MODEL,
                    regions=(),
                    tensor=tensor,
                    model_input=model_input,
                )
            )
        await batches.close()

    async def collect() -> None:
        async for outcome in outcomes:
            ended.append(outcome)
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() * 0.004)

    if rng.random() < 0.4:
        loop.call_later(rng.random() * 0.05, worker.give_up)
    async with asyncio.timeout(8), asyncio.TaskGroup() as group:
        for work in (feed(), worker.run(), collect()):
            group.create_task(work)
    assert sorted(o.batch.batch_id for o in ended) == list(range(count))
    assert all((o.outputs is None) == (o.miss is not None) for o in ended)
    assert not tensors.lent
    assert not await nothing_runs_on()
    assert not complaints, complaints
    return Counter(str(o.miss or "answered") for o in ended)


def test_every_batch_leaves_the_inference_stage_exactly_once() -> None:
    total: Counter[str] = Counter()
    for seed in range(300):
        try:
            total += asyncio.run(one_run_of_the_inference_stage(seed))
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise
    # The runs were worth something: everything that can happen to a batch happened often.
    wanted = {"answered", MissReason.MODEL_UNAVAILABLE, MissReason.INFERENCE_FAILED}
    assert all(total[str(name)] > 50 for name in wanted), total
    assert total[MissReason.SHUTTING_DOWN] > 10, total


def random_steps(rng: random.Random) -> list[Step]:
    steps: list[Step] = []
    for _ in range(rng.randrange(5, 40)):
        draw = rng.random()
        if draw < 0.04:
            steps.append(Lost())
        elif draw < 0.06:
            steps.append(Fails(RuntimeError("driver")))
        elif draw < 0.08:
            steps.append(Refuses())
        elif draw < 0.12:
            steps.append(Picture(unreadable=True))
        else:
            at_s = len(steps) * 0.001 if rng.random() < 0.5 else None
            steps.append(Picture(at_s=at_s))
    return steps


async def one_run_of_the_pipeline(seed: int) -> Counter[str]:
    rng = random.Random(seed)
    waits = rng.random() < 0.4
    camera: dict[str, Any] = {"size": "32x24", "reconnect_first_s": 0.001}
    camera = recording(**camera) if waits else camera
    settings = settings_for(
        "127.0.0.1:1",
        dict.fromkeys("ab"[: rng.randrange(1, 3)], camera),
        batching={
            "max_regions": rng.randrange(1, 5),
            "window_ms": rng.choice([0.0, 1.0]),
            "lane_capacity": rng.randrange(1, 4),
            "max_age_ms": rng.choice([2.0, 50.0]),
        },
        inference={
            "tensors": "inline",
            "max_in_flight": rng.randrange(1, 4),
            "reply_timeout_s": 0.02,
        },
        shutdown={"drain_timeout_s": 1.0},
    )

    def make_model(_url: str, _terms: ModelTerms, tensors: TensorPool) -> FlakyModel:
        return FlakyModel(rng, tensors, trouble=rng.choice([0.0, 0.05, 0.1]))

    scripts = {name: random_steps(rng) for name in settings.cameras}
    async with line(settings, scripts, make_model=make_model) as run:
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() * 0.05)
            run.stop.set()
        # Ends by itself, or by the stop; what it saw is checked at the end of the `with`.
        await asyncio.wait_for(run.ended, 5)
    return run.tally()


@pytest.mark.usefixtures("eager_captures")
def test_every_frame_gets_one_verdict_whatever_goes_wrong() -> None:
    total: Counter[str] = Counter()
    began_s = time.monotonic()
    for seed in range(120):
        try:
            total += asyncio.run(one_run_of_the_pipeline(seed))
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise
        if time.monotonic() - began_s > 20:
            break
    wanted = ("PASSED", "model_unavailable", "inference_failed", "frame_unreadable")
    assert all(total[name] > 20 for name in wanted), total
