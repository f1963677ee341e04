"""Redis fails in every way there is: nothing lost, nothing twice, in order, and the cause is told.

More of them, over all versions of the server, in test_redis_stream.py; failovers in
test_redis_layouts.py; those of the whole service in test_journal_line.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from inspector.core.entries import Tip
from inspector.core.records import Stream
from inspector.journal import clocks
from inspector.journal.journal import Journal
from inspector.journal.station_time import Reading
from inspector.publish.sinks.redis_streams import RedisStreamWriter
from inspector.publish.throttle import ThrottleLimits
from tests.kit.groups import group
from tests.kit.line import wait_for
from tests.kit.redis_server import RedisServer
from tests.kit.redis_sites import system_redis
from tests.kit.redis_station import (
    DAY_S,
    DEFECTS_KEY,
    STATION,
    UNITS_KEY,
    Station,
    assert_once_in_order_gapless,
    event,
    in_loop,
    running,
)

PASSWORD = "canary-login"
NEEDED = (
    *("+xadd", "+xtrim", "+xinfo|stream", "+xrange", "+xrevrange", "+watch", "+unwatch"),
    *("+multi", "+exec", "+discard", "+ping"),
)


def set_user(server: RedisServer, *rules: str) -> None:
    """The station's user, from nothing; connections it had are closed."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "line", "reset", *rules)
        with contextlib.suppress(redis.ResponseError):
            client.execute_command("CLIENT", "KILL", "USER", "line")


def allowed(*more: str) -> tuple[str, ...]:
    return ("on", f">{PASSWORD}", f"~inspector:{{{STATION}}}:*", *NEEDED, *more)


def url_of_user(server: RedisServer) -> str:
    return server.url.replace("//", f"//line:{PASSWORD}@")


def save(client: redis.Redis, *, outcome: str) -> None:
    """Take a snapshot that ends so."""

    def ended() -> bool:
        with contextlib.suppress(redis.ResponseError):  # one is being taken already
            client.bgsave()
        return bool(client.info("persistence")["rdb_last_bgsave_status"] == outcome)

    wait_for(ended, within_s=30, what=f"a snapshot, {outcome}")


async def until_down_with(station: Station, cause: str) -> None:
    await station.seen.until(lambda: station.seen.is_down() and cause in station.seen.states[-1][1])
    assert PASSWORD not in str(station.seen.states)


def test_a_redis_that_cannot_save_refuses_and_gets_everything_afterwards(tmp_path: Path) -> None:
    """MISCONF: its snapshots fail, so it takes no more writes."""
    options = ("--appendonly", "no", "--enable-protected-configs", "yes")
    with RedisServer(system_redis(), tmp_path / "redis", *options) as server:

        async def main() -> None:
            async with running(tmp_path / "state", server.url) as station:
                await station.send(10)
                await station.delivered()
                with server.client() as client:
                    client.config_set("save", "3600 1")
                    shutil.rmtree(server.folder)
                    await asyncio.to_thread(save, client, outcome="err")
                    await station.send(10)
                    await until_down_with(station, "cannot save")
                    assert station.journal.main.pending_count > 0
                    server.folder.mkdir()
                    client.config_set("dir", str(server.folder))
                    await asyncio.to_thread(save, client, outcome="ok")
                await station.delivered()
                assert station.seen.states[-1] == (True, "")

        in_loop(main)
        assert_once_in_order_gapless(server, 20)


def test_a_password_changed_under_the_service_is_told_and_healed(redis_server, tmp_path) -> None:
    set_user(redis_server, *allowed())

    async def main() -> None:
        async with running(tmp_path / "state", url_of_user(redis_server)) as station:
            await station.send(10)
            await station.delivered()
            await asyncio.to_thread(set_user, redis_server, "on", ">another", *allowed()[2:])
            await station.send(10)
            await until_down_with(station, "refused the user name or password")
            await asyncio.to_thread(set_user, redis_server, *allowed())
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 20)


@pytest.mark.parametrize("missing", ["-xadd", "-xinfo|stream", "-exec", "resetkeys"])
def test_a_permission_that_is_missing_is_told_and_healed(redis_server, tmp_path, missing) -> None:
    set_user(redis_server, *allowed())

    async def main() -> None:
        async with running(tmp_path / "state", url_of_user(redis_server)) as station:
            await station.send(10)
            await station.delivered()
            await asyncio.to_thread(set_user, redis_server, *allowed(missing))
            await station.send(10)
            await until_down_with(station, "does not allow this user")
            with redis_server.client() as client:
                assert client.xlen(UNITS_KEY) == 10
            await asyncio.to_thread(set_user, redis_server, *allowed())
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 20)


def test_entries_deleted_and_trimmed_by_others_come_back_nowhere_and_upset_nothing(
    redis_server, tmp_path
) -> None:
    """Who deletes an entry wanted it gone; only what Redis lost is filled in again."""

    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(20)
            await station.delivered()
            with redis_server.client() as client:
                last, first = client.xrevrange(UNITS_KEY)[0][0], client.xrange(UNITS_KEY)[0][0]
                client.xdel(UNITS_KEY, first, last)
                client.xtrim(DEFECTS_KEY, maxlen=0, approximate=False)
            await station.send(10)
            await station.delivered()
            # The same while nobody is connected.
            with redis_server.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                client.xtrim(UNITS_KEY, maxlen=3, approximate=False)
            await station.send(5)
            await station.delivered()
        assert station.seen.published[Stream.UNITS] == 35

    in_loop(main)
    with redis_server.client() as client:
        units = [int(fields["seq"]) for _, fields in client.xrange(UNITS_KEY)]
        defects = [int(fields["seq"]) for _, fields in client.xrange(DEFECTS_KEY)]
    assert units == list(range(28, 36))
    assert defects == list(range(21, 36))


