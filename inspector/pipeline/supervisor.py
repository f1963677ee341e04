"""Runs the stages together and shuts them down in order."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence

from inspector.core.errors import DrainTimeoutError, StageVanishedError
from inspector.core.ports import Source, Stage

PATIENCE = 0.6
"""The share of the drain deadline after which external servers are no longer waited for."""


async def run_pipeline(
    sources: Sequence[Source],
    stages: Sequence[Stage],
    *,
    stop: asyncio.Event,
    drain_timeout_s: float,
    give_up: Callable[[], None] = lambda: None,
) -> None:
    """Run until `stop` is set or every source ends, then drain.

    Draining only stops the sources. Each later stage ends because its input ended, so everything
    captured before the signal is inspected and published. `give_up` is called when most of the
    time is gone: requests that a server still owes are then written off, and that too is published.
    A stage that raises cancels the others at once.

    Raises:
        DrainTimeoutError: some stages were still running at the deadline.

    """
    tasks: list[asyncio.Task[None]] = []

    async def drain(deadline: asyncio.Timeout) -> None:
        await stop.wait()
        now_s = asyncio.get_running_loop().time()
        deadline.reschedule(now_s + drain_timeout_s)
        for source in sources:
            source.request_stop()
        await asyncio.sleep(drain_timeout_s * PATIENCE)
        give_up()

    _spare_the_collector()
    try:
        async with asyncio.timeout(None) as deadline, asyncio.TaskGroup() as group:
            tasks += [group.create_task(_run(s), name=s.name) for s in (*sources, *stages)]
            watcher = group.create_task(drain(deadline), name="drain")
            await asyncio.wait(tasks)
            watcher.cancel()
    except TimeoutError as timeout:
        raise DrainTimeoutError([t.get_name() for t in tasks if t.cancelled()]) from timeout


async def run_to_the_end(
    sources: Sequence[Source],
    stages: Sequence[Stage],
    *,
    stop: asyncio.Event | None = None,
    drain_timeout_s: float,
    give_up: Callable[[], None] = lambda: None,
) -> None:
    """As `run_pipeline`, but raises the one failure that started it. Without `stop`, sources end.

    Raises:
        Exception: what the stage that failed first raised.
        DrainTimeoutError: some stages were still running at the deadline.

    """
    try:
        await run_pipeline(
            sources,
            stages,
            stop=stop or asyncio.Event(),
            drain_timeout_s=drain_timeout_s,
            give_up=give_up,
        )
    except ExceptionGroup as group:
        raise _first_of(group) from group


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    """The failure that started it: a TaskGroup cancels the other stages after the first."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _spare_the_collector() -> None:
    """Make the garbage collector skip permanent objects, and run less often.

    Nearly everything that a frame makes is freed by its reference count. With Python's defaults
    the collector walked over all modules, settings and stages again and again, for 7 % of the CPU
    time of a line at full speed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _run(stage: Stage) -> None:
    """Run a stage; a cancellation that was not requested is a failure, not an end."""
    try:
        await stage.run()
    except asyncio.CancelledError as cancelled:
        task = asyncio.current_task()
        if task is not None and task.cancelling() == 0:
            # gRPC reports a failed request iterator this way. A TaskGroup would take it for a
            # stage that ended, and the pipeline would hang.
            raise StageVanishedError(stage.name) from cancelled
        raise
