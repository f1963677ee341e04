import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from inspector.core.entries import NOTHING, StreamId, Tip
from inspector.core.errors import ConfigurationError, FatalError
from inspector.core.records import Event, EventGroup, Stream
from inspector.journal.file import FILE_NAME
from inspector.journal.journal import Journal
from inspector.journal.station_time import Reading
from tests.kit.groups import group

DAY_S = 86_400.0


def event(number: int, stream: Stream = Stream.UNITS) -> Event:
    return Event(
        stream=stream,
        id=f"{stream.value}-{number}",
        schema="inspector.unit/1",
        time="2026-01-02T03:04:05+00:00",
        unit_id=f"unit-{number}",
        result="PASSED",
        body={"id": f"{stream.value}-{number}", "unit": {"number": number}},
    )


def unit_with_defect(number: int) -> EventGroup:
    return group(event(number), event(number, Stream.DEFECTS))


def unit_number(of: EventGroup) -> dict[str, int]:
    return {"unit": max(e.body["unit"]["number"] for e in of.events)}


class Clocks:
    """A machine's clocks: time passes on both; `unix_ms` can be set, as NTP or a person does."""

    def __init__(self, unix_ms: int = 1_000_000) -> None:
        self.unix_ms = unix_ms
        self.boot_ms = 5_000
        self.boot_id = "first"
        self.is_synchronised = False

    def pass_by(self, ms: int) -> None:
        self.unix_ms += ms
        self.boot_ms += ms

    def __call__(self) -> Reading:
        return Reading(
            boot_id=self.boot_id,
            boot_ms=self.boot_ms,
            unix_ms=self.unix_ms,
            is_synchronised=self.is_synchronised,
        )


def open_journal(folder: Path, *, retention_s: float = DAY_S, **options: Any) -> Journal:
    return Journal.open(folder, retention_s=retention_s, **options)


