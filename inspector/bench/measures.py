"""The measurements: throughput, latency, behaviour under overload, number of cameras."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from inspector.bench.line import LineRun, Seen, run_line, run_load
from inspector.bench.load import TAKT_S, Load, Server, belt_settings
from inspector.bench.published import PublishedRun, run_published
from inspector.core.records import MissReason

OPEN_LOOP_HZ = 30.0
CAMERAS = (1, 2, 4, 8, 16)
OVERLOADS = (1, 2, 5)
_FIRST_RUN_FRAMES = 40
_FEWEST_FRAMES = 40
_AFTER_START_S = 5.0
"""Until the first board of a belt has its verdict."""
_MOST_CAMERAS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityStep:
    """How many belts ran at once."""

    cameras: int
    units: int
    age_p95_ms: float
    """From a board being fully in view to its verdict."""
    held: bool
    """Whether every board was inspected in time."""
    why_not: str
    cores: float
    """CPU of this process, including drawing the pictures."""


def frames_for(seconds: float, frames_per_s: float) -> int:
    """How many frames take about this long."""
    return max(_FEWEST_FRAMES, round(seconds * frames_per_s))


async def capacity(server: Server, seconds: float) -> LineRun:
    """Frames as fast as they are taken, for about this long."""
    first = await run_load(server, Load(frames=_FIRST_RUN_FRAMES))
    return await run_load(server, Load(frames=frames_for(seconds, first.frames_per_s)))


async def added_latency(
    server: Server, seconds: float, *, most_per_s: float, folder: Path | None = None
) -> tuple[float, PublishedRun]:
    """An open loop at 30 frames/s, or at half of the model's rate where that is less.

    Returns the rate and the run.
    """
    rate_hz = min(OPEN_LOOP_HZ, most_per_s / 2)
    load = Load(frames=frames_for(seconds, rate_hz), rate_hz=rate_hz)
    return rate_hz, await run_published(server, load, folder)


async def overload(
    server: Server, seconds: float, *, capacity_per_s: float
) -> AsyncIterator[tuple[int, LineRun]]:
    """One camera at one, two and five times the model's rate."""
    for factor in OVERLOADS:
        rate_hz = factor * capacity_per_s
        load = Load(frames=frames_for(seconds, rate_hz), rate_hz=rate_hz)
        yield factor, await run_load(server, load)


async def growth(
    server: Server, seconds: float, *, total_per_s: float
) -> AsyncIterator[tuple[int, LineRun]]:
    """The same number of frames per second, from more and more cameras."""
    for cameras in CAMERAS:
        rate_hz = total_per_s / cameras
        load = Load(cameras=cameras, frames=max(4, round(seconds * rate_hz)), rate_hz=rate_hz)
        yield cameras, await run_load(server, load)


async def density(
    server: Server,
    seconds: float,
    *,
    on_step: Callable[[DensityStep], None] = lambda _step: None,
) -> int:
    """How many belts with a board every 2.5 s this machine holds; found by doubling and halving.

    It carries them when every board is inspected and has its verdict before the deadline.
    """
    held, failed = 0, _MOST_CAMERAS + 1
    cameras = 1
    while held + 1 < failed:
        step = await _belts(server, cameras, seconds)
        on_step(step)
        if step.held:
            held = cameras
        else:
            failed = cameras
        cameras = min(2 * held, _MOST_CAMERAS) if failed > _MOST_CAMERAS else (held + failed) // 2
    return held


async def _belts(server: Server, cameras: int, seconds: float) -> DensityStep:
    settings = belt_settings(server, cameras)
    run_s = seconds + _AFTER_START_S
    run = await run_line(settings, Seen(mark_after=1), stop_after_s=run_s)
    reasons = dict(run.reasons)
    reasons.pop(MissReason.SHUTTING_DOWN.value, None)
    expected = cameras * math.floor(seconds / TAKT_S)
    why_not = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    if not why_not and run.inspected < expected:
        why_not = f"{run.inspected} of {expected} boards inspected"
    return DensityStep(
        cameras=cameras,
        units=run.inspected,
        age_p95_ms=run.age_ms(95),
        held=not why_not,
        why_not=why_not,
        cores=run.cores,
    )
