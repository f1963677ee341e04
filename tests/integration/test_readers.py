"""How far consumer groups are, as the station asks a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.core.records import Stream
from inspector.ops.metrics import Metrics
from inspector.publish.readers import (
    MOST_GROUPS,
    NAME_CHARACTERS,
    Reader,
    ReaderMonitor,
    Readers,
    ReaderTelemetry,
)
from inspector.service.telemetry import ReaderNews
from tests.kit.redis_access import ShippedRedis, password_of
from tests.kit.redis_server import RedisServer, binaries

STATION = "plant.line-1.aoi"
KEY = "inspector:{plant.line-1.aoi}:units"
HOUR_MS = 3_600_000


@pytest.fixture(params=binaries())
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(request.param, tmp_path / "redis") as server:
        yield server


class Heard(ReaderTelemetry):
    def __init__(self) -> None:
        self.readers: Readers | None = None
        self.refused: list[str | None] = []

    def on_readers(self, readers: Readers) -> None:
        self.readers = readers

    def on_refused(self, cause: str | None) -> None:
        self.refused.append(cause)

    def one(self, group: str) -> Reader:
        assert self.readers is not None
        return next(reader for reader in self.readers.watched if reader.group == group)


Look = Callable[[], Awaitable[Heard]]


def watching(url: str, work: Callable[[Look], Awaitable[None]], *, password: str = "") -> None:
    async def main() -> None:
        heard = Heard()
        watch = ReaderMonitor(
            url, station_id=STATION, password=password or None, telemetry=heard, poll_interval_s=1
        )

        async def look() -> Heard:
            await watch.check()
            return heard

        try:
            await work(look)
        finally:
            await watch.close()

    asyncio.run(main(), debug=True)


def id_of(seq: int) -> str:
    """Events of the last hours, the newest 20 minutes old; the same all the time."""
    return f"{BASE_MS + seq * 60_000}-0"


BASE_MS = int(time.time() * 1000) - 5 * HOUR_MS


def publish(server: RedisServer, *seqs: int) -> None:
    with server.client() as client:
        for seq in seqs:
            fields: dict[Any, Any] = {"id": f"e{seq}", "seq": seq, "schema": "inspector.unit/1"}
            rest = {"time": "t", "unit_id": "u", "result": "PASSED", "data": "{}"}
            client.xadd(KEY, fields | rest, id=id_of(seq))


def read(server: RedisServer, group: str, count: int, *, acknowledge: bool) -> None:
    with server.client() as client:
        reply: Any = client.xreadgroup(group, "m", {KEY: ">"}, count=count)
        for entry_id, _ in reply[0][1]:
            if acknowledge:
                client.xack(KEY, group, entry_id)


def trim(server: RedisServer, below: int) -> None:
    with server.client() as client:
        client.xtrim(KEY, minid=id_of(below), approximate=False)


def age_s(seq: int) -> float:
    return time.time() - int(id_of(seq).partition("-")[0]) / 1000


def test_nobody_reads(redis_server: RedisServer) -> None:
    async def work(look: Look) -> None:
        nothing = Readers(watched=(), unwatched=dict.fromkeys(Stream, 0))
        assert (await look()).readers == nothing  # not even a stream
        publish(redis_server, 1)
        assert (await look()).readers == nothing

    watching(redis_server.url, work)


def test_each_of_several_groups_is_seen_apart(redis_server: RedisServer) -> None:
    publish(redis_server, *range(1, 11))
    with redis_server.client() as client:
        for group, start in (("never", "0"), ("slow", "0"), ("done", "0"), ("new", "$")):
            client.xgroup_create(KEY, group, start)
    read(redis_server, "slow", 4, acknowledge=True)
    read(redis_server, "slow", 3, acknowledge=False)
    read(redis_server, "done", 10, acknowledge=True)

    async def work(look: Look) -> None:
        heard = await look()
        never, slow = heard.one("never"), heard.one("slow")
        assert (never.undelivered, never.pending, never.lost) == (10, 0, 0)
        assert never.oldest_s == pytest.approx(age_s(1), abs=5)
        assert (slow.undelivered, slow.pending, slow.lost) == (3, 3, 0)
        assert slow.oldest_s == pytest.approx(age_s(5), abs=5)
        for caught_up in ("done", "new"):
            reader = heard.one(caught_up)
            assert (reader.undelivered, reader.pending, reader.lost) == (0, 0, 0)
            assert reader.oldest_s == 0
        with redis_server.client() as client:
            client.xgroup_destroy(KEY, "never")
        readers = (await look()).readers
        assert readers is not None
        assert {reader.group for reader in readers.watched} == {"slow", "done", "new"}

    watching(redis_server.url, work)


def test_what_is_trimmed_before_it_was_acknowledged_is_counted(redis_server: RedisServer) -> None:
    publish(redis_server, *range(1, 11))
    with redis_server.client() as client:
        for group in ("never", "taken", "behind", "done"):
            client.xgroup_create(KEY, group, "0")
    read(redis_server, "taken", 5, acknowledge=False)
    read(redis_server, "behind", 5, acknowledge=True)
    read(redis_server, "done", 10, acknowledge=True)

    async def work(look: Look) -> None:
        await look()
        trim(redis_server, 9)
        heard = await look()
        lost = {name: heard.one(name).lost for name in ("never", "taken", "behind", "done")}
        assert lost == {"never": 8, "taken": 8, "behind": 3, "done": 0}
        assert heard.one("never").undelivered == 2
        # It reads on: no more is lost than it has been told of.
        read(redis_server, "behind", 2, acknowledge=True)
        assert (await look()).one("behind").lost == 0

    watching(redis_server.url, work)

    async def after_a_restart(look: Look) -> None:
        heard = await look()
        assert heard.one("taken").lost >= 5
        if redis_server.counts_what_groups_read:
            assert heard.one("taken").lost == 8
        assert heard.one("done").lost == 0

    watching(redis_server.url, after_a_restart)


def test_a_group_that_is_made_after_a_trim_has_lost_nothing(redis_server: RedisServer) -> None:
    publish(redis_server, *range(1, 11))
    trim(redis_server, 9)
    with redis_server.client() as client:
        client.xgroup_create(KEY, "new", "0")

    async def work(look: Look) -> None:
        assert (await look()).one("new").lost == 0
        trim(redis_server, 10)
        assert (await look()).one("new").lost == 1

    watching(redis_server.url, work)


def test_entries_deleted_or_foreign_do_not_blind_it(redis_server: RedisServer) -> None:
    """Redis's own lag is nil after a deletion in the middle."""
    publish(redis_server, *range(1, 11))
    with redis_server.client() as client:
        client.xgroup_create(KEY, "mes", id_of(2))
        client.xdel(KEY, id_of(5))

    async def work(look: Look) -> None:
        assert (await look()).one("mes").undelivered == 8
        with redis_server.client() as client:
            client.xadd(KEY, {"a": "b"})
        foreign_end = (await look()).one("mes")
        assert foreign_end.undelivered >= 1
        assert foreign_end.oldest_s == pytest.approx(age_s(3), abs=5)

    watching(redis_server.url, work)


