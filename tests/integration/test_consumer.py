import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine

import orjson
import pytest

from inspector.core.errors import SinkUnavailableError
from inspector.events.consumer import (
    Gap,
    Gone,
    Group,
    Item,
    ReceivedEvent,
    SetAside,
    StreamReader,
    read_events,
)
from tests.kit.redis_server import RedisServer, binaries

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


async def read_all(server: RedisServer, **kwargs) -> list[int | Gap | Gone | SetAside]:
    return [
        item.seq if isinstance(item, ReceivedEvent) else item
        async for item in read_events(server.url, station_id=STATION, **kwargs)
    ]


def unacknowledged(server: RedisServer, group: str) -> int:
    with server.client() as client:
        return int(client.xpending(KEY, group)["pending"])


async def next_seq(items: AsyncGenerator[Item, None]) -> int:
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
        assert await read_all(redis_server, group=heir) == [1, 3, Gone(entry_ids=("2-0",))]
        assert unacknowledged(redis_server, "mes") == 0

    in_loop(main)


def trim(server: RedisServer, below: int) -> None:
    with server.client() as client:
        client.xtrim(KEY, minid=f"{below}-0", approximate=False)


def take(server: RedisServer, member: str, count: int) -> None:
    """A member that takes entries and dies."""
    with server.client() as client:
        client.xgroup_create(KEY, "mes", "0")
        client.xreadgroup("mes", member, {KEY: ">"}, count=count)


@pytest.mark.parametrize("member", ["dead", "heir"])
def test_taken_and_undelivered_events_that_were_trimmed_are_told(redis_server, member):
    """The MES was away for longer than retention: five taken, three never given to anybody."""
    publish(redis_server, *range(1, 11))
    take(redis_server, "dead", 5)
    trim(redis_server, 9)

    async def main() -> None:
        assert await read_all(redis_server, group=Group(name="mes", member=member)) == [
            Gone(entry_ids=("1-0", "2-0", "3-0", "4-0", "5-0")),
            Gap(expected_seq=1, found_seq=9, certain=redis_server.counts_what_groups_read),
            9,
            10,
        ]
        assert unacknowledged(redis_server, "mes") == 0
        assert await read_all(redis_server, group=Group(name="mes", member="other")) == []

    in_loop(main)


def test_a_gap_over_the_readers_own_restart_is_told(redis_server):
    async def main() -> None:
        group = Group(name="mes", member="a")
        publish(redis_server, *range(1, 6))
        assert await read_all(redis_server, group=group) == [1, 2, 3, 4, 5]
        publish(redis_server, *range(6, 11))
        trim(redis_server, 9)
        exact = redis_server.counts_what_groups_read
        gap = Gap(expected_seq=6 if exact else 1, found_seq=9, certain=exact)
        assert await read_all(redis_server, group=group) == [gap, 9, 10]
        # The last that was read is still there: exact with every Redis.
        publish(redis_server, 11, 12)
        with redis_server.client() as client:
            client.xdel(KEY, "11-0")
        gap = Gap(expected_seq=11, found_seq=12)
        assert await read_all(redis_server, group=group) == [gap, 12]

    in_loop(main)


def test_what_is_lost_is_told_also_where_the_stream_was_emptied(redis_server):
    async def main() -> None:
        group = Group(name="mes", member="a")
        publish(redis_server, *range(1, 6))
        assert await read_all(redis_server, group=group) == [1, 2, 3, 4, 5]
        publish(redis_server, *range(6, 9))
        trim(redis_server, 100)
        following = read_events(redis_server.url, station_id=STATION, group=group, follow=True)
        waiting = asyncio.create_task(anext(following))
        exact = redis_server.counts_what_groups_read
        publish(redis_server, 9)
        gap = Gap(expected_seq=6 if exact else 1, found_seq=9, certain=exact)
        assert await asyncio.wait_for(waiting, 10) == gap
        await following.aclose()

    in_loop(main)


def test_a_group_that_begins_in_the_middle_has_no_gap(redis_server):
    """Made by us or by others, at the end or at an entry: what went before was never its own."""
    publish(redis_server, *range(1, 11))
    trim(redis_server, 5)
    with redis_server.client() as client:
        client.xgroup_create(KEY, "new-events", "$")
        client.xgroup_create(KEY, "from-seven", "6-0")

    async def main() -> None:
        made_now = Group(name="made-now", member="a")
        assert await read_all(redis_server, group=made_now) == [5, 6, 7, 8, 9, 10]
        from_seven = Group(name="from-seven", member="a")
        assert await read_all(redis_server, group=from_seven) == [7, 8, 9, 10]
        publish(redis_server, 11)
        assert await read_all(redis_server, group=Group(name="new-events", member="a")) == [11]

    in_loop(main)


