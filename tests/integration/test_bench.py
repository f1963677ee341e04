"""The measurements, with a real Triton and a real Redis: what they count must be true."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.bench.line import run_load
from inspector.bench.load import Load, Server
from inspector.bench.measures import DensityStep, density
from inspector.bench.published import run_published
from inspector.embedded.triton.server import EmbeddedTriton
from inspector.settings.types import Size
from tests.kit.triton_server import embedded_triton_in_background

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def nothing() -> Iterator[EmbeddedTriton]:
    """A server whose models look at nothing."""
    with embedded_triton_in_background(ROOT / "benchmarks/model_repository") as server:
        yield server


def server(at: EmbeddedTriton, **more) -> Server:
    return Server(url=at.grpc_url, model="null_inspection", **more)


@pytest.mark.parametrize("tensors", ["shared_memory", "inline"])
def test_every_frame_of_a_lossless_load_is_inspected(nothing: EmbeddedTriton, tensors) -> None:
    line = asyncio.run(run_load(server(nothing, tensors=tensors), Load(frames=120, cameras=2)))
    assert (line.units, line.inspected, line.reasons) == (240, 240, {})
    assert line.frames_captured == line.frames_settled == 240
    assert line.frames_per_s > 0
    assert line.cpu_ms_per_frame > 0


def test_large_frames_in_tiles_are_prepared_beside_the_event_loop(nothing: EmbeddedTriton) -> None:
    load = Load(frames=12, size=Size(2448, 2048), tiles=True)
    line = asyncio.run(run_load(server(nothing), load))
    assert (line.inspected, line.reasons) == (12, {})


def test_overload_loses_frames_and_says_so(nothing: EmbeddedTriton) -> None:
    load = Load(frames=4000, rate_hz=8000.0)
    line = asyncio.run(run_load(server(nothing), load))
    assert line.frames_captured == line.frames_settled == 4000
    assert line.reasons
    assert line.inspected + sum(line.reasons.values()) == 4000


def test_every_event_is_followed_to_redis(nothing: EmbeddedTriton, tmp_path: Path) -> None:
    load = Load(frames=60, rate_hz=20.0)
    run = asyncio.run(run_published(server(nothing), load, tmp_path))
    assert len(run.total_ms) == run.line.inspected - 6  # all but those before the clock starts
    assert min(run.total_ms) > run.triton_ms > 0
    assert run.added_ms(50) <= run.added_ms(99)


def test_one_belt_is_held(nothing: EmbeddedTriton, monkeypatch) -> None:
    monkeypatch.setattr("inspector.bench.measures._MOST_CAMERAS", 1)
    steps: list[DensityStep] = []
    assert asyncio.run(density(server(nothing), 5.0, on_step=steps.append)) == 1
    assert steps[0].units >= 2


def test_contenders_and_ours_are_started_alike_and_ranked(
    nothing: EmbeddedTriton, tmp_path
) -> None:
    script = f"""
import asyncio, json
import numpy as np
from pathlib import Path
from benchmarks.contest import Ring, contest
from benchmarks.lineup import contenders
picture = Path({str(tmp_path)!r}) / "p.npy"
np.save(picture, np.zeros((720, 1280, 3), np.uint8))
url, http = {nothing.grpc_url!r}, {nothing.http_url.removeprefix("http://")!r}
ring = Ring(grpc_url=url, http_url=http, picture=picture, frames=60, seconds=1, rounds=1, say=str)
chosen = [c for c in contenders(True) if c.way in ("shared_memory", "async_unary_4")]
import dataclasses
chosen.append(dataclasses.replace(chosen[0], name="wrong", model="no_such_model"))
found = asyncio.run(contest(ring, chosen, []))
print(json.dumps([[s.name, s.speed, s.failure] for s in found]))
"""
    done = asyncio.run(_said(script))
    ours, plain, wrong = json.loads(done)
    assert ours[1] > 0, ours
    assert plain[1] > 0, plain
    assert wrong[1] == 0
    assert "no_such_model" in wrong[2]


async def _said(script: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()
