"""The journal's limits as the whole service shows them. No model server: every unit is an event."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import pytest

from inspector.journal.file import FILE_NAME
from tests.kit.line import Line, needs_redis, wait_for
from tests.kit.line_events import Entry, assert_gapless, entries
from tests.kit.redis_server import RedisServer

FAST = {"source": "sim:?fps=80", "size": "160x128"}
NOBODY = "127.0.0.1:1"


def wait_for_units(line: Line, server: RedisServer, count: int) -> list[Entry]:
    with contextlib.closing(server.client()) as client:

        def look() -> list[Entry]:
            assert line.is_alive, line.log_tail()
            found = entries(client, "units")
            return found if len(found) >= count else []

        return wait_for(look, within_s=60, what=f"{count} units in Redis", every_s=0.2)


@needs_redis
def test_a_full_journal_is_shown_everywhere_and_nothing_is_lost(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    redis_server.stop()
    line = Line(
        tmp_path,
        cameras={"top": FAST},
        triton=NOBODY,
        redis_url=redis_server.url,
        journal={"directory": str(tmp_path / "state"), "max_gb": 0.001},
    )
    with line:
        blocked = wait_for(
            lambda: text if "journal is full" in (text := line.get("/readyz")[1]) else "",
            within_s=90,
            what="a full journal, told by /readyz",
        )
        assert "journal.max_gb = 0.001" in blocked
        assert line.get("/readyz")[0] == 503
        assert "journal is full" in json.loads(line.get("/healthz")[1])["journal"]
        scrape = line.scrape()
        limit = scrape.total("inspector_journal_limit_bytes")
        assert limit == 1_000_000
        assert limit <= scrape.total("inspector_journal_bytes") < 1.5 * limit
        pending = int(scrape.total("inspector_journal_pending_events"))
        assert pending > 200
        assert scrape.total("inspector_journal_reach_seconds") > 0

        redis_server.start()
        wait_for(
            lambda: "journal is full" not in line.get("/readyz")[1],
            within_s=60,
            what="room in the journal",
        )
        assert json.loads(line.get("/healthz")[1])["journal"] == "ok"
        # Redis lost nothing meanwhile, so that what it has can go before its time.
        wait_for_units(line, redis_server, pending)
        assert line.scrape().total("inspector_journal_bytes") < limit
        line.stop()
        said = line.said("stopped")
    with contextlib.closing(redis_server.client()) as client:
        units = entries(client, "units")
        assert_gapless(units)
        assert [unit.number for unit in units] == list(range(1, said["verdicts"] + 1))
        states = [(e.event["fault"], e.event["subject"], e.event["state"])
                  for e in entries(client, "health") if e.event["fault"] == "disk"]  # fmt: skip
    assert states[0] == ("disk", "journal", "raised")
    assert states[-1] == ("disk", "journal", "cleared")


@needs_redis
@pytest.mark.parametrize("damage", ["header", "events"])
def test_after_a_damaged_journal_numbers_go_on(
    tmp_path: Path, redis_server: RedisServer, damage: str
) -> None:
    """Those of events and those of units: from Redis, or from what can still be read."""
    line = Line(tmp_path, cameras={"top": FAST}, triton=NOBODY, redis_url=redis_server.url)
    with line:
        before = len(wait_for_units(line, redis_server, 100))
        line.stop()
        path = line.state / FILE_NAME
        if damage == "header":
            damaged = b"\x5a" * 50_000
        else:
            content = path.read_bytes()
            assert len(content) > 80_000
            damaged = content[:80_000] + b"\x5a" * (len(content) - 80_000)
        path.write_bytes(damaged)
        line.start()
        wait_for_units(line, redis_server, before + 100)
        line.stop()
        aside = Path(str(line.said("journal_set_aside")["kept_as"]))
        assert aside.read_bytes() == damaged
        assert line.said("unit numbers go on after those in Redis")
        # A kill leaves the same journal behind, and nothing has to be asked again.
        line.start()
        wait_for_units(line, redis_server, before + 150)
        line.send(signal.SIGTERM)
        assert line.wait_end(15) == 0
    with contextlib.closing(redis_server.client()) as client:
        units = entries(client, "units")
    assert_gapless(units)
    assert [unit.number for unit in units] == list(range(1, len(units) + 1))
