"""Redis is away: before the start, and in the middle of it. Nothing is lost, nothing waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import BOARD_REGION, PICTURE, Line, needs_redis, wait_for
from tests.kit.line_events import assert_accounted, assert_gapless, entries
from tests.kit.redis_server import RedisServer

OUTAGE_S = float(os.environ.get("INSPECTOR_TEST_OUTAGE_S", "8"))
STEADY = {"source": "sim:?fps=8&seed=3", "size": PICTURE, "region": BOARD_REGION}


@needs_redis
def test_an_absent_redis_costs_no_event_at_the_start_or_later(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    server = RedisServer(str(shutil.which("redis-server")), tmp_path / "redis")
    line = Line(tmp_path, cameras={"top": STEADY}, triton=triton.grpc_url, redis_url=server.url)
    with contextlib.ExitStack() as stack:
        stack.enter_context(line)
        stack.callback(server.kill)
        line.wait_ready()
        wait_until_away(line, journaled=10)
        server.start()
        wait_until_delivered(line)

        server.stop()
        before = line.scrape().frames().captured
        answers = healthz_for(line, OUTAGE_S)
        assert len(answers) > OUTAGE_S
        assert set(answers) == {200}
        wait_until_away(line, journaled=10)
        assert line.get("/readyz")[0] == 200
        assert line.scrape().frames().captured > before + OUTAGE_S * 8 / 2
        line.stop()
        captured = line.said("stopped")["captured"]
        line.start()
        line.wait_ready()
        wait_until_away(line, journaled=10)
        server.start()
        wait_until_delivered(line)

        line.stop()
        captured += line.said("stopped")["captured"]
        with contextlib.closing(server.client()) as client:
            assert_accounted(entries(client, "units"), captured)
            assert_gapless(entries(client, "defects"))
            health = entries(client, "health")
            assert_gapless(health)
        faults = [(e.event["fault"], e.event["state"]) for e in health]
        away, back = ("redis", "raised"), ("redis", "cleared")
        assert faults == [away, back, away, *(away, back)]  # the next start found it away, too
        assert all(e.event["cause"] for e in health)


def healthz_for(line: Line, seconds: float) -> list[int]:
    """What /healthz answers during that time."""
    answers: list[int] = []
    until_s = time.monotonic() + seconds

    def over() -> bool:
        answers.append(line.get("/healthz")[0])
        return time.monotonic() > until_s

    wait_for(over, within_s=seconds + 5, what="the time is over", every_s=0.25)
    return answers


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
