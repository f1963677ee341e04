import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine

import orjson
import pytest

from inspector.consumer import Gap, Group, ReceivedEvent, StreamReader, read_events
from inspector.errors import SinkUnavailableError
from tests.integration.redis_server import RedisServer, binaries

STATION = "plant.line-1.aoi"
KEY = "inspector:{plant.line-1.aoi}:units"


@pytest.fixture(params=binaries())
def redis_server(request, tmp_path):
    with RedisServer(request.param, tmp_path / "redis") as server:
        yield server


def in_loop(work: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(work(), debug=True)


def publish(server: RedisServer, *seqs: int, resent: bool = False) -> None:
    """Write events as the contract says; `resent` gives them other entry IDs."""
    with server.client() as client:
        for seq in seqs:
            body = orjson.dumps({"id": f"event-{seq}", "seq": seq})
            client.xadd(
                KEY,
                {
                    "id": f"event-{seq}",
                    "seq": seq,
                    "schema": "inspector.unit/1",
                    "time": "2026-01-02T03:04:05+00:00",
                    "unit_id": f"unit-{seq}",
                    "result": "PASSED",
                    "data": body,
                },
                id="*" if resent else f"{seq}-0",
            )


async def read_all(server: RedisServer, **kwargs) -> list[int | Gap]:
    return [
        item if isinstance(item, Gap) else item.seq
        async for item in read_events(server.url, station_id=STATION, **kwargs)
    ]


def unacknowledged(server: RedisServer, group: str) -> int:
    with server.client() as client:
        return int(client.xpending(KEY, group)["pending"])


async def next_seq(items: AsyncGenerator[ReceivedEvent | Gap, None]) -> int:
    item = await anext(items)
    assert isinstance(item, ReceivedEvent)
    return item.seq


def test_reading_without_a_group_starts_at_the_beginning_each_time(redis_server):
    publish(redis_server, *range(1, 251))

    async def main() -> None:
        for _ in range(2):
            assert await read_all(redis_server) == list(range(1, 251))

    in_loop(main)


def test_an_event_has_the_fields_of_its_entry(redis_server):
    publish(redis_server, 1)

    async def main() -> None:
        (event,) = [e async for e in read_events(redis_server.url, station_id=STATION)]
        assert event == ReceivedEvent(
            entry_id="1-0",
            id="event-1",
            seq=1,
            schema="inspector.unit/1",
            time="2026-01-02T03:04:05+00:00",
            unit_id="unit-1",
            result="PASSED",
            body={"id": "event-1", "seq": 1},
        )

    in_loop(main)


def test_a_group_goes_on_where_it_stopped(redis_server):
    async def main() -> None:
        group = Group(name="mes", member="a")
        publish(redis_server, 1, 2, 3)
        assert await read_all(redis_server, group=group) == [1, 2, 3]
        assert await read_all(redis_server, group=group) == []
        publish(redis_server, 4)
        assert await read_all(redis_server, group=group) == [4]
        assert unacknowledged(redis_server, "mes") == 0

    in_loop(main)


def test_an_event_that_comes_twice_is_given_once(redis_server):
    publish(redis_server, 1, 2)
    publish(redis_server, 1, 2, 3, resent=True)

    async def main() -> None:
        assert await read_all(redis_server) == [1, 2, 3]
        assert await read_all(redis_server, group=Group(name="mes", member="a")) == [1, 2, 3]
        assert unacknowledged(redis_server, "mes") == 0

    in_loop(main)


@pytest.mark.parametrize("group", [None, Group(name="mes", member="a")])
def test_missing_events_are_told(redis_server, group):
    publish(redis_server, 1, 2, 5, 6, 9)

    async def main() -> None:
        assert await read_all(redis_server, group=group) == [
            1,
            2,
            Gap(expected_seq=3, found_seq=5),
            5,
            6,
            Gap(expected_seq=7, found_seq=9),
            9,
        ]

    in_loop(main)


def test_what_another_member_of_the_group_took_is_no_gap(redis_server):
    async def main() -> None:
        readers = [
            StreamReader(
                redis_server.url,
                station_id=STATION,
                stream="units",
                group=Group(name="mes", member=member),
            )
            for member in "ab"
        ]
        seen = []
        for seq in range(1, 9):
            publish(redis_server, seq)
            seen += [item async for item in readers[seq % 2].events(follow=False)]
        assert [getattr(item, "seq", None) for item in seen] == list(range(1, 9))
        for reader in readers:
            await reader.close()

    in_loop(main)


def test_what_a_dead_consumer_took_is_handled_by_another_once(redis_server):
    publish(redis_server, *range(1, 11))

    async def main() -> None:
        dying = read_events(
            redis_server.url, station_id=STATION, group=Group(name="mes", member="dying")
        )
        assert [await next_seq(dying) for _ in range(4)] == [1, 2, 3, 4]
        await dying.aclose()  # it never asked for more: number 4 is not acknowledged
        assert unacknowledged(redis_server, "mes") == 7

        patient = Group(name="mes", member="patient", stale_ms=3_600_000)
        assert await read_all(redis_server, group=patient) == []
        heir = Group(name="mes", member="heir", stale_ms=0)
        assert await read_all(redis_server, group=heir) == [4, 5, 6, 7, 8, 9, 10]
        assert await read_all(redis_server, group=heir) == []
        assert unacknowledged(redis_server, "mes") == 0

    in_loop(main)


def test_a_consumer_that_restarts_gets_back_what_it_had_not_finished(redis_server):
    publish(redis_server, 1, 2, 3)

    async def main() -> None:
        group = Group(name="mes", member="a")
        first = read_events(redis_server.url, station_id=STATION, group=group)
        assert await next_seq(first) == 1
        await first.aclose()
        assert await read_all(redis_server, group=group) == [1, 2, 3]

    in_loop(main)


def test_an_entry_deleted_before_it_was_read_stops_nobody(redis_server):
    publish(redis_server, 1, 2, 3)

    async def main() -> None:
        first = read_events(
            redis_server.url, station_id=STATION, group=Group(name="mes", member="a")
        )
        assert await next_seq(first) == 1
        await first.aclose()
        with redis_server.client() as client:
            client.xdel(KEY, "2-0")
        heir = Group(name="mes", member="heir", stale_ms=0)
        assert await read_all(redis_server, group=heir) == [1, 3]

    in_loop(main)


@pytest.mark.parametrize("group", [None, Group(name="mes", member="a")])
def test_a_follower_outlives_redis(redis_server, group):
    async def main() -> None:
        following = read_events(redis_server.url, station_id=STATION, group=group, follow=True)
        publish(redis_server, 1, 2)
        assert [await next_seq(following) for _ in range(2)] == [1, 2]
        waiting = asyncio.create_task(next_seq(following))
        await asyncio.to_thread(redis_server.kill)
        await asyncio.to_thread(redis_server.start)
        publish(redis_server, 3)
        assert await asyncio.wait_for(waiting, 10) == 3

        # Back empty, and filled again by the station: nothing is given twice.
        waiting = asyncio.create_task(next_seq(following))
        await asyncio.to_thread(redis_server.stop)
        redis_server.empty()
        await asyncio.to_thread(redis_server.start)
        publish(redis_server, 1, 2, 3, 4)
        assert await asyncio.wait_for(waiting, 10) == 4
        await following.aclose()

    in_loop(main)


def test_a_follower_survives_flushall(redis_server):
    async def main() -> None:
        group = Group(name="mes", member="a")
        following = read_events(redis_server.url, station_id=STATION, group=group, follow=True)
        publish(redis_server, 1)
        assert await next_seq(following) == 1
        waiting = asyncio.create_task(next_seq(following))
        with redis_server.client() as client:
            client.flushall()
        publish(redis_server, 1, 2)
        assert await asyncio.wait_for(waiting, 10) == 2
        await following.aclose()

    in_loop(main)


def test_without_follow_an_absent_redis_is_told_at_once():
    async def main() -> None:
        with pytest.raises(SinkUnavailableError, match="cannot be read"):
            await anext(read_events("redis://127.0.0.1:1/0", station_id=STATION))

    in_loop(main)


def test_a_follower_that_is_told_to_end_ends_even_while_redis_is_away():
    async def main() -> None:
        for turns in range(40):
            following = read_events("redis://127.0.0.1:1/0", station_id=STATION, follow=True)
            reading = asyncio.create_task(next_seq(following))
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait_for(asyncio.wait([reading]), 5)
            assert reading.cancelled()

    in_loop(main)