def test_a_clock_that_was_set_back_hides_no_reader_that_waits(redis_server: RedisServer) -> None:
    """IDs from the future have no age: then it counts how long we saw the entry wait."""
    with redis_server.client() as client:
        client.xgroup_create(KEY, "mes", "0", mkstream=True)
    publish(redis_server, 10_000)

    async def work(look: Look) -> None:
        first = (await look()).one("mes").oldest_s
        async with asyncio.timeout(10):
            while (await look()).one("mes").oldest_s <= first:
                pass

    watching(redis_server.url, work)


def test_foreign_names_are_bounded_and_shown_safely(redis_server: RedisServer) -> None:
    publish(redis_server, 1)
    nasty = [b"\xff\x1b[2J", b"x" * 5000 + b"1", b"x" * 5000 + b"2", b'quote" and \n']
    with redis_server.client() as client:
        for name in nasty:
            client.xgroup_create(KEY, name, "0")

    async def work(look: Look) -> None:
        heard = await look()
        assert heard.readers is not None
        names = [reader.group for reader in heard.readers.watched]
        assert len(set(names)) == len(nasty)
        assert all(name.isprintable() and len(name) <= NAME_CHARACTERS for name in names)
        metrics = Metrics([], [])
        ReaderNews(metrics).on_readers(heard.readers)
        assert b"\x1b" not in metrics.exposition()
        # Many more come, some of which sort before: those watched already stay.
        with redis_server.client() as client:
            for number in range(MOST_GROUPS + 5):
                client.xgroup_create(KEY, f"a{number}", "0")
        heard = await look()
        assert heard.readers is not None
        assert len(heard.readers.watched) == MOST_GROUPS
        assert set(names) < {reader.group for reader in heard.readers.watched}
        assert heard.readers.unwatched[Stream.UNITS] == len(nasty) + 5

    watching(redis_server.url, work)


