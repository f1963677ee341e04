from __future__ import annotations

import asyncio
import random

import pytest

from inspector.core.records import Event, EventGroup, Stream
from inspector.flow.event_door import EventDoor
from tests.kit.groups import group


def numbered(number: int) -> EventGroup:
    return group(
        Event(
            stream=Stream.UNITS, id=str(number), schema="", time="", unit_id="", result="", body={}
        )
    )


def numbers(groups) -> list[int]:
    return [int(g.events[0].id) for g in groups]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_verdict_waits_for_room_and_what_is_rare_does_not() -> None:
    async def main() -> None:
        door = EventDoor(2)
        await door.send(numbered(1))
        await door.send(numbered(2))
        waiting = asyncio.create_task(door.send(numbered(4)))
        await turns()
        assert not waiting.done()
        door.put(numbered(3))
        assert len(door) == 3
        assert numbers(await door.receive(10)) == [1, 2, 3]
        await waiting
        assert numbers(await door.receive(10)) == [4]

    asyncio.run(main(), debug=True)


def test_whoever_waits_for_it_hears_that_a_group_is_kept_and_not_before() -> None:
    async def main() -> None:
        door = EventDoor(2)
        first, second = door.put(numbered(1)), door.put(numbered(2))
        assert numbers(await door.receive(1)) == [1]
        assert not first.done()
        door.kept()
        assert (await first, second.done()) == (True, False)
        assert numbers(await door.receive(1)) == [2]
        door.kept()
        assert await second

    asyncio.run(main(), debug=True)


def test_what_comes_after_the_closing_is_refused_and_what_is_inside_leaves() -> None:
    async def main() -> None:
        door = EventDoor(5)
        inside = door.put(numbered(1))
        door.close()
        assert not await door.put(numbered(2))
        with pytest.raises(RuntimeError, match="closed"):
            await door.send(numbered(3))
        assert numbers([g async for g in door]) == [1]
        assert await inside

    asyncio.run(main(), debug=True)


def test_a_receiver_that_waits_learns_of_the_closing() -> None:
    async def main() -> None:
        door = EventDoor()
        waiting = asyncio.create_task(door.receive(1))
        await turns()
        door.close()
        assert not await waiting

    asyncio.run(main(), debug=True)


def test_nobody_waits_for_ever_where_nobody_receives_any_more() -> None:
    async def main() -> None:
        door = EventDoor()
        received = door.put(numbered(1))
        await door.receive(1)
        inside = door.put(numbered(2))
        door.abandon()
        assert (await received, await inside, len(door)) == (False, False, 0)
        assert not await door.receive(1)

    asyncio.run(main(), debug=True)


def test_a_waiter_that_was_cancelled_holds_up_nobody() -> None:
    async def main() -> None:
        door = EventDoor()
        gone, waiting = door.put(numbered(1)), door.put(numbered(2))
        gone.cancel()
        await door.receive(5)
        door.kept()
        assert await waiting

    asyncio.run(main(), debug=True)


def test_the_order_of_each_sender_is_kept_however_receivers_are_cancelled() -> None:
    async def main(seed: int) -> None:
        rng = random.Random(seed)
        door = EventDoor(2)
        seen: list[int] = []

        async def send(first: int) -> None:
            for n in range(first, first + 20):
                await door.send(numbered(n))
                await turns(rng.randrange(3))

        senders = [asyncio.create_task(send(first)) for first in (0, 100, 200)]
        while not all(s.done() for s in senders) or len(door):
            receiving = asyncio.create_task(door.receive(rng.randrange(1, 4)))
            await turns(rng.randrange(6))
            receiving.cancel()
            await asyncio.wait([receiving])
            if not receiving.cancelled():
                seen += numbers(receiving.result())
        for first in (0, 100, 200):
            assert [n for n in seen if first <= n < first + 20] == list(range(first, first + 20))

    for seed in range(40):
        asyncio.run(main(seed))
