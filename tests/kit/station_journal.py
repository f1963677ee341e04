"""A station's journal with units, pictures and reviews in it, and no station behind it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
from ulid import ULID

from inspector.core.records import Event, EventGroup, Image, Judgement, Result, Review, Stream
from inspector.events.wording import EventBuilder, EventTerms
from inspector.journal.journal import Journal
from tests.kit.groups import group

SIZE = (200, 160)
BEGIN = datetime(2026, 11, 30, 6, 0, tzinfo=UTC)


def drawn(seed: int) -> Image:
    width, height = SIZE
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def call(bbox: Sequence[float] | None, code: str = "open", polygon: Any = None) -> dict[str, Any]:
    return {"id": str(ULID()), "code": code, "bbox_px": bbox, "polygon_px": polygon}


class StationJournal:
    """Every call adds an event, a minute after the one before; `write` puts them on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evidence = folder / "evidence"
        self.evidence.mkdir(parents=True)
        self.units: dict[str, dict[str, Any]] = {}
        """The events of the units, by what they are called."""
        self._minutes = 0
        self._waiting: list[EventGroup] = []

    def unit(
        self,
        name: str,
        result: str = "PASSED",
        calls: Sequence[dict[str, Any]] = (),
        *,
        picture: Image | None = None,
        kept_for: str = "verdict",
        product: str = "default",
        in_event: int = 20,
    ) -> str:
        """A unit; returns the id of its event. Its picture is that of its name."""
        event_id, time = str(ULID()), self._now()
        path = self.evidence / f"{name}.jpg"
        shown = drawn(crc32(name.encode())) if picture is None else picture
        assert cv2.imwrite(str(path), shown, [cv2.IMWRITE_JPEG_QUALITY, 95])
        content = path.read_bytes()
        body: dict[str, Any] = {
            "id": event_id,
            "time": time,
            "camera": "top",
            "unit": {"id": name},
            "result": result,
            "product": {"name": product, "revision": "1"},
            "counts": {"defects": len(calls)},
            "defects": list(calls[:in_event]),
            "defects_truncated": len(calls) > in_event,
            "evidence": [
                {
                    "uri": path.as_uri(),
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "kept_for": kept_for,
                }
            ],
        }
        self.units[name] = body
        events = [self._event(Stream.UNITS, body, name)]
        for one in calls:
            defect = {"id": one["id"], "unit_event_id": event_id, "time": time, "defect": one}
            events.append(self._event(Stream.DEFECTS, {**defect, "result": result}, name))
        self._append(events)
        return event_id

    def review(self, name: str, judgement: str, defect: int | None = None, **said: Any) -> str:
        """Somebody says so of a unit, or of one of its calls; returns the review's id."""
        unit = self.units[name]
        of = None if defect is None else unit["defects"][defect]
        builder = EventBuilder(EventTerms(site="s", line="l", name="n", deadline_ns=1, cameras={}))
        review = Review(
            unit_event_id=unit["id"],
            unit_id=name,
            camera="top",
            judgement=Judgement(judgement),
            defect_id=None if of is None else of["id"],
            code=said.pop("code", None if of is None else of["code"]),
            unit_result=Result(unit["result"]),
            **said,
        )
        (event,) = builder.review(review).events
        event.body["time"] = self._now()
        self._append([event])
        return event.id

    def picture(self, name: str) -> Path:
        return self.evidence / f"{name}.jpg"

    def _now(self) -> str:
        self._minutes += 1
        return (BEGIN + timedelta(minutes=self._minutes)).isoformat(timespec="microseconds")

    @staticmethod
    def _event(stream: Stream, body: dict[str, Any], name: str) -> Event:
        return Event(
            stream=stream,
            id=body["id"],
            schema="inspector.unit/1",
            time=body["time"],
            unit_id=name,
            result=body["result"],
            body=body,
        )

    def _append(self, events: list[Event]) -> None:
        self._waiting.append(group(*events))

    def write(self) -> None:
        """All that happened since then is on the disk."""

        async def append() -> None:
            journal = Journal.open(self.folder, retention_s=86_400.0 * 36_500)
            try:
                await journal.append(self._waiting)
            finally:
                journal.close()

        asyncio.run(append())
        self._waiting = []
