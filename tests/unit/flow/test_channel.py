from __future__ import annotations

import asyncio
import random

import pytest

from inspector.flow.channel import Channel


def test_a_full_channel_makes_the_sender_wait() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(2)
        await channel.send(1)
        await channel.send(2)
        third = asyncio.create_task(channel.send(3))
        await asyncio.sleep(0.005)
        assert not third.done()
        assert await channel.receive() == 1
        await third
        assert [await channel.receive(), await channel.receive()] == [2, 3]

    asyncio.run(main(), debug=True)


def test_what_is_inside_outlives_the_closing() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(5)
        for item in range(3):
            await channel.send(item)
        await channel.close()
        assert channel.closed
        assert [item async for item in channel] == [0, 1, 2]
        assert await channel.receive() is None

    asyncio.run(main(), debug=True)


def test_sending_on_a_closed_channel_raises() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(1)
        await channel.close()
        with pytest.raises(RuntimeError, match="closed"):
            await channel.send(1)

    asyncio.run(main(), debug=True)


def test_a_receiver_that_waits_learns_of_the_closing() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(1)
        waiting = asyncio.create_task(channel.receive())
        await asyncio.sleep(0)
        await channel.close()
        assert await waiting is None

    asyncio.run(main(), debug=True)


def test_nothing_waits_inside_a_channel_without_capacity() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(0)
        room = asyncio.create_task(channel.wait_for_room())
        sending = asyncio.create_task(channel.send(1))
        await asyncio.sleep(0.01)
        assert not room.done()
        assert not len(channel)
        assert await asyncio.wait_for(channel.receive(), 1) == 1
        await asyncio.wait_for(sending, 1)
        receiving = asyncio.create_task(channel.receive())
        await asyncio.wait_for(room, 1)
        await asyncio.wait_for(channel.send(2), 1)
        assert await asyncio.wait_for(receiving, 1) == 2
        await channel.close()
        assert await channel.receive() is None

    asyncio.run(main(), debug=True)


def test_what_a_cancelled_receiver_was_promised_waits_for_the_next() -> None:
    async def main() -> None:
        channel: Channel[int] = Channel(0)
        receiving = asyncio.create_task(channel.receive())
        await asyncio.sleep(0)
        await channel.send(1)
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()
        assert await asyncio.wait_for(channel.receive(), 1) == 1

    asyncio.run(main(), debug=True)


async def receive_or_be_cancelled(channel: Channel[int], turns: int) -> tuple[bool, int | None]:
    """(whether it received, what) after so many turns of the loop."""
    receiving = asyncio.create_task(channel.receive())
    for _ in range(turns):
        await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.wait([receiving])
    return (False, None) if receiving.cancelled() else (True, receiving.result())


def test_no_item_is_lost_or_doubled_when_receivers_are_cancelled() -> None:
    async def main(seed: int) -> None:
        rng = random.Random(seed)
        channel: Channel[int] = Channel(1)
        seen: list[int] = []

        async def feed() -> None:
            for item in range(40):
                await channel.send(item)
                await asyncio.sleep(0)
            await channel.close()

        feeding = asyncio.create_task(feed())
        while not (channel.closed and len(channel) == 0):
            received, item = await receive_or_be_cancelled(channel, rng.randrange(6))
            if received and item is not None:
                seen.append(item)
        await feeding
        assert seen == list(range(40))

    for seed in range(40):
        asyncio.run(main(seed))
