"""What people are shown live: always the newest, nothing for nobody, no frame held."""

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from inspector.core.records import CameraId, Frame, FrameRef, Outline, UnitInView
from inspector.flow.frame_pool import FramePool
from inspector.page.preview import PreviewFeed
from inspector.page.viewer import News, Viewer
from inspector.settings.types import Size

SIZE = Size(320, 240)


def in_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work, debug=True)


def unpacked(message: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(message[:4], "big")
    return json.loads(message[4 : 4 + length]), message[4 + length :]


@contextmanager
def feeding():
    encoder = ThreadPoolExecutor(1, thread_name_prefix="preview")
    encoded: list[int] = []
    try:
        yield PreviewFeed(encoder, lambda: encoded.append(1)), encoded
    finally:
        encoder.shutdown(wait=True)


class Camera:
    def __init__(self, feed: PreviewFeed) -> None:
        self.feed = feed
        self.pool = FramePool(buffers=2, size=SIZE)
        self.sequence = 0

    def frame(self, grey: int = 90, units: tuple[UnitInView, ...] = ()) -> bool:
        """One frame passes; its buffer is free again when this returns."""
        lease = self.pool.lease()
        assert lease is not None
        lease.image[:] = grey
        ref = FrameRef(
            camera_id=CameraId("top"), sequence=self.sequence,
            captured_mono_ns=0, captured_unix_ns=self.sequence * 1_000_000,
        )  # fmt: skip
        self.sequence += 1
        taken = self.feed.take(Frame(ref=ref, lease=lease))
        lease.image[:] = 0
        lease.release()
        if taken:
            self.feed.show(ref, units)
        assert self.pool.free == 2
        return taken


async def next_of(viewer: Viewer, feed: PreviewFeed) -> tuple[dict[str, Any], bytes]:
    async with asyncio.timeout(5):
        return unpacked(await viewer.next(feed.channels))


def test_while_nobody_looks_nothing_is_copied_or_encoded():
    async def main() -> None:
        with feeding() as (feed, encoded):
            camera = Camera(feed)
            assert not any(camera.frame() for _ in range(50))
            viewer = feed.join()
            assert not camera.frame()  # it looks, and is not ready for a picture
            viewer.credit()
            assert camera.frame()
            await next_of(viewer, feed)
            feed.leave(viewer)
            feed._next_ns = 0
            assert not camera.frame()
            assert len(encoded) == 1

    in_loop(main())


def test_the_picture_is_the_frame_as_it_was_whoever_has_its_buffer_now():
    async def main() -> None:
        with feeding() as (feed, _):
            camera, viewer = Camera(feed), feed.join()
            viewer.credit()
            camera.frame(grey=200)
            header, jpeg = await next_of(viewer, feed)
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            assert (header["type"], header["width"], header["height"]) == ("frame", 320, 240)
            assert abs(float(picture.mean()) - 200) < 3

    in_loop(main())


def test_a_viewer_that_stalls_gets_the_newest_and_not_what_it_missed():
    async def main() -> None:
        with feeding() as (feed, _):
            camera, slow, fast = Camera(feed), feed.join(), feed.join()
            slow.credit()
            camera.frame()
            first, _ = await next_of(slow, feed)
            fast.credit()
            await next_of(fast, feed)
            feed._next_ns = 0
            assert not camera.frame()  # both have a picture and did not ask for another
            for _ in range(5):
                fast.credit()
                feed._next_ns = 0
                assert camera.frame()
                newest, _ = await next_of(fast, feed)
            slow.credit()
            after, _ = await next_of(slow, feed)
            assert (first["sequence"], after["sequence"]) == (0, newest["sequence"])

    in_loop(main())


def test_all_viewers_share_one_encoding():
    async def main() -> None:
        with feeding() as (feed, encoded):
            camera, viewers = Camera(feed), [feed.join() for _ in range(8)]
            for viewer in viewers:
                viewer.credit()
            camera.frame()
            pictures = [await viewer.next(feed.channels) for viewer in viewers]
            assert len({id(picture) for picture in pictures}) == 1
            assert len(encoded) == 1

    in_loop(main())


def test_pictures_come_at_most_as_often_as_agreed(monkeypatch):
    now_ns = [0]
    monkeypatch.setattr("inspector.page.preview.time.monotonic_ns", lambda: now_ns[0])

    async def main() -> None:
        with feeding() as (feed, _):
            camera, viewer = Camera(feed), feed.join()
            shown = 0
            for number in range(90):  # three seconds of 30 frames per second
                now_ns[0] = number * 33_333_333 + 1_000_000_000
                viewer.credit()
                if camera.frame():
                    await next_of(viewer, feed)
                    shown += 1
            assert 28 <= shown <= 31

    in_loop(main())


def test_neither_verdicts_nor_pictures_starve_the_other():
    async def main() -> None:
        viewer = Viewer(lambda: None)
        kinds = []
        for number in range(1, 9):
            viewer.credit()
            channels = {"unit": News(2 * number, b"unit"), "frame": News(2 * number + 1, b"frame")}
            kinds.append(await viewer.next(channels))
        assert kinds == [b"unit", b"frame"] * 4

    in_loop(main())


def verdict(result: str = "FAILED") -> dict[str, Any]:
    return {
        "id": "01", "time": "2026-01-02T03:04:05+00:00", "camera": "top", "result": result,
        "unit": {"id": "PCB", "number": 1}, "reason": None, "detail": "",
        "defects": [{"id": "d", "code": "open", "confidence": 0.9, "bbox_px": [10, 20, 30, 40]}],
        "counts": {"defects": 1}, "timing_ms": {"trigger_to_verdict": 1.0}, "deadline_met": True,
        "evidence": [], "simulated": True, "replayed": False,
    }  # fmt: skip


def test_on_a_fast_line_people_are_shown_the_newest_verdict_ten_times_a_second():
    async def main() -> None:
        with feeding() as (feed, _):
            feed.join()
            feed.decided(0, verdict() | {"id": "first"})
            first = feed.channels["unit"]
            assert unpacked(first.message)[0]["unit"]["id"] == "first"
            for number in range(1, 50):
                feed.decided(number, verdict() | {"id": f"unit-{number}"})
            assert feed.channels["unit"] is first
            async with asyncio.timeout(5):
                while feed.channels["unit"] is first:  # noqa: ASYNC110 - of the feed's own timer
                    await asyncio.sleep(0.01)
            assert unpacked(feed.channels["unit"].message)[0]["unit"]["id"] == "unit-49"

    in_loop(main())


def test_who_joins_later_is_told_the_last_verdict_and_not_those_before():
    async def main() -> None:
        with feeding() as (feed, _):
            feed.decided(1, verdict())
            assert feed.channels["unit"].message == b""  # nobody looks: no message is made
            feed.decided(2, verdict() | {"id": "02"})
            viewer = feed.join()
            viewer.credit()
            header, _ = await next_of(viewer, feed)
            assert (header["type"], header["unit"]["id"]) == ("unit", "02")
            feed.leave(viewer)
            feed.decided(3, verdict() | {"id": "03"})
            again = feed.join()
            again.credit()
            assert (await next_of(again, feed))[0]["unit"]["id"] == "03"

    in_loop(main())


def test_defects_follow_their_unit_through_the_picture():
    outline = Outline(centre_x_px=160, centre_y_px=120, width_px=100, height_px=80, turn_deg=0.0)

    async def main() -> None:
        with feeding() as (feed, _):
            camera, viewer = Camera(feed), feed.join()
            feed.decided(7, verdict())
            viewer.credit()
            assert (await next_of(viewer, feed))[0]["type"] == "unit"
            viewer.credit()
            camera.frame(units=(UnitInView(index=7, outline=outline),))
            [unit] = (await next_of(viewer, feed))[0]["units"]
            assert unit["outline"] == [[110, 80], [210, 80], [210, 160], [110, 160]]
            assert unit["result"] == "FAILED"
            [defect] = unit["defects"]
            assert defect["corners"] == [[120, 100], [150, 100], [150, 140], [120, 140]]

    in_loop(main())


def test_a_shape_is_drawn_by_its_corners_and_the_unit_as_a_whole_by_its_own_outline():
    outline = Outline(centre_x_px=160, centre_y_px=120, width_px=100, height_px=80, turn_deg=0.0)
    box, *_ = verdict()["defects"]
    shape = box | {"polygon_px": [[10, 20], [40, 40], [10, 60]], "area_px": 600.0}
    whole = box | {"bbox_px": None, "polygon_px": None, "area_px": None}

    async def main() -> None:
        with feeding() as (feed, _):
            camera, viewer = Camera(feed), feed.join()
            feed.decided(7, verdict() | {"defects": [shape, whole]})
            viewer.credit()
            unit = (await next_of(viewer, feed))[0]["unit"]
            assert [d["polygon_px"] for d in unit["defects"]] == [shape["polygon_px"], None]
            assert unit["defects"][1]["bbox_px"] is None
            viewer.credit()
            camera.frame(units=(UnitInView(index=7, outline=outline),))
            [drawn] = (await next_of(viewer, feed))[0]["units"]
            [defect] = drawn["defects"]
            assert defect["corners"] == [[120, 100], [150, 120], [120, 140]]
            assert drawn["result"] == "FAILED"

    in_loop(main())


def test_a_verdict_on_the_unit_that_is_shown_is_drawn_without_another_picture():
    async def main() -> None:
        with feeding() as (feed, _):
            camera, viewer = Camera(feed), feed.join()
            viewer.credit()
            camera.frame(units=(UnitInView(index=3, outline=None),))
            frame, _ = await next_of(viewer, feed)
            assert frame["units"][0]["result"] is None
            feed.decided(3, verdict())
            told = {}
            for _ in range(2):
                viewer.credit()
                header, jpeg = await next_of(viewer, feed)
                told[header["type"]] = header
                assert jpeg == b""
            assert told["marks"]["sequence"] == frame["sequence"]
            [unit] = told["marks"]["units"]
            assert unit["defects"][0]["corners"][0] == [10, 20]
            assert told["unit"]["unit"]["unit_id"] == "PCB"

    in_loop(main())
