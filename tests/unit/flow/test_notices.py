from __future__ import annotations

import asyncio
import threading

from inspector.core.records import CameraId, FrameRef, MissedFrame, MissReason
from inspector.flow.notices import Notices


def missed(camera: str, sequence: int) -> MissedFrame:
    ref = FrameRef(
        camera_id=CameraId(camera), sequence=sequence, captured_mono_ns=0, captured_unix_ns=0
    )
    return MissedFrame(ref=ref, reason=MissReason.LANE_FULL)


def test_reports_of_many_threads_all_arrive_in_the_order_of_each() -> None:
    async def main() -> None:
        reports = Notices()

        def report(camera: str) -> None:
            for sequence in range(500):
                reports.put(missed(camera, sequence))

        threads = [threading.Thread(target=report, args=(c,)) for c in "abc"]
        for thread in threads:
            thread.start()
        seen: dict[str, list[int]] = {"a": [], "b": [], "c": []}
        async with asyncio.timeout(10):
            for _ in range(1500):
                assert await reports.wait()
                one = reports.take()
                assert isinstance(one, MissedFrame)
                seen[one.ref.camera_id].append(one.ref.sequence)
        for thread in threads:
            thread.join()
        assert all(numbers == list(range(500)) for numbers in seen.values())

    asyncio.run(main(), debug=True)


def test_closing_lets_the_reader_finish_what_is_there() -> None:
    async def main() -> None:
        reports = Notices()
        reports.put(missed("a", 0))
        reports.close()
        assert await reports.wait()
        assert reports.take() == missed("a", 0)
        assert not await reports.wait()

    asyncio.run(main(), debug=True)


def test_a_reader_that_waits_learns_of_the_closing() -> None:
    async def main() -> None:
        reports = Notices()
        waiting = asyncio.create_task(reports.wait())
        await asyncio.sleep(0)
        reports.close()
        assert not await asyncio.wait_for(waiting, 1)

    asyncio.run(main(), debug=True)


def test_reporting_after_the_loop_is_gone_harms_nobody() -> None:
    async def main() -> Notices:
        return Notices()

    reports = asyncio.run(main(), debug=True)
    reports.put(missed("a", 0))
    assert len(reports._items) == 1
