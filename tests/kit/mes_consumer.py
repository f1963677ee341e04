"""A consumer that kills itself at random: before it stores an event, or before it acknowledges it.

python mes_consumer.py REDIS_URL STATION GROUP MEMBER DATABASE SEED
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys

from inspector.events.consumer import Group, ReceivedEvent, StreamReader

DIES_ONCE_IN = 40


async def consume(url: str, station: str, group: Group, database: str, chance: random.Random):
    store = sqlite3.connect(database, timeout=30, isolation_level=None)
    reader = StreamReader(url, station_id=station, stream="units", group=group)

    def perhaps_die() -> None:
        if chance.randrange(DIES_ONCE_IN) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async for item in reader.events(follow=True):
        if not isinstance(item, ReceivedEvent):
            store.execute("INSERT INTO gaps VALUES (?)", (repr(item),))
            continue
        perhaps_die()
        store.execute(
            "INSERT INTO units VALUES (?, ?, 1) ON CONFLICT (id) DO NOTHING", (item.id, item.seq)
        )
        store.execute("INSERT INTO seen VALUES (?)", (item.id,))
        perhaps_die()  # stored and not acknowledged: it comes again


if __name__ == "__main__":
    url, station, group, member, database, seed = sys.argv[1:]
    # A member that died is taken over by another after so long.
    whole = Group(name=group, member=member, stale_ms=1000)
    asyncio.run(consume(url, station, whole, database, random.Random(seed)))