def test_a_redis_that_goes_and_comes_is_looked_at_again(redis_server: RedisServer) -> None:
    publish(redis_server, 1)
    with redis_server.client() as client:
        client.xgroup_create(KEY, "mes", "0")

    async def work(look: Look) -> None:
        assert (await look()).one("mes").undelivered == 1
        await asyncio.to_thread(redis_server.stop)
        await look()
        await asyncio.to_thread(redis_server.start)
        publish(redis_server, 2)
        assert (await look()).one("mes").undelivered == 2
        with redis_server.client() as client:
            client.flushall()
        heard = await look()
        assert heard.readers is not None
        assert heard.readers.watched == ()
        assert heard.refused == []

    watching(redis_server.url, work)


def test_a_user_without_the_rights_is_told_of_once_and_that_they_came(
    redis_server: RedisServer,
) -> None:
    publish(redis_server, 1)
    with redis_server.client() as client:
        client.xgroup_create(KEY, "mes", "0")
        rights = ["+xinfo|stream", "+xrange", "+xadd"]
        client.acl_setuser("old", enabled=True, nopass=True, keys=["*"], commands=rights)
    url = redis_server.url.replace("redis://", "redis://old:any@")

    async def work(look: Look) -> None:
        for _ in range(3):
            heard = await look()
        assert heard.readers is None
        assert len(heard.refused) == 1
        with redis_server.client() as client:
            client.execute_command("ACL", "SETUSER", "old", "+xinfo|groups")
            heard = await look()  # half of them: still refused, and not said again
            client.execute_command("ACL", "SETUSER", "old", "+xpending")
        heard = await look()
        assert heard.one("mes").undelivered == 1
        assert [cause is None for cause in heard.refused] == [False, True]

    watching(url, work)


def test_a_stream_newer_than_the_rights_hides_no_other(redis_server: RedisServer) -> None:
    publish(redis_server, 1)
    with redis_server.client() as client:
        client.xgroup_create(KEY, "mes", "0")
        keys = [KEY.replace("units", s.value) for s in Stream if s is not Stream.CHANGES]
        client.acl_setuser("old", enabled=True, nopass=True, keys=keys, commands=["+@all"])

    async def work(look: Look) -> None:
        heard = await look()
        assert heard.one("mes").undelivered == 1
        assert len(heard.refused) == 1
        assert heard.refused[0] is not None

    watching(redis_server.url.replace("redis://", "redis://old:any@"), work)


def test_the_shipped_user_of_the_service_may_look(tmp_path: Path) -> None:
    with ShippedRedis(tmp_path / "redis", station=STATION) as server:
        with server.client("mes") as mes:
            mes.xgroup_create(KEY, "mes", "0", mkstream=True)

        async def work(look: Look) -> None:
            heard = await look()
            assert heard.one("mes").undelivered == 0
            assert heard.refused == []

        watching(server.url_of("inspector"), work, password=password_of("inspector"))


def test_series_come_and_go_with_the_groups() -> None:
    metrics = Metrics([], [])
    news = ReaderNews(metrics)

    def told(*groups: str) -> str:
        readers = tuple(
            Reader(stream=Stream.UNITS, group=group, undelivered=3, pending=2, oldest_s=7.5, lost=1)
            for group in groups
        )
        news.on_readers(Readers(watched=readers, unwatched={Stream.UNITS: 0}))
        return metrics.exposition().decode()

    assert 'inspector_group_oldest_seconds{group="mes",stream="units"} 7.5' in told("mes", "spc")
    text = told("spc")
    assert 'group="mes"' not in text
    assert 'inspector_group_undelivered_events{group="spc",stream="units"} 3.0' in text
    assert 'inspector_group_pending_events{group="spc",stream="units"} 2.0' in text
    assert 'inspector_group_lost_events{group="spc",stream="units"} 1.0' in text
    assert news.readers[0].group == "spc"
