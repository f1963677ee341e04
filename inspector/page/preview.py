"""Shows people what a camera sees: encoded once for all viewers, and only if there are some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

import cv2
import numpy as np

from inspector.core.geometry import frame_matrix, moved
from inspector.core.newest import Newest
from inspector.core.places import Point
from inspector.core.ports import Preview
from inspector.core.records import Frame, FrameRef, Image, Outline, UnitInView
from inspector.page.briefs import brief
from inspector.page.viewer import NO_NEWS, News, Viewer, packed

PICTURES_PER_S = 10
MAX_WIDTH_PX = 960
UNIT_WIDTH_PX = 720
PREVIEW_JPEG_QUALITY, UNIT_JPEG_QUALITY = 70, 80
OVERLAYS_REMEMBERED = 8
SNAPSHOTS_WAITING = 3
SNAPSHOTS_REMEMBERED = 2
"""How many units' findings are kept: the last one's, and those of the next."""
VIEWERS_PER_CAMERA = 32
_NS_PER_S = 1_000_000_000
_EARLY_NS = 20_000_000
"""How much too early a frame may come: the next one may be as much too late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Overlay:
    """The findings on a unit that may still be in view."""

    result: str
    defects: tuple[tuple[str, tuple[Point, ...]], ...]
    """Codes and corners, in the pixels of the unit's picture."""


class PreviewFeed(Preview):
    """One camera. Holds one copy of a frame, the newest picture and the newest unit.

    Event loop only, but for `take` and `show`, which are the capture thread's. While nobody
    waits for a picture these two read one flag and nothing else.
    """

    def __init__(self, encoder: ThreadPoolExecutor, on_picture: Callable[[], None]) -> None:
        """`on_picture` is called for each picture encoded; any thread."""
        self._on_picture = on_picture
        self._encoder = encoder
        self._loop = asyncio.get_running_loop()
        self._viewers: set[Viewer] = set()
        self._wanted = False
        self._next_ns = 0
        self._busy = Lock()
        self._copy: Image | None = None
        self._marks: Newest[int, _Overlay] = Newest(OVERLAYS_REMEMBERED)
        self._shown: tuple[FrameRef, list[UnitInView]] | None = None
        self._numbers = 0
        self._is_unit_untold = False
        self._unit_next_s = 0.0
        self._unit_timer: asyncio.TimerHandle | None = None
        self._last_unit: Mapping[str, Any] | None = None
        self._snapshots_waiting = 0
        self._snapshots: Newest[str, tuple[bytes, tuple[int, int]]] = Newest(SNAPSHOTS_REMEMBERED)
        self.channels: dict[str, News] = {
            "status": NO_NEWS,
            "unit": NO_NEWS,
            "marks": NO_NEWS,
            "frame": NO_NEWS,
        }

    # For viewers.

    @property
    def is_watched(self) -> bool:
        """Whether this camera has viewers."""
        return bool(self._viewers)

    @property
    def is_full(self) -> bool:
        """Whether no further viewer is accepted."""
        return len(self._viewers) >= VIEWERS_PER_CAMERA

    def join(self) -> Viewer:
        """Add a viewer; `leave` follows."""
        viewer = Viewer(self._note_who_waits)
        self._viewers.add(viewer)
        if self._is_unit_untold:
            self._show_newest_unit()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer."""
        self._viewers.discard(viewer)
        self._note_who_waits()

    def _note_who_waits(self) -> None:
        self._wanted = any(viewer.has_credit for viewer in self._viewers)

    def _publish(self, channel: str, header: Mapping[str, Any], jpeg: bytes = b"") -> None:
        self._numbers += 1
        self.channels[channel] = News(self._numbers, packed({"type": channel, **header}, jpeg))
        for viewer in self._viewers:
            viewer.wake()

    # From the camera.

    def take(self, frame: Frame) -> bool:
        """Copy the pixels, if a picture is wanted and the last one is encoded."""
        if not self._wanted:
            return False
        now_ns = time.monotonic_ns()
        if now_ns < self._next_ns - _EARLY_NS or not self._busy.acquire(blocking=False):
            return False
        interval_ns = _NS_PER_S // PICTURES_PER_S
        self._next_ns = max(self._next_ns + interval_ns, now_ns)
        image = frame.lease.image
        if self._copy is None or self._copy.shape != image.shape:
            self._copy = np.empty_like(image)
        np.copyto(self._copy, image)
        return True

    def show(self, ref: FrameRef, in_view: Sequence[UnitInView]) -> None:
        """Have the copy encoded, and shown with what is known about the units in it."""
        try:
            self._encoder.submit(self._encode, ref, list(in_view))
        except RuntimeError:  # nothing is shown any more
            self._busy.release()

    def _encode(self, ref: FrameRef, in_view: list[UnitInView]) -> None:
        """In the encoder's thread."""
        try:
            image = self._copy
            if image is None:
                return
            jpeg = encoded(image, MAX_WIDTH_PX, PREVIEW_JPEG_QUALITY)
            size = (image.shape[1], image.shape[0])
        finally:
            self._busy.release()
        self._on_picture()
        with suppress(RuntimeError):  # the loop ended meanwhile
            self._loop.call_soon_threadsafe(self._show, ref, in_view, jpeg, size)

    def _show(
        self, ref: FrameRef, in_view: list[UnitInView], jpeg: bytes, size: tuple[int, int]
    ) -> None:
        self._shown = (ref, in_view)
        header = {
            "sequence": ref.sequence,
            "captured_ms": ref.captured_unix_ns // 1_000_000,
            "width": size[0],
            "height": size[1],
            "units": [self._drawn(unit) for unit in in_view],
        }
        self._publish("frame", header, jpeg)

    # From the verdicts.

    def decided(self, index: int, body: Mapping[str, Any]) -> None:
        """A unit has its verdict."""
        self._marks[index] = _Overlay(
            result=body["result"],
            defects=tuple((d["code"], _shape(d)) for d in body["defects"]),
        )
        self._last_unit = body
        self._show_unit()
        shown = self._shown if self._viewers else None
        if shown is not None and any(u.index == index for u in shown[1]):
            ref, in_view = shown
            units = [self._drawn(unit) for unit in in_view]
            self._publish("marks", {"sequence": ref.sequence, "units": units})

    def snapshot(self, event_id: str, picture: Image) -> None:
        """The picture of a unit that is about to get its verdict; takes over the array.

        Not shown where the encoder is behind already.
        """
        if self._snapshots_waiting >= SNAPSHOTS_WAITING:
            return
        with suppress(RuntimeError):
            self._encoder.submit(self._encode_snapshot, event_id, picture)
            self._snapshots_waiting += 1

    def _encode_snapshot(self, event_id: str, picture: Image) -> None:
        """In the encoder's thread."""
        jpeg = encoded(picture, UNIT_WIDTH_PX, UNIT_JPEG_QUALITY)
        size = (picture.shape[1], picture.shape[0])
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._keep_snapshot, event_id, jpeg, size)

    def _keep_snapshot(self, event_id: str, jpeg: bytes, size: tuple[int, int]) -> None:
        self._snapshots_waiting -= 1
        self._snapshots[event_id] = (jpeg, size)
        if self._last_unit is not None and self._last_unit["id"] == event_id:
            self._show_unit()

    def _show_unit(self) -> None:
        """Now, or as soon as people can follow: on a fast line they see some of the units."""
        if not self._viewers:
            self._is_unit_untold = True
            return
        if self._unit_timer is not None:
            return
        wait_s = self._unit_next_s - self._loop.time()
        if wait_s > 0:
            self._unit_timer = self._loop.call_later(wait_s, self._show_newest_unit)
        else:
            self._show_newest_unit()

    def _show_newest_unit(self) -> None:
        self._unit_timer = None
        self._is_unit_untold = not self._viewers
        if self._last_unit is None or not self._viewers:
            return
        self._unit_next_s = self._loop.time() + 1 / PICTURES_PER_S
        jpeg, size = self._snapshots.get(self._last_unit["id"], (b"", (0, 0)))
        header = {"unit": brief(self._last_unit), "width": size[0], "height": size[1]}
        self._publish("unit", header, jpeg)

    def tell(self, status: Mapping[str, Any]) -> None:
        """The station's state changed; a later viewer gets the state of that time."""
        if self._viewers:
            self._publish("status", {"status": status})

    def _drawn(self, unit: UnitInView) -> dict[str, Any]:
        """A unit in a frame, as lines to draw in the frame's pixels."""
        mark = self._marks.get(unit.index)
        outline = unit.outline
        return {
            "index": unit.index,
            "result": None if mark is None else mark.result,
            "outline": None if outline is None else _corners(outline, _rectangle(_whole(outline))),
            "defects": []
            if mark is None
            else [
                {"code": code, "corners": _corners(outline, shape)}
                for code, shape in mark.defects
                if shape
            ],
        }


