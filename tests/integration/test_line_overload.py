"""More frames than the model can look at: the verdicts stay fresh, and every camera its share."""

from __future__ import annotations

import contextlib
import statistics
from pathlib import Path

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import BOARD_REGION, PICTURE, Line, measured, wait_for
from tests.kit.line_events import assert_accounted, entries
from tests.kit.processes import memory_bytes
from tests.kit.redis_server import RedisServer

FPS = 180
"""A two-core machine inspects up to 55 frames per second, all else idle."""
MAX_AGE_MS = 1000.0
"""What the settings allow: `inspection.deadline_ms`."""
WARM_UP_FRAMES = 25 * FPS
"""Worker threads and their memory come once, some within the first 20 s of load."""
LOADED_FRAMES = 20 * FPS
FLAT_BYTES = 8 << 20


def test_under_three_times_the_load_verdicts_stay_fresh_and_memory_flat(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    camera = {"source": f"sim:?fps={FPS}&seed=3", "size": PICTURE, "region": BOARD_REGION}
    with (
        Line(
            tmp_path,
            cameras={"top": camera},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            inspection={"deadline_ms": MAX_AGE_MS},
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_until_captured(line, WARM_UP_FRAMES)
        warm_bytes = memory_bytes(line.pid)
        wait_until_captured(line, WARM_UP_FRAMES + LOADED_FRAMES)
        grown_bytes = memory_bytes(line.pid) - warm_bytes
        frames = line.scrape().frames()
        assert frames.captured - frames.settled <= 30, "more than the pipeline can hold"
        line.stop()
        units = entries(client, "units")
        assert_accounted(units, line.said("stopped")["captured"])

    inspected = [u for u in units if u.is_inspected]
    assert len(units) >= 3 * len(inspected), "the model kept up: this was no overload"
    ages_ms = [u.event["timing_ms"]["trigger_to_verdict"] for u in inspected]
    p95_ms = statistics.quantiles(ages_ms, n=20)[18]
    measured("frames, inspected", (len(units), len(inspected)))
    measured("age p50, p95, ms", (statistics.median(ages_ms), p95_ms))
    measured("memory, growth, bytes", (warm_bytes, grown_bytes))
    assert p95_ms <= MAX_AGE_MS
    assert grown_bytes < FLAT_BYTES


def test_a_camera_ten_times_faster_takes_no_frame_from_a_slow_one(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    cameras = {
        name: {"source": f"sim:?fps={fps}&seed=3", "size": PICTURE, "region": BOARD_REGION}
        for name, fps in (("slow", 3), ("fast", 30))
    }
    with (
        Line(tmp_path, cameras=cameras, triton=triton.grpc_url, redis_url=redis_server.url) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_for(
            lambda: line.scrape().frames(camera="slow").captured >= 24,
            within_s=30,
            what="24 frames of the slow camera",
        )
        line.stop()
        units = entries(client, "units")
        assert_accounted(units, line.said("stopped")["captured"])
    of = {name: [u for u in units if u.event["camera"] == name] for name in cameras}
    looked_at = {name: sum(u.is_inspected for u in of[name]) for name in cameras}
    assert looked_at["slow"] == len(of["slow"]), [
        (u.event["reason"], u.event["timing_ms"]) for u in of["slow"] if not u.is_inspected
    ]
    assert len(of["fast"]) > 5 * len(of["slow"])


def wait_until_captured(line: Line, frames: int) -> None:
    wait_for(
        lambda: line.scrape().frames().captured >= frames,
        within_s=60,
        what=f"{frames} frames captured",
        every_s=0.2,
    )