def test_nothing_is_missing_when_all_that_was_trimmed_had_been_read(redis_server):
    async def main() -> None:
        group = Group(name="mes", member="a")
        publish(redis_server, *range(1, 11))
        assert await read_all(redis_server, group=group) == list(range(1, 11))
        trim(redis_server, 100)
        assert await read_all(redis_server, group=group) == []
        publish(redis_server, 11)
        # Redis before 7.0 cannot tell this from a loss, and the reader does not hide that.
        doubt = Gap(expected_seq=1, found_seq=11, certain=False)
        exact = redis_server.counts_what_groups_read
        assert await read_all(redis_server, group=group) == ([11] if exact else [doubt, 11])

    in_loop(main)


def test_a_group_that_never_read_anything_is_told_what_was_trimmed(redis_server):
    publish(redis_server, *range(1, 11))
    with redis_server.client() as client:
        client.xgroup_create(KEY, "mes", "0")
    trim(redis_server, 9)

    async def main() -> None:
        assert await read_all(redis_server, group=Group(name="mes", member="a")) == [
            Gap(expected_seq=1, found_seq=9, certain=False),
            9,
            10,
        ]

    in_loop(main)


FOREIGN: list[dict[str, str | bytes]] = [
    {"a": "b"},
    {"id": "z", "seq": "-5", "schema": "inspector.unit/1", "data": "{}"},
    {"id": "z", "seq": "9" * 30, "schema": "inspector.unit/1", "data": "{}"},
    {"id": "z", "seq": "7", "schema": "other/1", "data": "{}"},
    {"id": b"\xff", "seq": "7", "schema": "inspector.unit/1", "data": "{}"},
    {
        "id": "z",
        "seq": "7",
        "schema": "inspector.unit/1",
        "time": "t",
        "unit_id": "u",
        "result": "r",
        "data": "[]",
    },
]


@pytest.mark.parametrize("group", [None, Group(name="mes", member="a")])
def test_what_strangers_wrote_is_set_aside_and_disturbs_nothing(redis_server, group):
    publish(redis_server, 1)
    with redis_server.client() as client:
        for number, fields in enumerate(FOREIGN):
            client.xadd(KEY, fields, id=f"1-{number + 1}")
    publish(redis_server, 2)

    async def main() -> None:
        first, *aside, last = await read_all(redis_server, group=group)
        assert (first, last) == (1, 2)
        assert [item.entry_id for item in aside if isinstance(item, SetAside)] == [
            f"1-{number + 1}" for number in range(len(FOREIGN))
        ]
        if group is not None:
            assert unacknowledged(redis_server, "mes") == 0

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


def test_a_follower_says_once_what_it_waits_for_and_when_that_is_back(redis_server):
    said: list[str] = []

    async def main() -> None:
        told = asyncio.Event()

        def hear(text: str) -> None:
            said.append(text)
            told.set()

        await asyncio.to_thread(redis_server.stop)
        following = read_events(redis_server.url, station_id=STATION, follow=True, on_notice=hear)
        waiting = asyncio.create_task(next_seq(following))
        await asyncio.wait_for(told.wait(), 10)
        await asyncio.to_thread(redis_server.start)
        publish(redis_server, 1)
        assert await asyncio.wait_for(waiting, 10) == 1
        await following.aclose()

    in_loop(main)
    assert said[0].startswith("waiting for Redis: ")
    assert said[-1] == "Redis answers again"
    assert len(said) == len(set(said))


def test_a_user_who_may_not_ask_where_its_group_stands_reads_all_the_same(redis_server):
    said: list[str] = []
    publish(redis_server, 1, 2)
    with redis_server.client() as client:
        client.xgroup_create(KEY, "mes", "0")
        client.acl_setuser(
            "old",
            enabled=True,
            nopass=True,
            keys=["*"],
            commands=["+xreadgroup", "+xgroup", "+xack", "+xautoclaim", "+xinfo|stream"],
        )
    url = redis_server.url.replace("redis://", "redis://old:any@")

    async def main() -> None:
        reading = read_events(
            url,
            station_id=STATION,
            group=Group(name="mes", member="a"),
            on_notice=said.append,
        )
        assert [item.seq async for item in reading if isinstance(item, ReceivedEvent)] == [1, 2]

    in_loop(main)
    assert len(said) == 1
    assert said[0].startswith("events lost before this start are not seen: ")


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