def _whole(outline: Outline) -> tuple[float, float, float, float]:
    return (0.0, 0.0, outline.width_px, outline.height_px)


def _shape(defect: Mapping[str, Any]) -> tuple[Point, ...]:
    """Its corners on the unit; none where it is about the unit as a whole, whose result says it."""
    if defect["bbox_px"] is None:
        return ()
    polygon = defect.get("polygon_px")
    return tuple((x, y) for x, y in polygon) if polygon else _rectangle(tuple(defect["bbox_px"]))


def _rectangle(box: tuple[float, float, float, float]) -> tuple[Point, ...]:
    x, y, width, height = box
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)


def _corners(outline: Outline | None, shape: tuple[Point, ...]) -> list[Point]:
    """Of a shape on a unit, in the frame's pixels; where no outline is known they are the same."""
    if outline is None:
        return list(shape)
    matrix = frame_matrix(outline)
    return [(round(x, 1), round(y, 1)) for x, y in (moved(matrix, *corner) for corner in shape)]


def encoded(image: Image, max_width_px: int, quality: int) -> bytes:
    """JPEG, made smaller where it is wider than that. Any thread."""
    height, width = image.shape[:2]
    if width > max_width_px:
        # Linear is ten times as fast as by area, and people only look at it.
        size = (max_width_px, max(1, round(height * max_width_px / width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()
