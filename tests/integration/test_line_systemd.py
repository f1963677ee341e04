"""What systemd is told, and what it makes of signals."""

from __future__ import annotations

import contextlib
import signal
from itertools import pairwise
from pathlib import Path

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import BOARD_REGION, PICTURE, Line, wait_for, write_locked
from tests.kit.line_events import assert_accounted, entries
from tests.kit.redis_server import RedisServer
from tests.kit.systemd_socket import Systemd

WATCHDOG_S = 1.0
STALLED_AFTER_S = 3.0


def test_systemd_hears_of_readiness_progress_and_the_end(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    systemd = Systemd(tmp_path)
    line = Line(
        tmp_path,
        cameras={"top": {"source": "sim:?fps=8&seed=3", "size": PICTURE, "region": BOARD_REGION}},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        environment={
            "NOTIFY_SOCKET": systemd.address,
            "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6)),
        },
        inference={"reply_timeout_s": 1.0},
        health={"stalled_after_s": STALLED_AFTER_S},
    )
    with contextlib.closing(systemd), line:
        wait_for(lambda: systemd.times("READY=1"), within_s=30, what="READY=1")
        assert "running" in [said["event"] for said in line.log()]
        assert line.get("/healthz")[0] == 200
        line.wait_ready()

        line.send(signal.SIGHUP)
        wait_for(
            lambda: len(systemd.times("READY=1")) == 2,
            within_s=10,
            what="the settings read again",
        )
        assert len(systemd.times("RELOADING=1")) == 1
        assert line.said("settings read again")["applied"] == []
        beats = len(systemd.times("WATCHDOG=1"))
        wait_for(
            lambda: len(systemd.times("WATCHDOG=1")) >= beats + 10,
            within_s=10 * WATCHDOG_S,
            what="ten more signs of life",
        )
        gaps_s = [b - a for a, b in pairwise(systemd.times("WATCHDOG=1"))]
        assert max(gaps_s) < WATCHDOG_S

        with write_locked(line.state / "journal.sqlite"):
            wait_for(
                lambda: line.get("/healthz")[0] == 503,
                within_s=60,
                what="it says that it makes no progress",
            )
            # The journal's disk is at fault: a restart would mend nothing and lose units.
            assert systemd.silent_s("WATCHDOG=1") < 5 * WATCHDOG_S
            assert line.get("/readyz")[0] == 503
        wait_for(lambda: line.get("/healthz")[0] == 200, within_s=10, what="healthy again")
        wait_for(lambda: systemd.silent_s("WATCHDOG=1") < WATCHDOG_S, within_s=5, what="WATCHDOG=1")

        assert not systemd.times("STOPPING=1")
        line.stop()
        wait_for(lambda: systemd.times("STOPPING=1"), within_s=1, what="STOPPING=1")
        assert len(systemd.times("READY=1")) == 2
        with contextlib.closing(redis_server.client()) as client:
            assert_accounted(entries(client, "units"), line.said("stopped")["captured"])
            states = [(e.event["fault"], e.event["state"]) for e in entries(client, "health")]
        assert states == [("disk", "raised"), ("disk", "cleared")]
