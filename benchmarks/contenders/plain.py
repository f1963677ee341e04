"""Ways to put a loop before Triton that need nothing but its client library.

    python -m benchmarks.contenders.plain --way WAY --url HOST:PORT --model NAME --frames N

tutorial_grpc_fp32     null_fp32 or pcb_detector: letterbox, float32, a blocking call per frame
tutorial_http_fp32     the same over HTTP; --url is the HTTP port, needs tritonclient[http]
async_unary_4          null_inspection or pcb_inspection: uint8, four calls in flight
aio_stream_inline      the same models: uint8 over one stream, eight in flight
multiprocessing_queue  the same models: a capture process feeds a queue; a blocking call per frame
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.queues import Queue
from typing import Any

from tritonclient import grpc

from benchmarks.contenders.pictures import blob, count_boxes, letterbox
from benchmarks.contenders.protocol import Job, Picture, Run, compete

IN_FLIGHT = {"async_unary_4": 4, "aio_stream_inline": 8}
QUEUE_FRAMES = 8
FP32_OUTPUTS = {"pcb_detector": "output", "null_fp32": "count"}


def detections_in(reply: Any, model: str) -> int:
    """What a float32 model saw; the null model saw nothing."""
    output = reply.as_numpy(FP32_OUTPUTS[model])
    return count_boxes(output[0]) if model == "pcb_detector" else int(output.sum())


@contextmanager
def tutorial(job: Job) -> Iterator[Run]:
    """As in every tutorial."""
    if job.way == "tutorial_http_fp32":
        from tritonclient import http  # noqa: PLC0415 - an extra that not everyone has

        triton: Any = http
    else:
        triton = grpc

    def run(frames: int) -> int:
        detections = 0
        for _ in range(frames):
            tensor = triton.InferInput("images", [1, 3, 640, 640], "FP32")
            tensor.set_data_from_numpy(blob(job.picture))
            detections += detections_in(client.infer(job.model, [tensor]), job.model)
        return detections

    with triton.InferenceServerClient(job.url) as client:
        yield run


def uint8_tensor(picture: Picture) -> grpc.InferInput:
    """One letterboxed picture as a request takes it."""
    tensor = grpc.InferInput("image", [1, 640, 640, 3], "UINT8")
    tensor.set_data_from_numpy(letterbox(picture)[None])
    return tensor


@contextmanager
def event_loop(job: Job) -> Iterator[Run]:
    """One event loop and one client for the warm-up and for what is measured."""
    from tritonclient.grpc.aio import InferenceServerClient  # noqa: PLC0415 - only here

    work = async_unary if job.way == "async_unary_4" else aio_stream

    async def connected() -> Any:
        return InferenceServerClient(job.url)

    with asyncio.Runner() as runner:
        client = runner.run(connected())
        try:
            yield lambda frames: runner.run(work(client, job, frames))
        finally:
            runner.run(client.close())


async def async_unary(client: Any, job: Job, frames: int) -> int:
    """A task per call, so many of them at a time."""
    free, detections = asyncio.Semaphore(job.in_flight or IN_FLIGHT[job.way]), 0

    async def one() -> None:
        nonlocal detections
        try:
            reply = await client.infer(job.model, [uint8_tensor(job.picture)])
            detections += int(reply.as_numpy("count").sum())
        finally:
            free.release()

    async with asyncio.TaskGroup() as group:
        for _ in range(frames):
            await free.acquire()
            group.create_task(one())
    return detections


async def aio_stream(client: Any, job: Job, frames: int) -> int:
    """All requests over one stream, tensors inside the messages."""
    free, detections = asyncio.Semaphore(job.in_flight or IN_FLIGHT[job.way]), 0

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in range(frames):
            await free.acquire()
            yield {
                "model_name": job.model,
                "inputs": [uint8_tensor(job.picture)],
                "request_id": str(number),
            }

    async for reply, error in client.stream_infer(requests()):
        if error is not None:
            raise error
        free.release()
        detections += int(reply.as_numpy("count").sum())
    return detections


def capture(orders: Queue[int], frames: Queue[Picture], picture: Picture) -> None:
    """The other process: so many frames for each order, till it is terminated."""
    while True:
        for _ in range(orders.get()):
            frames.put(picture)


@contextmanager
def queued(job: Job) -> Iterator[Run]:
    """The capture process gives its frames away through a queue of the standard library."""
    context = multiprocessing.get_context("spawn")
    orders: Queue[int] = context.Queue()
    pictures: Queue[Picture] = context.Queue(QUEUE_FRAMES)
    camera = context.Process(target=capture, args=(orders, pictures, job.picture))

    def run(frames: int) -> int:
        orders.put(frames)
        detections = 0
        for _ in range(frames):
            reply = client.infer(job.model, [uint8_tensor(pictures.get())])
            detections += int(reply.as_numpy("count").sum())
        return detections

    camera.start()
    try:
        with grpc.InferenceServerClient(job.url) as client:
            yield run
    finally:
        camera.terminate()  # after a failed call it may wait for room in the queue
        camera.join()


WAYS: dict[str, Callable[[Job], AbstractContextManager[Run]]] = {
    "tutorial_http_fp32": tutorial,
    "tutorial_grpc_fp32": tutorial,
    "async_unary_4": event_loop,
    "aio_stream_inline": event_loop,
    "multiprocessing_queue": queued,
}


def enter(job: Job) -> AbstractContextManager[Run]:
    """The way that was asked for."""
    return WAYS[job.way](job)


if __name__ == "__main__":
    compete(enter, packages=["tritonclient", "numpy", "opencv-python-headless"], ways=list(WAYS))
