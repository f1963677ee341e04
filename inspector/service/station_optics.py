"""Keeps what the optics guards learned through restarts, and how it changes over weeks."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import structlog
from pydantic import ValidationError

from inspector.capture.mark import Mark
from inspector.capture.optics import OpticsGuard, OpticsMemory, OpticsState
from inspector.core.optics import Measure
from inspector.core.records import CameraId, Rect
from inspector.products.stored import StoredOptics

log = structlog.get_logger("service")

KEPT_EVERY_S = 5.0
POINT_EVERY_S = 4 * 3600.0
MOST_POINTS = 180
"""30 days of them."""
_FIT_S = 14 * 86_400.0
_FEWEST_POINTS = 6
"""A day: light that comes and goes with the sun is not drift."""
_SLOWEST = 0.005
"""As a share of the permitted change per day: less is not drift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The share of the permitted change at that time."""

    unix_s: float
    used: Mapping[Measure, float]


Notes = Mapping[str, str]


def memory_note(camera: CameraId) -> str:
    """The journal's note of what a camera's guard learned."""
    return f"optics:{camera}"


def trend_note(camera: CameraId) -> str:
    """The journal's note of how its pictures changed."""
    return f"optics-trend:{camera}"


async def keep_nothing(notes: Notes) -> None:
    """The default before there is a journal."""
    del notes


class StationOptics:
    """Event loop only."""

    def __init__(
        self, cameras: Sequence[CameraId], *, now_s: Callable[[], float] = time.time
    ) -> None:
        self._now_s = now_s
        self._memories = {camera: OpticsMemory() for camera in cameras}
        self._trends: dict[CameraId, list[Point]] = {camera: [] for camera in cameras}
        self._guards: Mapping[CameraId, OpticsGuard] = {}
        self._keep: Callable[[Notes], Awaitable[None]] = keep_nothing

    def restore(self, note: Callable[[str], str | None]) -> Mapping[CameraId, OpticsMemory]:
        """The memories from before this start, by camera."""
        for camera in self._memories:
            self._memories[camera] = memory_of(note(memory_note(camera)))
            self._trends[camera] = trend_of(note(trend_note(camera)))
        return dict(self._memories)

    def connect(
        self, guards: Mapping[CameraId, OpticsGuard], *, keep: Callable[[Notes], Awaitable[None]]
    ) -> None:
        """Set the guards whose memories are kept, and the keeper of notes."""
        self._guards, self._keep = guards, keep

    def renew(self, camera: CameraId | None) -> Notes:
        """Accept the pictures of a camera, or of all, as good; returns the journal's notes."""
        renewed = OpticsMemory(renewed_unix_s=self._now_s())
        cameras = list(self._guards) if camera is None else [camera]
        notes = {}
        for one in cameras:
            self._guards[one].renew()
            self._trends[one] = []
            notes[memory_note(one)] = memory_text(renewed)
            notes[trend_note(one)] = trend_text([])
        return notes

    async def run_until_cancelled(self) -> None:
        """Keep what was learned, soon after it changed."""
        while True:
            await asyncio.sleep(KEPT_EVERY_S)
            if notes := self.news():
                await self._keep(notes)

    def news(self) -> Notes:
        """The notes for the journal since the last call."""
        notes = {}
        now_s = self._now_s()
        for camera, guard in self._guards.items():
            memory = guard.memory
            if memory is not self._memories[camera]:
                self._memories[camera] = memory
                notes[memory_note(camera)] = memory_text(memory)
            trend, state = self._trends[camera], guard.state
            if state is None or not state.used:
                continue
            if not trend or abs(now_s - trend[-1].unix_s) >= POINT_EVERY_S:
                trend.append(Point(unix_s=now_s, used=dict(state.used)))
                del trend[:-MOST_POINTS]
                notes[trend_note(camera)] = trend_text(trend)
        return notes

    def shown(self) -> list[dict[str, Any]]:
        """The state of every camera's pictures, for people."""
        return [self._shown(camera, guard.state) for camera, guard in self._guards.items()]

    def _shown(self, camera: CameraId, state: OpticsState | None) -> dict[str, Any]:
        usual = None if state is None else state.usual
        trend = self._trends[camera]
        used = {} if state is None else state.used
        return {
            "camera": camera,
            "product": None if state is None else state.product or None,
            "usual": None
            if usual is None
            else {
                "since_unix_s": usual.since_unix_s,
                "pictures": usual.pictures,
                "vouched": usual.vouched,
            },
            "measures": [
                {
                    "measure": measure.value,
                    "used": round(used[measure], 3),
                    "days_left": days_left(trend, measure, now_s=self._now_s()),
                    "trend": [
                        [round(point.unix_s), round(point.used[measure], 3)]
                        for point in trend
                        if measure in point.used
                    ],
                }
                for measure in Measure
                if measure in used
            ],
        }


