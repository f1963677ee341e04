"""The model server dies under load, and the line goes on by itself."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.kit.line import BOARD_REGION, PICTURE, Line, await_end, measured, wait_for
from tests.kit.line_events import Entry, assert_accounted, assert_gapless, entries
from tests.kit.processes import descendants, is_running
from tests.kit.redis_server import RedisServer

BUSY = {"source": "sim:?fps=60&seed=3", "size": PICTURE, "region": BOARD_REGION}


def server_of(line: Line) -> int:
    [pid] = [pid for pid, name in descendants(line.pid).items() if name == "tritonserver"]
    return pid


def test_a_killed_triton_costs_what_was_in_flight_and_comes_back(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with (
        Line(
            tmp_path, cameras={"top": BUSY}, triton="embedded", redis_url=redis_server.url
        ) as line,
        contextlib.closing(redis_server.client()) as client,
    ):
        line.wait_ready()
        wait_for(
            lambda: (
                line.scrape().frames().inspected >= 20
                and line.scrape().total("inspector_requests_in_flight") > 0
            ),
            within_s=20,
            what="batches in flight",
        )
        first = server_of(line)
        models = list(descendants(first))  # of which about every second hangs from now on
        published = entries(client, "units")[-1].number  # before them the lane filled at the start
        os.kill(first, signal.SIGKILL)
        killed_s = time.monotonic()
        wait_for(
            lambda: line.scrape().total("inspector_triton_up") == 0,
            within_s=5,
            what="inspector_triton_up 0",
        )
        assert line.get("/readyz")[0] == 503
        assert line.get("/healthz")[0] == 200
        inspected = line.scrape().frames().inspected
        wait_for(
            lambda: line.scrape().frames().inspected >= inspected + 20,
            within_s=60,
            what="inspection goes on with another server",
        )
        back_s = time.monotonic() - killed_s
        assert server_of(line) != first
        await_end(models)
        assert line.get("/readyz")[0] == 200
        assert line.scrape().total("inspector_triton_reconnects_total") >= 1
        line.stop()

        units = entries(client, "units")
        assert_accounted(units, line.said("stopped")["captured"])
        assert_gapless(entries(client, "defects"))
        health = entries(client, "health")
        assert [(e.event["fault"], e.event["state"]) for e in health] == [
            ("triton", "raised"),
            ("triton", "cleared"),
        ]
    missed = [u for u in units if u.event["reason"] == "model_unavailable"]
    lost = [u for u in missed if u.number > published]
    assert lost
    assert_lost_in_one_stretch(units, lost)
    measured("resumed after, s", round(back_s, 1))
    measured("units without a model", len(lost))


def test_a_start_takes_away_what_a_killed_service_left(tmp_path: Path) -> None:
    with Line(
        tmp_path, cameras={"top": BUSY}, triton="embedded", redis_url="redis://127.0.0.1:1/0"
    ) as line:
        line.wait_ready()
        wait_for(
            lambda: line.scrape().total("inspector_requests_in_flight") > 0,
            within_s=20,
            what="batches in flight",
        )
        server, owner = server_of(line), line.pid
        models = list(descendants(server))
        line.kill()
        wait_for(lambda: not is_running(server), within_s=5, what="Triton dies with us")
        line.start()
        wait_for(
            lambda: "tritonserver" in descendants(line.pid).values(),
            within_s=30,
            what="the next Triton",
        )
        await_end(models)
        line.stop()
    assert not list(Path("/dev/shm").glob(f"inspector-triton-*-{owner}-*"))


def assert_lost_in_one_stretch(units: list[Entry], lost: list[Entry]) -> None:
    """Before and after it units were inspected, inside it none."""
    first, last = lost[0].number, lost[-1].number
    assert any(u.is_inspected for u in units if u.number < first)
    assert any(u.is_inspected for u in units if u.number > last)
    during = [u for u in units if first <= u.number <= last]
    reasons = {u.event["reason"] for u in during}
    assert reasons <= {"model_unavailable", "frame_dropped", "stale"}, reasons
