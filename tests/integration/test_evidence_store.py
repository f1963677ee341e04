"""Pictures of units on a real disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.core.records import KeptFor, Result
from inspector.evidence.folder import BLOCK_BYTES
from inspector.evidence.store import MAX_WAITING
from tests.kit.evidence_kit import (
    GB,
    SMALL,
    files_in,
    is_as_told,
    kept_in,
    noise,
    path_of,
    subject,
)

DAY_NS = 86_400 * 1_000_000_000


def test_a_picture_is_on_the_disk_as_the_event_says(tmp_path: Path) -> None:
    picture = np.asarray(cv2.GaussianBlur(noise(256), (0, 0), 6), np.uint8)

    async def main() -> None:
        async with kept_in(tmp_path / "new" / "evidence") as kept:
            evidence = await kept.store.keep(picture.copy(), subject())
            assert evidence is not None
            assert is_as_told(evidence)
            assert (evidence.kind, evidence.camera) == ("unit", "left")
            day = f"{datetime.now(UTC):%Y-%m-%d}"
            assert path_of(evidence).parent == tmp_path / "new" / "evidence" / day
            seen = cv2.imread(str(path_of(evidence)))
            assert seen is not None
            assert np.abs(seen.astype(int) - picture).mean() < 3
            assert kept.gauge_bytes == -(-evidence.bytes // BLOCK_BYTES) * BLOCK_BYTES
            assert kept.failures == 0
            assert kept.changes == []

    asyncio.run(main(), debug=True)


def test_a_leased_frame_can_be_reused_at_once(tmp_path: Path) -> None:
    buffers = np.full((2, 120, 160, 3), 200, np.uint8)

    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            pending = [kept.store.keep(buffers[0], subject()) for _ in range(4)]
            buffers[0] = 0
            for evidence in await asyncio.gather(*pending):
                assert evidence is not None
                seen = cv2.imread(str(path_of(evidence)))
                assert seen is not None
                assert seen.min() > 190

    asyncio.run(main(), debug=True)


@pytest.mark.parametrize(
    "unit_id", ["../../etc/passwd", "/etc/passwd", "a\0b", "x" * 10_000, "板 7\n", "", ".", "-rf"]
)
def test_a_hostile_unit_id_stays_in_the_evidence_folder(tmp_path: Path, unit_id: str) -> None:
    async def main() -> None:
        async with kept_in(tmp_path / "evidence") as kept:
            evidence = await kept.store.keep(SMALL.copy(), subject(unit_id))
            assert evidence is not None
            assert is_as_told(evidence)
            assert path_of(evidence).is_relative_to(tmp_path / "evidence")
        assert len(files_in(tmp_path)) == 1

    asyncio.run(main(), debug=True)


def test_clock_jumps_choose_other_days_and_lose_nothing(tmp_path: Path) -> None:
    now_ns = time.time_ns()
    moments_ns = [now_ns, now_ns - 400 * DAY_NS, now_ns + 9000 * DAY_NS, -5, 0, 10**21, now_ns]

    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            for seen_unix_ns in moments_ns:
                evidence = await kept.store.keep(SMALL.copy(), subject(seen_unix_ns=seen_unix_ns))
                assert evidence is not None
                assert is_as_told(evidence)
        days = {name.partition("/")[0] for name in files_in(tmp_path)}
        assert {"1970-01-01", "9999-12-31", f"{datetime.now(UTC):%Y-%m-%d}"} < days
        assert len(days) == 5
        assert len(files_in(tmp_path)) == len(moments_ns)

    asyncio.run(main(), debug=True)


def test_a_picture_that_is_late_does_not_stay_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            await kept.writable()  # a busy disk may take its time for that
            kept.change(timeout_ms=1)
            started_s = time.monotonic()
            assert await kept.store.keep(noise(1500), subject()) is None
            assert time.monotonic() - started_s < 1
            assert kept.changes == [("disk", "evidence", True)]
            assert "within 1 ms" in kept.causes[0]
        assert files_in(tmp_path) == []
        assert kept.failures == 1
        assert kept.gauge_bytes == 0

    asyncio.run(main(), debug=True)


def test_a_picture_nobody_waits_for_any_more_is_not_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            first = kept.store.keep(noise(2000), subject())
            second = kept.store.keep(SMALL.copy(), subject())
            second.cancel()
            assert await first is not None
        assert len(files_in(tmp_path)) == 1

    asyncio.run(main(), debug=True)


def test_more_pictures_than_may_wait_are_refused_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            await kept.writable()
            first = kept.store.keep(noise(3000), subject())
            more = [kept.store.keep(SMALL.copy(), subject()) for _ in range(MAX_WAITING * 2)]
            refused = [pending for pending in more if pending.done()]
            assert MAX_WAITING - 1 <= len(refused) <= MAX_WAITING + 1
            assert kept.changes == [("disk", "evidence", True)]
            answers = await asyncio.gather(first, *more)
            assert sum(evidence is None for evidence in answers) == len(refused)
            assert kept.failures == len(refused)
            assert kept.changes[-1] == ("disk", "evidence", False)
        assert len(files_in(tmp_path)) == len(answers) - len(refused)

    asyncio.run(main(), debug=True)


def test_a_folder_that_cannot_be_written_is_a_fault_until_it_can(tmp_path: Path) -> None:
    directory = tmp_path / "evidence"
    directory.write_text("in the way")

    async def main() -> None:
        async with kept_in(directory) as kept:
            await kept.until(lambda: kept.changes == [("disk", "evidence", True)])
            assert await kept.store.keep(SMALL.copy(), subject()) is None
            assert kept.failures == 1
            assert str(directory) in kept.causes[0]
            directory.unlink()
            await kept.until(lambda: kept.changes[-1] == ("disk", "evidence", False))
            assert await kept.store.keep(SMALL.copy(), subject()) is not None
            assert len(kept.changes) == 2

    asyncio.run(main(), debug=True)


def test_a_picture_that_is_no_picture_costs_only_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            assert await kept.store.keep(np.zeros((0, 0, 3), np.uint8), subject()) is None
            assert await kept.store.keep(SMALL.copy(), subject()) is not None
            assert kept.failures == 1
            assert kept.changes == []

    asyncio.run(main(), debug=True)


def test_the_quota_is_kept_by_deleting_passed_first_then_the_oldest(tmp_path: Path) -> None:
    blocks = 12
    order = [Result.PASSED, Result.FAILED, Result.PASSED, Result.ERROR] * 10

    async def main() -> None:
        async with kept_in(tmp_path, quota_gb=blocks * BLOCK_BYTES / GB) as kept:
            for number, result in enumerate(order):
                asked = subject(str(number), result=result, seen_unix_ns=number * DAY_NS)
                assert await kept.store.keep(SMALL.copy(), asked) is not None
                assert kept.gauge_bytes <= blocks * BLOCK_BYTES

    asyncio.run(main(), debug=True)
    units = [name.split("_")[2] for name in files_in(tmp_path)]
    # Even numbers PASSED: each went for the next picture.
    assert units == [str(number) for number in range(len(order)) if number % 2][-blocks:]
    assert len(list(tmp_path.iterdir())) == blocks, "folders of days that are gone stay"


def test_pictures_near_a_threshold_keep_to_a_quota_of_their_own(tmp_path: Path) -> None:
    """Over two runs: their names say which they are."""
    blocks = 3

    async def main() -> None:
        for run in range(2):
            async with kept_in(tmp_path, near_quota_gb=blocks * BLOCK_BYTES / GB) as kept:
                await kept.until(lambda: kept.store._folder.is_scanned)
                for number in range(run * 5, run * 5 + 5):
                    near = subject(
                        f"near{number}",
                        result=Result.PASSED,
                        seen_unix_ns=number * DAY_NS,
                        kept_for=KeptFor.NEAR_THRESHOLD,
                    )
                    evidence = await kept.store.keep(SMALL.copy(), near)
                    assert evidence is not None
                    assert evidence.kept_for is KeptFor.NEAR_THRESHOLD
                    drawn = subject(f"drawn{number}", result=Result.PASSED, kept_for=KeptFor.SAMPLE)
                    assert await kept.store.keep(SMALL.copy(), drawn) is not None

    asyncio.run(main(), debug=True)
    units = [name.split("_")[2] for name in files_in(tmp_path)]
    assert sorted(u for u in units if u.startswith("near")) == ["near7", "near8", "near9"]
    assert sum(u.startswith("drawn") for u in units) == 10


def test_a_smaller_quota_is_met_after_a_start_before_the_next_picture(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            for number in range(10):
                asked = subject(str(number), seen_unix_ns=number)
                assert await kept.store.keep(SMALL.copy(), asked) is not None
        async with kept_in(tmp_path, quota_gb=4 * BLOCK_BYTES / GB) as kept:
            await kept.until(lambda: kept.store._folder.is_scanned)

    asyncio.run(main(), debug=True)
    assert sorted(name.split("_")[2] for name in files_in(tmp_path)) == list("6789")


def test_what_was_written_last_goes_last_whatever_the_clock_said(tmp_path: Path) -> None:
    """Ahead, right, a dead battery, right: over three runs, so that only the disk remembers."""
    blocks = 12
    month_ns, year_ns = 30 * DAY_NS, 365 * DAY_NS
    moments_ns = [month_ns, 0, -year_ns, 1]
    now_ns = time.time_ns()

    async def main() -> None:
        for run, offset_ns in enumerate(moments_ns):
            async with kept_in(tmp_path, quota_gb=blocks * BLOCK_BYTES / GB) as kept:
                for number in range(5):
                    seen_ns = now_ns + offset_ns + run * 1000 + number
                    with clock_at(seen_ns):
                        asked = subject(f"{run}{number}", seen_unix_ns=seen_ns)
                        assert await kept.store.keep(SMALL.copy(), asked) is not None
                await kept.until(lambda: kept.store._folder.is_scanned)

    asyncio.run(main(), debug=True)
    units = sorted(name.split("_")[2] for name in files_in(tmp_path))
    assert units == ["13", "14", *(f"{run}{n}" for run in (2, 3) for n in range(5))]


@contextmanager
def clock_at(unix_ns: int) -> Iterator[None]:
    """The wall clock as it is when a picture is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: unix_ns)
        yield