def in_loop(work: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(work(), debug=True)


def test_events_are_numbered_per_stream_without_gaps(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        await journal.append([unit_with_defect(1), group(event(2))])
        await journal.append([unit_with_defect(3)])
        rows = await journal.main.pending(10)
        journal.close()
        assert [(r.stream, r.seq, r.unit_id) for r in rows] == [
            (Stream.UNITS, 1, "unit-1"),
            (Stream.DEFECTS, 1, "unit-1"),
            (Stream.UNITS, 2, "unit-2"),
            (Stream.UNITS, 3, "unit-3"),
            (Stream.DEFECTS, 2, "unit-3"),
        ]

    in_loop(main)


def test_numbers_and_ids_go_on_after_a_restart_even_if_the_clock_went_back(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks()
        journal = open_journal(tmp_path, read_clocks=clocks)
        await journal.append([group(event(1)), group(event(2))])
        journal.close()
        clocks.unix_ms -= 500_000
        journal = open_journal(tmp_path, read_clocks=clocks)
        await journal.append([group(event(3))])
        clocks.unix_ms += 900_000
        await journal.append([group(event(4))])
        rows = await journal.main.pending(10)
        journal.close()
        assert [r.seq for r in rows] == [1, 2, 3, 4]
        assert [str(r.entry_id) for r in rows] == [
            "1000000-0",
            "1000000-1",
            "1000000-2",
            "1400000-0",
        ]

    in_loop(main)


def test_what_is_published_is_no_longer_pending(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks()
        journal = open_journal(tmp_path, read_clocks=clocks)
        assert journal.main.oldest_pending_age_s == 0.0
        await journal.append([unit_with_defect(n) for n in range(5)])
        clocks.pass_by(3_000)
        rows = await journal.main.pending(4)
        await journal.main.mark_published(rows)
        assert journal.main.pending_count == 6
        assert journal.main.oldest_pending_age_s == 3.0
        assert journal.main.delivered[Stream.UNITS] == rows[2].entry_id
        assert journal.main.delivered[Stream.HEALTH] == NOTHING
        await journal.main.mark_published(await journal.main.pending(100))
        assert await journal.main.pending(100) == []
        assert journal.main.pending_count == 0
        journal.close()

    in_loop(main)


def test_the_unit_number_is_kept_with_its_group_and_never_goes_back(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path, counters_of=unit_number)
        assert journal.counter("unit") == 0
        await journal.append([group(event(7)), group(event(5))])
        assert journal.counter("unit") == 7
        journal.close()
        journal = open_journal(tmp_path)
        assert journal.counter("unit") == 7
        journal.close()

    in_loop(main)


def test_what_a_group_brings_is_kept_with_it_and_with_what_is_noted_besides(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path, counters_of=unit_number)
        assert journal.note("job") is None
        first = group(event(3), counters={"units:top": 3}, notes={"job": "a", "position": "1-0"})
        await journal.append([first, group(event(4), notes={"job": "b"})])
        assert (journal.counter("units:top"), journal.counter("unit")) == (3, 4)
        assert (journal.note("job"), journal.note("position")) == ("b", "1-0")
        journal.close()
        journal = open_journal(tmp_path)
        assert (journal.note("job"), journal.note("position")) == ("b", "1-0")
        await journal.keep_notes({"position": "2-0"})
        assert journal.note("position") == "2-0"
        journal.close()

    in_loop(main)


def test_a_group_that_cannot_be_kept_leaves_no_note(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        good = group(event(1), notes={"job": "a"})
        bad = group(event(2), notes={"job": "b"}, counters={"n": 2**70})
        with pytest.raises(OverflowError):
            await journal.append([good, bad])
        assert (journal.note("job"), journal.main.pending_count) == (None, 0)
        journal.close()

    in_loop(main)


def test_a_journal_of_before_there_were_notes_is_read_on(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path, counters_of=unit_number)
        await journal.append([unit_with_defect(7)])
        journal.close()
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
            file.execute("DROP TABLE notes")
        journal = open_journal(tmp_path)
        assert journal.note("job") is None
        await journal.append([group(event(8), notes={"job": "a"})])
        assert (journal.note("job"), journal.counter("unit")) == ("a", 7)
        assert [row.unit_id for row in await journal.main.pending(10)] == [
            "unit-7",
            "unit-7",
            "unit-8",
        ]
        journal.close()

    in_loop(main)


def test_a_bad_event_keeps_its_own_groups_out_and_no_others(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        bad = Event(
            stream=Stream.UNITS,
            id="x",
            schema="s",
            time="t",
            unit_id="",
            result="",
            body={"seq": 1},
        )
        with pytest.raises(ValueError, match="seq"):
            await journal.append([unit_with_defect(1), group(bad)])
        await journal.append([unit_with_defect(2)])
        rows = await journal.main.pending(10)
        journal.close()
        assert [(r.unit_id, r.seq) for r in rows] == [("unit-2", 1), ("unit-2", 1)]

    in_loop(main)


def test_groups_that_wait_together_are_all_journaled_whole(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        await asyncio.gather(*(journal.append([unit_with_defect(n)]) for n in range(300)))
        rows = await journal.main.pending(1000)
        journal.close()
        assert [r.unit_id for r in rows] == [f"unit-{n}" for n in range(300) for _ in range(2)]
        assert orjson.loads(rows[-1].body) == event(299, Stream.DEFECTS).body

    in_loop(main)


def test_only_old_delivered_events_are_pruned(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks()
        journal = open_journal(tmp_path, retention_s=3600.0, read_clocks=clocks)
        await journal.append([group(event(n)) for n in range(600)])
        await journal.main.mark_published(await journal.main.pending(500))
        assert await journal.main.trim_floor(Stream.UNITS, 3600.0) is None
        clocks.pass_by(3600 * 1000)
        floor = await journal.main.trim_floor(Stream.UNITS, 60.0)
        assert floor == StreamId(1_000_000, 0)
        for _ in range(5):
            clocks.pass_by(3600 * 1000)
            await journal.append([group(event(1000 + clocks.boot_ms))])
        rows = await journal.main.pending(1000)
        floor = await journal.main.trim_floor(Stream.UNITS, 3600.0)
        assert [r.seq for r in rows] == list(range(501, 606))
        assert floor == rows[0].entry_id
        # Everything delivered is gone by now, so a Redis that came back empty gets the rest only.
        refill = await journal.main.reopen_after(Stream.UNITS, Tip(last_id=NOTHING))
        assert refill.events == 0
        journal.close()

    in_loop(main)


def test_a_redis_that_lost_events_gets_exactly_those_again(tmp_path: Path):
    async def main() -> None:
        journal = open_journal(tmp_path)
        await journal.append([group(event(n)) for n in range(10)])
        rows = await journal.main.pending(8)
        await journal.main.mark_published(rows)
        refill = await journal.main.reopen_after(
            Stream.UNITS, Tip(last_id=rows[2].entry_id, event_id=rows[2].event_id, seq=3)
        )
        assert (refill.events, refill.gone) == (5, 0)
        again = await journal.main.pending(100)
        assert [r.seq for r in again] == [4, 5, 6, 7, 8, 9, 10]
        assert [r.entry_id for r in again[:5]] == [r.entry_id for r in rows[3:]]
        journal.close()

    in_loop(main)


def test_pending_events_can_follow_a_strangers_entry(tmp_path: Path):
    async def main() -> None:
        clocks = Clocks()
        journal = open_journal(tmp_path, read_clocks=clocks)
        await journal.append([group(event(n)) for n in range(4)])
        await journal.main.mark_published(await journal.main.pending(1))
        tip = Tip(last_id=StreamId(9_000_000, 3), seq=40)
        assert await journal.main.continue_after(Stream.UNITS, tip) == 3
        await journal.append([group(event(9))])
        rows = await journal.main.pending(10)
        assert [(r.seq, str(r.entry_id), r.unit_id) for r in rows] == [
            (41, "9000000-4", "unit-1"),
            (42, "9000000-5", "unit-2"),
            (43, "9000000-6", "unit-3"),
            (44, "9000000-7", "unit-9"),
        ]
        assert journal.main.pending_count == 4
        journal.close()

    in_loop(main)


def test_a_second_inspector_is_refused_with_one_line(tmp_path: Path):
    journal = open_journal(tmp_path)
    with pytest.raises(FatalError, match=f"another inspector runs.*{os.getpid()}") as refused:
        open_journal(tmp_path)
    assert "\n" not in str(refused.value)
    journal.close()
    open_journal(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_a_configuration_error(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigurationError, match=r"journal\.directory.*cannot be written"):
        open_journal(tmp_path / "file")


def test_a_journal_of_a_newer_inspector_is_left_alone(tmp_path: Path):
    with sqlite3.connect(tmp_path / FILE_NAME) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(ConfigurationError, match="version 99"):
        open_journal(tmp_path)


def scribble_header(path: Path) -> None:
    path.write_bytes(b"this is no database at all" * 100)


def scribble_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [scribble_header, scribble_pages])
def test_a_damaged_journal_is_set_aside_and_kept(tmp_path: Path, damage: Callable[[Path], None]):
    async def main() -> None:
        journal = open_journal(tmp_path)
        await journal.append([group(event(n)) for n in range(50)])
        journal.close()
        damage(tmp_path / FILE_NAME)
        damaged = (tmp_path / FILE_NAME).read_bytes()
        journal = open_journal(tmp_path)
        assert journal.set_aside is not None
        assert journal.set_aside.read_bytes() == damaged
        await journal.append([group(event(1))])
        assert [r.seq for r in await journal.main.pending(10)] == [1]
        journal.close()

    in_loop(main)


def test_damage_met_while_running_stops_the_process_and_is_looked_for_at_the_next_start(
    tmp_path: Path,
):
    async def main() -> None:
        journal = open_journal(tmp_path)
        for first in range(0, 1000, 100):
            await journal.append([group(event(n)) for n in range(first, first + 100)])
        journal.close()
        journal = open_journal(tmp_path)
        scribble_pages(tmp_path / FILE_NAME)
        # Forget the pages read at start, as a larger journal would.
        await journal._thread.run(lambda c: c.execute("PRAGMA shrink_memory").fetchall())
        with pytest.raises(FatalError, match="cannot be used"):
            await journal.main.pending(1000)
        journal.close()
        journal = open_journal(tmp_path)
        assert journal.set_aside is not None
        journal.close()

    in_loop(main)


def test_a_full_disk_makes_append_wait_and_is_reported(tmp_path: Path):
    async def main() -> None:
        faults: list[str | None] = []
        reported = asyncio.Event()

        def on_fault(cause: str | None) -> None:
            faults.append(cause)
            reported.set()

        journal = open_journal(tmp_path, on_fault=on_fault)
        await journal.append([group(event(0))])
        await journal._thread.run(lambda c: c.execute("PRAGMA max_page_count = 20").fetchone())
        appending = asyncio.gather(*(journal.append([unit_with_defect(n)]) for n in range(1, 400)))
        await asyncio.wait_for(reported.wait(), 10)
        assert "full" in str(faults[0])
        reported.clear()
        # Room comes from outside, as on a real disk: through the same connection it would wait.
        journal._thread._connection.execute("PRAGMA max_page_count = 100000").fetchone()
        await asyncio.wait_for(appending, 10)
        await asyncio.wait_for(reported.wait(), 10)
        assert faults[-1] is None
        rows = await journal.main.pending(1000)
        assert [r.seq for r in rows if r.stream is Stream.UNITS] == list(range(1, 401))
        assert journal.main.pending_count == len(rows) == 799
        journal.close()

    in_loop(main)


CHILD = """
import asyncio, sys
from pathlib import Path
from typing import Any
sys.path.insert(0, {root!r})
from tests.unit.journal.test_journal import open_journal, unit_with_defect, unit_number

async def main():
    journal = open_journal(Path({folder!r}), counters_of=unit_number)
    first = journal.counter("unit") + 1
    for number in range(first, first + 100_000, 3):
        await journal.append([unit_with_defect(n) for n in range(number, number + 3)])
        print(number + 2, flush=True)

asyncio.run(main())
"""


def acknowledged_until_killed(folder: Path, after: int) -> int:
    code = CHILD.format(root=str(Path(__file__).parents[3]), folder=str(folder))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    last = 0
    with child.stdout as lines:
        for count, line in enumerate(lines):
            last = int(line)
            if count == after:
                child.send_signal(signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    return last


def test_kill_9_loses_nothing_acknowledged_and_splits_no_group(tmp_path: Path):
    async def check(acknowledged: int) -> None:
        journal = open_journal(tmp_path)
        rows = await journal.main.pending(1_000_000)
        assert numbers(rows, Stream.UNITS) == numbers(rows, Stream.DEFECTS)
        assert (
            len(rows) // 2
            >= acknowledged
            == journal.counter("unit") - (len(rows) // 2 - acknowledged)
        )
        journal.close()

    def numbers(rows: Sequence[object], stream: Stream) -> list[tuple[int, str]]:
        found = [(r.seq, r.unit_id) for r in rows if r.stream is stream]  # type: ignore[attr-defined]
        assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
        return found

    for after in (5, 40):
        acknowledged = acknowledged_until_killed(tmp_path, after)
        asyncio.run(check(acknowledged), debug=True)
