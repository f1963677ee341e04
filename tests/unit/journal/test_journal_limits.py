"""A journal that may not grow any further, and one that was damaged."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from inspector.core.entries import NOTHING, Tip
from inspector.core.records import Stream
from inspector.journal.file import FILE_NAME, salvage
from inspector.journal.journal import Journal
from tests.kit.groups import group
from tests.unit.journal.test_journal import Clocks, event, in_loop, open_journal, unit_number

LIMIT_BYTES = 200_000


class Faults:
    """What the journal says is wrong with it."""

    def __init__(self) -> None:
        self.said: list[str | None] = []
        self.stands = asyncio.Event()

    def __call__(self, cause: str | None) -> None:
        self.said.append(cause)
        if cause is None:
            self.stands.clear()
        else:
            self.stands.set()


async def fill(journal: Journal, faults: Faults, first: int = 0) -> tuple[int, asyncio.Task[None]]:
    """Append one by one; the number of the event that is not taken, and who waits with it."""
    full = asyncio.create_task(faults.stands.wait())
    for number in range(first, first + 100_000):
        appending = asyncio.create_task(journal.append([group(event(number))]))
        await asyncio.wait({appending, full}, return_when=asyncio.FIRST_COMPLETED)
        if full.done():
            assert not appending.done()
            return number, appending
        appending.result()
    pytest.fail("it was never full")


def test_a_full_journal_makes_verdicts_wait_until_redis_takes_some(tmp_path: Path):
    async def main() -> None:
        faults = Faults()
        journal = open_journal(tmp_path, limit_bytes=LIMIT_BYTES, on_fault=faults)
        number, waiting = await fill(journal, faults)
        assert number > 100
        assert len(faults.said) == 1
        assert f"with {number} events that Redis has not taken" in str(faults.said[0])
        assert "journal.max_gb" in str(faults.said[0])
        assert LIMIT_BYTES <= journal.used_bytes < LIMIT_BYTES + 50_000

        # Redis is back: in this order, or the journal could never be emptied again.
        while rows := await journal.main.pending(100):
            await journal.main.mark_published(rows)
            if waiting.done():
                break
        await asyncio.wait_for(waiting, 10)
        assert faults.said[1:] == [None]
        rest = await journal.main.pending(100_000)
        assert [row.seq for row in rest][-1] == number + 1
        assert journal.used_bytes < LIMIT_BYTES
        journal.close()

    in_loop(main)


def test_a_nearly_full_journal_gives_up_what_redis_has_and_nothing_else(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks()
        journal = open_journal(tmp_path, limit_bytes=LIMIT_BYTES, read_clocks=clocks)
        count = 0
        while count < 6000:  # several times what it holds
            await journal.append([group(event(count + n)) for n in range(100)])
            count += 100
            clocks.pass_by(10)
            await journal.main.mark_published(await journal.main.pending(100))
            assert journal.used_bytes < LIMIT_BYTES
        assert 0 < journal.reach_s < 0.6
        refill = await journal.main.reopen_after(Stream.UNITS, Tip(last_id=NOTHING, seq=0))
        again = await journal.main.pending(100_000)
        assert refill.gone + refill.events == 6000
        assert refill.events == len(again) > 200
        assert [row.seq for row in again] == list(range(refill.gone + 1, 6001))
        journal.close()

    in_loop(main)


def test_a_full_journal_is_a_full_journal_after_a_restart_too(tmp_path: Path):
    async def main() -> None:
        faults = Faults()
        journal = open_journal(tmp_path, limit_bytes=LIMIT_BYTES, on_fault=faults)
        number, waiting = await fill(journal, faults)
        waiting.cancel()
        await asyncio.wait({waiting})
        journal.close()
        faults = Faults()
        journal = open_journal(tmp_path, limit_bytes=LIMIT_BYTES, on_fault=faults)
        again, waiting = await fill(journal, faults, number)
        assert again == number
        assert [row.seq for row in await journal.main.pending(100_000)] == list(
            range(1, number + 1)
        )
        waiting.cancel()
        await asyncio.wait({waiting})
        journal.close()

    in_loop(main)


def scribble_from(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset:] = b"\x5a" * (len(content) - offset)
    path.write_bytes(content)


def test_numbers_are_read_out_of_a_damaged_journal(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path, counters_of=unit_number)
        await journal.keep_notes({"job": "a"})
        # The counters come first in the file, then the notes, the events after them.
        await journal.append([group(event(n + 1)) for n in range(400)])
        journal.close()
        scribble_from(tmp_path / FILE_NAME, 60_000)
        damaged = (tmp_path / FILE_NAME).read_bytes()
        journal = open_journal(tmp_path)
        assert journal.set_aside is not None
        assert journal.is_new
        assert (journal.counter("unit"), journal.note("job")) == (400, "a")
        assert journal.set_aside.read_bytes() == damaged
        assert await journal.main.pending(10) == []
        journal.close()

    in_loop(main)


def test_a_file_of_rubbish_has_no_numbers(tmp_path: Path):
    (tmp_path / "aside").write_bytes(b"\x00\x01rubbish" * 5000)
    assert salvage(tmp_path / "aside") == ({}, {})
    assert salvage(tmp_path / "nothing") == ({}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["aside"]


def test_a_file_that_heals_does_not_say_that_a_full_journal_has_room(tmp_path: Path):
    async def main() -> None:
        faults = Faults()
        journal = open_journal(tmp_path, limit_bytes=LIMIT_BYTES, on_fault=faults)
        _, waiting = await fill(journal, faults)
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(20):
            while "cannot be written" not in str(faults.said[-1]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            other.close()
            while "cannot be written" in str(faults.said[-1]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert not waiting.done()
        assert "is full" in str(faults.said[-1])
        waiting.cancel()
        await asyncio.wait({waiting})
        journal.close()

    in_loop(main)


def test_what_was_decided_before_a_stop_is_kept_beyond_the_limit(tmp_path: Path):
    async def main() -> None:
        faults = Faults()
        journal = open_journal(tmp_path, limit_bytes=LIMIT_BYTES, on_fault=faults)
        number, waiting = await fill(journal, faults)
        journal.take_the_rest()
        await asyncio.wait_for(waiting, 10)
        assert len(await journal.main.pending(100_000)) == number + 1
        journal.close()

    in_loop(main)
