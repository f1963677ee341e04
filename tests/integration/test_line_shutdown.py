"""A line under load is told to stop, or killed, and goes on where it was."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import (
    BOARD_REGION,
    PICTURE,
    Line,
    await_end,
    wait_for,
    write_locked,
)
from tests.kit.line_events import assert_accounted, assert_gapless, entries
from tests.kit.processes import descendants
from tests.kit.redis_server import RedisServer

DRAIN_S = 8.0
BUSY = {"source": "sim:?fps=60&seed=3", "size": PICTURE, "region": BOARD_REGION}
"""Three times and more what a CPU inspects: something is in flight at any moment."""


@pytest.fixture
def line(tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer) -> Iterator[Line]:
    with Line(
        tmp_path,
        cameras={"top": BUSY},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        shutdown={"drain_timeout_s": DRAIN_S},
    ) as started:
        yield started


def wait_busy(line: Line, *, inspected: int = 20) -> None:
    line.wait_ready()
    wait_for(
        lambda: (
            line.scrape().frames().inspected >= inspected
            and line.scrape().total("inspector_requests_in_flight") > 0
        ),
        within_s=20,
        what=f"{inspected} frames inspected, and more in flight",
    )


def test_sigterm_under_load_leaves_nothing_unaccounted_and_the_next_start_goes_on(
    line: Line, redis_server: RedisServer
) -> None:
    with contextlib.closing(redis_server.client()) as client:
        wait_busy(line)
        before = line.scrape().frames()
        took_s = line.stop()
        assert took_s < DRAIN_S + 1
        captured = line.said("stopped")["captured"]
        assert captured >= before.captured
        units = entries(client, "units")
        assert_accounted(units, captured)
        assert sum(unit.is_inspected for unit in units) >= before.inspected
        assert {u.event["reason"] for u in units if not u.is_inspected} <= {
            "frame_dropped",
            "stale",
            "deadline_missed",
            "shutting_down",
            "model_unavailable",  # the lane fills while the model is still being tried out
        }

        line.start()
        wait_busy(line, inspected=5)
        line.stop()
        assert_accounted(entries(client, "units"), captured + line.said("stopped")["captured"])
        defects = entries(client, "defects")
        assert_gapless(defects)
        assert len(defects) == sum(u.event["counts"]["defects"] for u in entries(client, "units"))


def test_sigkill_under_load_leaves_no_gap_and_no_event_twice(
    line: Line, redis_server: RedisServer
) -> None:
    with contextlib.closing(redis_server.client()) as client:
        for _ in range(2):
            wait_busy(line, inspected=10)
            seen = len(entries(client, "units"))
            line.kill()
            assert seen > 0
            line.start()
        wait_busy(line, inspected=5)
        line.stop()
        units = entries(client, "units")
        last_life = line.said("stopped")["captured"]
        # What a killed process had not journaled is gone with it; what it had is there once.
        assert len(units) >= last_life + seen
        assert_accounted(units, len(units))
        assert_gapless(entries(client, "defects"))
    segments = [p.name for p in Path("/dev/shm").glob("inspector-*")]
    assert not [name for name in segments if name.split("-")[1] == str(line.pid)]


def test_a_stage_that_hangs_at_the_end_is_named_and_the_next_start_goes_on(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    with (
        Line(
            tmp_path,
            cameras={"top": BUSY},
            triton=triton.grpc_url,
            redis_url=redis_server.url,
            inference={"reply_timeout_s": 1.0},
            shutdown={"drain_timeout_s": 2.0},
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        wait_busy(line, inspected=5)
        with write_locked(line.state / "journal.sqlite"):
            line.send(signal.SIGTERM)
            assert line.wait_end(10) == 1
        said = line.log_tail()
        assert "inspector: still running at the drain deadline: " in said
        assert "publish" in said.rpartition("drain deadline: ")[2]
        assert "Traceback" not in said
        line.start()
        wait_busy(line, inspected=5)
        line.stop()
        assert_accounted(units := entries(client, "units"), len(units))


def test_sigterm_during_the_first_installation_ends_it_at_once(tmp_path: Path) -> None:
    with Line(
        tmp_path,
        cameras={"top": BUSY},
        triton="embedded",
        redis_url="redis://127.0.0.1:1/0",
        environment={"INSPECTOR_CACHE": str(tmp_path / "cache")},
    ) as line:
        below = wait_for(
            lambda: [p for p, name in descendants(line.pid).items() if name.startswith("python")],
            within_s=30,
            what="the embedded Triton is being installed",
        )
        assert line.stop(within_s=5) < 5
        await_end(below)
        assert not list((tmp_path / "cache").glob("*.part"))


def test_sigterm_while_triton_loads_its_models_ends_both_at_once(tmp_path: Path) -> None:
    with Line(
        tmp_path, cameras={"top": BUSY}, triton="embedded", redis_url="redis://127.0.0.1:1/0"
    ) as line:
        servers = wait_for(
            lambda: [p for p, name in descendants(line.pid).items() if name == "tritonserver"],
            within_s=60,
            what="the embedded Triton is being started",
        )
        assert line.stop(within_s=8) < 8
        await_end(servers)