def days_left(trend: Sequence[Point], measure: Measure, *, now_s: float) -> int | None:
    """In how many days the limit is reached if the trend continues.

    None: there is no trend, or the limit is more than a year away.
    """
    points = [
        (point.unix_s, point.used[measure])
        for point in trend
        if measure in point.used and 0 <= now_s - point.unix_s <= _FIT_S
    ]
    if len(points) < _FEWEST_POINTS:
        return None
    days = np.array([(unix_s - now_s) / 86_400 for unix_s, _ in points])
    slope, now = np.polyfit(days, np.array([used for _, used in points]), 1)
    if slope < _SLOWEST or now >= 1:
        return None
    left = (1 - float(now)) / float(slope)
    return round(left) if left <= 365 else None  # noqa: PLR2004 - a year


def memory_text(memory: OpticsMemory) -> str:
    """As the journal keeps it."""
    mark = memory.mark
    return orjson.dumps(
        {
            "usual": {
                product: StoredOptics.of(usual).model_dump(mode="json")
                for product, usual in memory.usual.items()
            },
            "mark": None
            if mark is None
            else {
                "rect": [
                    mark.rect.x_px,
                    mark.rect.y_px,
                    mark.rect.width_px,
                    mark.rect.height_px,
                ],
                "size": list(mark.patch.shape),
                "patch": base64.b64encode(mark.patch.tobytes()).decode(),
            },
            "renewed_unix_s": memory.renewed_unix_s,
        }
    ).decode()


def memory_of(note: str | None) -> OpticsMemory:
    """The memory from the journal; None if it cannot be read: it is learned again."""
    if note is None:
        return OpticsMemory()
    try:
        kept = orjson.loads(note)
        usual = {
            str(product): StoredOptics.model_validate(one).baseline()
            for product, one in kept["usual"].items()
        }
        mark = None if kept["mark"] is None else _mark(kept["mark"])
        renewed_unix_s = kept["renewed_unix_s"]
        return OpticsMemory(
            usual=usual,
            mark=mark,
            renewed_unix_s=None if renewed_unix_s is None else float(renewed_unix_s),
        )
    except (ValueError, TypeError, KeyError, AttributeError, ValidationError):
        log.warning("what the optics guard learned cannot be read; it is learned anew")
        return OpticsMemory()


def _mark(kept: Mapping[str, Any]) -> Mark:
    height, width = kept["size"]
    patch = np.frombuffer(base64.b64decode(kept["patch"]), np.uint8).reshape(height, width)
    return Mark(rect=Rect(*kept["rect"]), patch=patch)


def trend_text(trend: Sequence[Point]) -> str:
    """As the journal keeps it."""
    points = [
        [round(point.unix_s), {m.value: round(u, 3) for m, u in point.used.items()}]
        for point in trend
    ]
    return orjson.dumps(points).decode()


def trend_of(note: str | None) -> list[Point]:
    """The history from the journal; empty if it cannot be read."""
    try:
        return [
            Point(unix_s=float(at), used={Measure(m): float(u) for m, u in used.items()})
            for at, used in orjson.loads(note or "[]")
        ]
    except (ValueError, TypeError, AttributeError):
        return []