def test_a_key_that_is_no_stream_is_told_and_healed(redis_server, tmp_path) -> None:
    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url) as station:
            await station.send(10)
            await station.delivered()
            with redis_server.client() as client:
                client.set(UNITS_KEY, "somebody's own")
                await until_down_with(station, "is no stream")
                await station.send(5)
                client.delete(UNITS_KEY)
            await station.delivered()

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 15)


def test_a_refill_keeps_its_pace_and_fresh_events_follow_in_order(redis_server, tmp_path) -> None:
    pace = ThrottleLimits(events_per_s=100.0, step_ms=1.0)

    async def main() -> None:
        async with running(tmp_path / "state", redis_server.url, pace=pace) as station:
            began_s = time.monotonic()
            await station.send(100)
            await station.delivered()
            with redis_server.client() as client:
                client.flushall()
            await station.seen.until(lambda: station.seen.published[Stream.UNITS] > 100)
            await station.send(50)
            await station.delivered()
            # 200 events, the same once more, and 100; after the last write of each there is no
            # pause. At full speed it is 2 s, most of it until an idle worker looks again.
            assert time.monotonic() - began_s > 500 / 100 - 2

    in_loop(main)
    assert_once_in_order_gapless(redis_server, 150)


class Interrupted(RedisStreamWriter):
    """Somebody empties Redis between the look at a stream's end and the write."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server.url, station_id=STATION)
        self._server = server
        self.empties = False

    async def _tip_of(self, pipeline: Any, stream: Stream) -> Tip:
        tip = await super()._tip_of(pipeline, stream)
        if self.empties:
            with self._server.client() as client:
                client.flushall()
        return tip


@pytest.mark.parametrize("when", ["before the look", "between look and write"])
def test_nothing_is_written_to_a_stream_that_was_emptied_a_moment_ago(
    redis_server, tmp_path, when
) -> None:
    """The write would succeed, and leave a hole where the refill can no longer go."""

    async def main() -> None:
        journal = Journal.open(tmp_path / "state", retention_s=DAY_S)
        writer = Interrupted(redis_server)
        await journal.append([group(event(1)), group(event(2))])
        first, second = await journal.main.pending(2)
        assert await writer.append([first], journal.main.delivered, "now")
        await journal.main.mark_published([first])
        writer.empties = when == "between look and write"
        if not writer.empties:
            with redis_server.client() as client:
                client.flushall()
        assert not await writer.append([second], journal.main.delivered, "now")
        with redis_server.client() as client:
            assert client.keys() == []
        await writer.close()
        journal.close()

    in_loop(main)


def test_what_redis_lost_and_the_journal_no_longer_has_is_a_gap_that_a_reader_sees(
    redis_server, tmp_path
) -> None:
    """The limit of the promise: retention. What is left keeps its numbers."""

    async def main() -> None:
        passed_ms = [0]

        def read_clocks() -> Reading:
            now = clocks.read_clocks()
            return dataclasses.replace(now, boot_ms=now.boot_ms + passed_ms[0])

        async with running(
            tmp_path / "state", redis_server.url, retention_s=60.0, read_clocks=read_clocks
        ) as station:
            await station.send(30)
            await station.delivered()
            passed_ms[0] += 3_600_000
            await station.send(30)
            await station.delivered()
            passed_ms[0] += 2_000  # pruning looks once a second
            await station.send(1)
            await station.delivered()
            with redis_server.client() as client:
                client.flushall()
            await station.send(1)
            await station.seen.until(lambda: station.seen.published[Stream.UNITS] > 62)
            await station.delivered()

    in_loop(main)
    with redis_server.client() as client:
        seqs = [int(fields["seq"]) for _, fields in client.xrange(UNITS_KEY)]
    assert seqs == list(range(31, 63))


def test_entries_whose_ids_are_a_year_ahead_are_trimmed_when_they_are_old(
    redis_server, tmp_path
) -> None:
    """And none before: the clock is a year ahead for the first 300, right for the others."""
    ahead_ms, passed_ms = [365 * 86_400_000], [0]

    def read_clocks() -> Reading:
        now = clocks.read_clocks()
        return dataclasses.replace(
            now,
            boot_ms=now.boot_ms + passed_ms[0],
            unix_ms=now.unix_ms + passed_ms[0] + ahead_ms[0],
        )

    async def main() -> None:
        async with running(
            tmp_path / "state", redis_server.url, retention_s=60.0, read_clocks=read_clocks
        ) as station:
            await station.send(300)
            await station.delivered()
            ahead_ms[0] = 0
            await station.worker.main.delivery.trim(DAY_S)
            with redis_server.client() as client:
                assert client.xlen(UNITS_KEY) == 300
            passed_ms[0] += 2 * 86_400_000
            for _ in range(3):  # the journal lets go of 200 a second, as it thinks
                await station.send(100)
                await station.delivered()
                passed_ms[0] += 2_000
            await station.worker.main.delivery.trim(DAY_S)

    in_loop(main)
    with redis_server.client() as client:
        seqs = [int(fields["seq"]) for _, fields in client.xrange(UNITS_KEY)]
    # Redis trims whole nodes: of the old ones a few may be left.
    assert seqs[0] > 200
    assert seqs[-300:] == list(range(301, 601))
