from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.core.records import CameraId, Frame, FrameRef, Image, MissReason
from inspector.flow.inbox import FrameInbox, Lane

A, B = CameraId("a"), CameraId("b")


class NoLease:
    @property
    def image(self) -> Image:
        return np.zeros((1, 1, 3), np.uint8)

    def release(self) -> None:
        pass


def frame(camera: CameraId, sequence: int, captured_ns: int = 0) -> Frame:
    ref = FrameRef(
        camera_id=camera, sequence=sequence, captured_mono_ns=captured_ns, captured_unix_ns=0
    )
    return Frame(ref=ref, lease=NoLease())


Dropped = list[tuple[int, MissReason]]


def inbox_of(*cameras: CameraId, **policy: object) -> tuple[FrameInbox, Dropped]:
    dropped: Dropped = []
    lane = Lane(**{"capacity": 2, "max_age_ns": None, **policy})  # type: ignore[arg-type]
    inbox = FrameInbox(
        dict.fromkeys(cameras, lane), on_drop=lambda f, why: dropped.append((f.ref.sequence, why))
    )
    return inbox, dropped


def in_loop(test: Callable[[], None]) -> None:
    async def main() -> None:
        test()

    asyncio.run(main(), debug=True)


def taken(inbox: FrameInbox, now_ns: int = 0) -> list[tuple[str, int]]:
    frames = iter(lambda: inbox.take(now_ns), None)
    return [(f.ref.camera_id, f.ref.sequence) for f in frames]


def test_a_full_lane_gives_up_its_oldest_frame() -> None:
    def test() -> None:
        inbox, dropped = inbox_of(A)
        for sequence in range(5):
            inbox.offer(frame(A, sequence))
        assert dropped == [(n, MissReason.LANE_FULL) for n in (0, 1, 2)]
        assert taken(inbox) == [("a", 3), ("a", 4)]

    in_loop(test)


def test_cameras_take_turns_however_many_frames_one_has() -> None:
    def test() -> None:
        inbox, _ = inbox_of(A, B, capacity=5)
        for sequence in range(4):
            inbox.offer(frame(A, sequence))
        inbox.offer(frame(B, 0))
        assert taken(inbox)[:3] in (
            [("a", 0), ("b", 0), ("a", 1)],
            [("b", 0), ("a", 0), ("a", 1)],
        )

    in_loop(test)


def test_frames_older_than_the_lane_allows_are_given_up_when_their_turn_comes() -> None:
    def test() -> None:
        inbox, dropped = inbox_of(A, max_age_ns=100, capacity=4)
        for sequence in range(4):
            inbox.offer(frame(A, sequence, captured_ns=sequence * 50))
        assert taken(inbox, now_ns=200) == [("a", 2), ("a", 3)]
        assert dropped == [(0, MissReason.STALE), (1, MissReason.STALE)]

    in_loop(test)


def test_it_ends_when_every_camera_is_done_and_nothing_waits() -> None:
    def test() -> None:
        inbox, _ = inbox_of(A, B)
        inbox.offer(frame(A, 0))
        inbox.close_lane()
        assert not inbox.ended
        inbox.close_lane()
        assert not inbox.ended
        assert len(taken(inbox)) == 1
        assert inbox.ended

    in_loop(test)


def test_a_frame_still_being_offered_when_its_lane_closes_is_not_lost() -> None:
    async def main() -> None:
        inbox, _ = inbox_of(A, waits=True, capacity=1)
        inbox.offer(frame(A, 0))
        thread = threading.Thread(target=inbox.offer, args=(frame(A, 1),))
        thread.start()
        while not inbox._offering:  # noqa: ASYNC110 - a thread has no event
            await asyncio.sleep(0.001)
        inbox.close_lane()
        assert inbox.take(0) is not None
        assert not inbox.ended
        while (late := inbox.take(0)) is None:
            await inbox.wait(0.01)
        assert late.ref.sequence == 1
        assert inbox.ended
        thread.join()

    asyncio.run(main(), debug=True)


def test_a_lane_that_waits_holds_its_thread_back_and_loses_nothing() -> None:
    async def main() -> list[int]:
        inbox, dropped = inbox_of(A, waits=True, capacity=2)

        def play() -> None:
            for sequence in range(200):
                inbox.offer(frame(A, sequence))
                assert len(inbox) <= 2
            inbox.close_lane()

        thread = threading.Thread(target=play)
        thread.start()
        seen = []
        while not inbox.ended:
            await inbox.wait(1)
            if (one := inbox.take(0)) is not None:
                seen.append(one.ref.sequence)
        thread.join()
        assert not dropped
        return seen

    assert asyncio.run(main(), debug=True) == list(range(200))


def test_a_thread_waiting_for_room_is_let_go_when_the_loop_is_gone() -> None:
    async def main() -> threading.Thread:
        inbox, _ = inbox_of(A, waits=True, capacity=1)
        inbox.offer(frame(A, 0))
        thread = threading.Thread(target=inbox.offer, args=(frame(A, 1),), daemon=True)
        thread.start()
        return thread

    thread = asyncio.run(main(), debug=True)
    thread.join(5)
    assert not thread.is_alive()


def test_many_threads_and_one_reader_account_for_every_frame() -> None:
    async def main() -> None:
        cameras = [CameraId(f"c{i}") for i in range(4)]
        inbox, dropped = inbox_of(*cameras, capacity=3)

        def play(camera: CameraId) -> None:
            for sequence in range(500):
                inbox.offer(frame(camera, sequence))
            inbox.close_lane()

        threads = [threading.Thread(target=play, args=(c,)) for c in cameras]
        for thread in threads:
            thread.start()
        seen: list[tuple[str, int]] = []
        async with asyncio.timeout(20):
            while not inbox.ended:
                await inbox.wait()
                seen += taken(inbox)
        for thread in threads:
            thread.join()
        assert len(seen) + len(dropped) == 4 * 500
        assert len(set(seen)) == len(seen)
        for camera in cameras:
            mine = [n for c, n in seen if c == camera]
            assert mine == sorted(mine)

    asyncio.run(main(), debug=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["offer a", "offer b", "take"]), st.integers(0, 40))))
def test_never_more_than_the_lane_holds_and_never_out_of_order(
    steps: list[tuple[str, int]],
) -> None:
    def test() -> None:
        inbox, dropped = inbox_of(A, B, capacity=2, max_age_ns=60)
        now_ns, counts, seen = 0, {"a": 0, "b": 0}, []
        for what, later_ns in steps:
            now_ns += later_ns
            if what == "take":
                if (one := inbox.take(now_ns)) is not None:
                    assert now_ns - one.ref.captured_mono_ns <= 60
                    seen.append((one.ref.camera_id, one.ref.sequence))
                continue
            camera = CameraId(what[-1])
            inbox.offer(frame(camera, counts[camera], captured_ns=now_ns))
            counts[camera] += 1
            assert len(inbox) <= 4
        waiting = len(inbox)
        assert sum(counts.values()) == len(seen) + len(dropped) + waiting
        for camera in (A, B):
            mine = [n for c, n in seen if c == camera]
            assert mine == sorted(set(mine))

    in_loop(test)
