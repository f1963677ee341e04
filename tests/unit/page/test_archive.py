"""What people read of the journal, while another thread goes on writing it."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ulid import ULID

from inspector.core.records import Event, EventGroup, Judgement, Stream
from inspector.journal.file import FILE_NAME
from inspector.journal.journal import Journal
from inspector.page import archive_rows
from inspector.page.archive import Archive, ArchiveUnreadableError
from inspector.page.archive_rows import UnitQuery
from inspector.reviews.standing import standing
from tests.kit.groups import group

NOW_S = time.time()


def unit(
    unit_id: str,
    result: str = "PASSED",
    *codes: str,
    camera: str = "top",
    at_s: float = 0.0,
    product: str = "default",
    order: str | None = None,
    kept_for: str = "sample",
) -> EventGroup:
    event_id = str(ULID.from_timestamp(NOW_S + at_s))
    seen = datetime.fromtimestamp(NOW_S + at_s, tz=UTC).isoformat()
    body = {
        "id": event_id,
        "camera": camera,
        "unit": {"id": unit_id},
        "defects": [{"id": str(ULID()), "code": code} for code in codes],
        "timing_ms": {"trigger_to_verdict": 200.0},
        "deadline_met": True,
        "product": {"name": product, "revision": "1"},
        "order": order,
        "evidence": [{"kind": "unit", "kept_for": kept_for}],
        "nearest": {"code": "spur", "confidence": 0.45} if result == "PASSED" else None,
    }
    return group(Event(
        stream=Stream.UNITS, id=event_id, schema="inspector.unit/1", time=seen,
        unit_id=unit_id, result=result, body=body,
    ))  # fmt: skip


def review(
    of: EventGroup, judgement: Judgement, defect_id: str | None = None, **more: str
) -> EventGroup:
    said, event_id = datetime.now(UTC).isoformat(), str(ULID())
    body = {
        "id": event_id, "time": said, "unit_event_id": of.events[0].id, "result": judgement.value,
        "defect_id": defect_id, "code": None, **more,
    }  # fmt: skip
    return group(Event(
        stream=Stream.REVIEWS, id=event_id, schema="inspector.review/1", time=said,
        unit_id=of.events[0].unit_id, result=judgement.value, body=body,
    ))  # fmt: skip


@asynccontextmanager
async def opened(folder: Path):
    journal = Journal.open(folder, retention_s=86_400.0)
    archive = Archive(folder)
    try:
        yield journal, archive
    finally:
        archive.close()
        journal.close()


def in_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work, debug=True)


async def found(archive: Archive, **query) -> list[int]:
    return [row.seq for row in (await archive.units(UnitQuery(**query))).units]


def test_a_clock_that_was_ahead_takes_no_figures_of_today_away(tmp_path):
    async def main() -> None:
        ahead_s = [0.0]
        async with opened(tmp_path) as (journal, _):
            archive = Archive(tmp_path, now_s=lambda: time.time() + ahead_s[0])
            now_s = time.time()
            await journal.append([unit(f"u{n}", at_s=now_s - NOW_S) for n in range(5)])
            counted = []
            for days in (0, 30, 0, -400, 0):
                ahead_s[0] = days * 86_400.0
                counted.append(await archive.figures(lambda f, _: f.totals(now_s - 60, now_s + 60)))
            archive.close()
        assert [counted[n].units for n in (0, 2, 4)] == [5, 5, 5]

    in_loop(main())


def test_units_come_newest_first_and_page_by_page(tmp_path):
    async def main() -> None:
        async with opened(tmp_path) as (journal, archive):
            await journal.append([unit(f"u{n}") for n in range(1, 6)])
            page = await archive.units(UnitQuery(limit=2))
            assert [row.seq for row in page.units] == [5, 4]
            assert page.next_before_seq == 4
            page = await archive.units(UnitQuery(limit=2, before_seq=4))
            assert [row.seq for row in page.units] == [3, 2]
            page = await archive.units(UnitQuery(limit=2, before_seq=page.next_before_seq))
            assert ([row.seq for row in page.units], page.next_before_seq) == ([1], None)

    in_loop(main())


def test_filters_look_at_result_code_camera_and_name(tmp_path):
    async def main() -> None:
        async with opened(tmp_path) as (journal, archive):
            await journal.append(
                [
                    unit("PCB-1"),
                    unit("PCB-2", "FAILED", "open", "short"),
                    unit("pcb-22", "FAILED", "spur", camera="side"),
                    unit('"code":"short"', "NOT_INSPECTED"),
                ]
            )
            assert await found(archive, result="FAILED") == [3, 2]
            assert await found(archive, code="short") == [2]
            assert await found(archive, code="sho") == []
            # What came near in a unit that PASSED is none of its defects.
            assert await found(archive, code="spur") == [3]
            assert await found(archive, camera="side") == [3]
            assert await found(archive, text="pcb-2") == [3, 2]
            assert await found(archive, text="CODE") == [4]
            assert await found(archive, result="FAILED", code="spur", camera="top") == []

    in_loop(main())


def test_filters_look_at_product_and_order_as_a_whole(tmp_path):
    async def main() -> None:
        async with opened(tmp_path) as (journal, archive):
            await journal.append(
                [
                    unit("u1", product="board", order="88"),
                    unit("u2", product="board 2", order="8"),
                    unit("u3", product='a "b"/c'),
                    unit("board", "FAILED", "88"),
                ]
            )
            assert await found(archive, product="board") == [1]
            assert await found(archive, product='a "b"/c') == [3]
            assert await found(archive, order="8") == [2]
            assert await found(archive, order="88") == [1]
            assert await found(archive, product="default") == [4]
            assert await found(archive, product="b") == []

    in_loop(main())


def test_a_rare_result_is_looked_for_in_bounded_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_rows, "ROWS_READ_PER_CALL", 10)

    async def main() -> None:
        async with opened(tmp_path) as (journal, archive):
            await journal.append([unit("rare", "ERROR"), *(unit(f"u{n}") for n in range(24))])
            before, calls = None, 0
            while True:
                page = await archive.units(UnitQuery(result="ERROR", before_seq=before))
                before, calls = page.next_before_seq, calls + 1
                if page.units or before is None:
                    break
            assert ([row.seq for row in page.units], before, calls) == ([1], None, 3)

    in_loop(main())


def test_a_unit_is_found_by_its_id_wherever_the_clock_stood(tmp_path):
    async def main() -> None:
        async with opened(tmp_path) as (journal, archive):
            early, now, late = unit("a", at_s=-90_000), unit("b"), unit("c", at_s=90_000)
            await journal.append([early, now, late])
            for seq, of in enumerate((early, now, late), start=1):
                row = await archive.unit(of.events[0].id)
                assert row is not None
                assert row.seq == seq
            assert await archive.unit(str(ULID())) is None

    in_loop(main())


def test_figures_count_what_was_journaled_before_a_restart_and_what_comes_after(tmp_path):
    async def main() -> None:
        async with opened(tmp_path) as (journal, _):
            await journal.append([unit("a"), unit("b", "FAILED", "open", "open", "spur")])
        async with opened(tmp_path) as (journal, archive):

            async def totals():
                return await archive.figures(lambda f, _: f.totals(NOW_S - 120, NOW_S + 120))

            first = await totals()
            assert (first.results, first.codes) == (
                {"PASSED": 1, "FAILED": 1},
                {"open": 2, "spur": 1},
            )
            await journal.append([unit("c")])
            assert (await totals()).results == {"PASSED": 2, "FAILED": 1}
            assert (await totals()).results == {"PASSED": 2, "FAILED": 1}

    in_loop(main())


def test_of_second_looks_the_latest_on_a_matter_counts(tmp_path):
    async def main() -> None:
        async with opened(tmp_path) as (journal, archive):
            bad = unit("bad", "FAILED", "open")
            await journal.append([bad, review(bad, Judgement.CONFIRMED)])
            await journal.append([review(bad, Judgement.FALSE_CALL, "d1")])
            await journal.append([review(bad, Judgement.FALSE_CALL)])
            reviews = await archive.reviews_of([bad.events[0].id, "other"])
            assert reviews["other"] == ()
            assert [r.judgement for r in reviews[bad.events[0].id]] == [
                Judgement.CONFIRMED,
                Judgement.FALSE_CALL,
                Judgement.FALSE_CALL,
            ]
            assert {r.defect_id: r.judgement for r in standing(reviews[bad.events[0].id])} == {
                None: Judgement.FALSE_CALL,
                "d1": Judgement.FALSE_CALL,
            }
            counted = await archive.figures(lambda _, b: [x.judgement for u in b.held() for x in u])
            assert counted == [Judgement.FALSE_CALL, Judgement.FALSE_CALL]

    in_loop(main())


def test_filters_look_at_time_at_why_a_picture_was_kept_and_at_reviews(tmp_path):
    async def main() -> None:
        async with opened(tmp_path) as (journal, archive):
            units = [unit("a", at_s=-60), unit("b", kept_for="near_threshold"), unit("c", at_s=60)]
            await journal.append(units)
            times = [one.events[0].time for one in units]
            assert await found(archive, since=times[1]) == [3, 2]
            assert await found(archive, until=times[1]) == [1]
            assert await found(archive, kept_for="near_threshold") == [2]
            assert await found(archive, reviewed=False) == [3, 2, 1]
            said = review(units[1], Judgement.CONFIRMED)
            await journal.append([said])
            assert await found(archive, reviewed=True) == [2]
            assert await found(archive, reviewed=False) == [3, 1]
            taken_back = {"takes_back": said.events[0].id}
            await journal.append([review(units[1], Judgement.WITHDRAWN, **taken_back)])
            assert await found(archive, reviewed=True) == []

    in_loop(main())


def test_reading_never_writes_and_a_journal_that_is_gone_is_an_error_for_now(tmp_path):
    async def main() -> None:
        archive = Archive(tmp_path)
        with pytest.raises(ArchiveUnreadableError, match="the journal cannot be read"):
            await archive.units(UnitQuery())
        assert not (tmp_path / FILE_NAME).exists()
        async with opened(tmp_path) as (journal, _):
            await journal.append([unit("a")])
            assert await found(archive) == [1]
        archive.close()

    in_loop(main())