def test_a_picture_larger_than_the_quota_deletes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path, quota_gb=4 * BLOCK_BYTES / GB) as kept:
            small = await kept.store.keep(SMALL.copy(), subject())
            assert small is not None
            assert await kept.store.keep(noise(500), subject()) is None
            assert is_as_told(small)

    asyncio.run(main(), debug=True)


def test_pictures_of_the_last_run_are_known_and_left_overs_removed(tmp_path: Path) -> None:
    async def first_run() -> int:
        async with kept_in(tmp_path) as kept:
            for number in range(300):
                result = Result.PASSED if number % 3 else Result.FAILED
                asked = subject(str(number), result=result)
                assert await kept.store.keep(SMALL.copy(), asked) is not None
            return kept.gauge_bytes

    async def second_run(total_bytes: int) -> None:
        quota_gb = total_bytes / 2 / GB
        async with kept_in(tmp_path, quota_gb=quota_gb) as kept:
            await kept.until(lambda: kept.store._folder.is_scanned)
            await kept.until(lambda: 0 < kept.gauge_bytes <= total_bytes / 2)
            assert not left_over.exists()
            assert await kept.store.keep(SMALL.copy(), subject("new")) is not None
            assert kept.gauge_bytes <= total_bytes / 2
        names = files_in(tmp_path)
        assert sum("_FAILED_" in name for name in names) == 101
        assert "README" in names
        assert "2020-01-01/holiday.jpg" in names

    total_bytes = asyncio.run(first_run(), debug=True)
    day = next(tmp_path.iterdir())
    left_over = day / ".picture.jpg.part"
    left_over.write_bytes(b"half")
    (tmp_path / "README").write_text("not ours")
    (tmp_path / "2020-01-01").mkdir()
    (tmp_path / "2020-01-01" / "holiday.jpg").write_bytes(b"x" * 50_000)
    asyncio.run(second_run(total_bytes), debug=True)


def test_a_picture_taken_away_by_hand_disturbs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path, quota_gb=3 * BLOCK_BYTES / GB) as kept:
            first = await kept.store.keep(SMALL.copy(), subject())
            assert first is not None
            path_of(first).unlink()
            path_of(first).parent.rmdir()
            for _ in range(6):
                assert await kept.store.keep(SMALL.copy(), subject()) is not None
            assert kept.failures == 0
        assert len(files_in(tmp_path)) == 3

    asyncio.run(main(), debug=True)


def test_after_closing_nothing_is_kept_and_nobody_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept_in(tmp_path) as kept:
            pending = kept.store.keep(noise(600), subject())
            await kept.store.close(wait_s=20)
            assert (await pending) is not None, "what was asked before is still written"
            assert await kept.store.keep(SMALL.copy(), subject()) is None
        assert len(files_in(tmp_path)) == 1

    asyncio.run(main(), debug=True)
