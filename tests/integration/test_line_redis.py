"""Redis is away: before the start, and in the middle of it. Nothing is lost, nothing waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from inspector.inference.embedded import EmbeddedTriton
from tests.integration.line import (
    BOARD_REGION,
    PICTURE,
    Line,
    assert_accounted,
    assert_gapless,
    entries,
    needs_redis,
    wait_for,
)
from tests.integration.redis_server import RedisServer

OUTAGE_S = float(os.environ.get("INSPECTOR_TEST_OUTAGE_S", "8"))
STEADY = {"source": "sim:?fps=8&seed=3", "size": PICTURE, "region": BOARD_REGION}


@needs_redis
def test_an_absent_redis_costs_no_event_at_the_start_or_later(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    server = RedisServer(str(shutil.which("redis-server")), tmp_path / "redis")
    line = Line(
        tmp_path, cameras={"top": STEADY}, triton=triton.grpc_url, redis_url=server.url
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(line)
        stack.callback(server.kill)
        line.wait_ready()
        wait_until_away(line, journaled=10)
        server.start()
        wait_until_delivered(line)

        server.stop()
        before = line.scrape().frames().captured
        back_at_s = time.monotonic() + OUTAGE_S
        unhealthy = []
        while time.monotonic() < back_at_s:
            status = wait_for(lambda: line.get("/healthz")[0], within_s=1, what="an answer")
            unhealthy += [status] if status != 200 else []
        wait_until_away(line, journaled=10)
        assert not unhealthy
        assert line.get("/readyz")[0] == 200
        assert line.scrape().frames().captured > before + OUTAGE_S * 8 / 2
        server.start()
        wait_until_delivered(line)

        line.stop()
        with contextlib.closing(server.client()) as client:
            assert_accounted(entries(client, "units"), line.said("stopped")["captured"])
            assert_gapless(entries(client, "defects"))
            health = entries(client, "health")
            assert_gapless(health)
        faults = [(e.event["fault"], e.event["state"]) for e in health]
        assert faults == [("redis", "raised"), ("redis", "cleared")] * 2
        assert all(e.event["cause"] for e in health)


def wait_until_away(line: Line, *, journaled: int) -> None:
    def away() -> bool:
        scrape = line.scrape()
        pending = scrape.total("inspector_journal_pending_events")
        return scrape.total("inspector_redis_up") == 0 and pending >= journaled

    wait_for(away, within_s=20, what=f"Redis reported down, {journaled} events in the journal")


def wait_until_delivered(line: Line) -> None:
    def delivered() -> bool:
        scrape = line.scrape()
        pending = scrape.total("inspector_journal_pending_events")
        return scrape.total("inspector_redis_up") == 1 and pending < 10

    wait_for(delivered, within_s=20, what="Redis reported up, the journal's events in it")
