"""Connects the operator's page with the journal, the cameras and the verdicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import orjson
import structlog
from starlette.routing import BaseRoute

from inspector.core.errors import RetryableError
from inspector.core.faults import Fault
from inspector.core.ports import PictureKeeper, Preview
from inspector.core.records import (
    CameraId,
    EventGroup,
    Evidence,
    Image,
    Judgement,
    Review,
    UnitPicture,
)
from inspector.core.shifts import day_start, local_time, shift_start
from inspector.events.wording import EventBuilder
from inspector.evidence.upright import cut_upright
from inspector.flow.event_door import EventDoor
from inspector.journal.journal import Journal
from inspector.ops.metrics import Metrics
from inspector.page.archive import Archive
from inspector.page.archive_rows import StoredEvent, UnitQuery
from inspector.page.figures import Figures, Totals
from inspector.page.preview import PreviewFeed
from inspector.page.preview_socket import preview_routes
from inspector.page.product_shelf import ProductShelf
from inspector.page.shelf_routes import shelf_routes
from inspector.page.state import PageTerms, StationState, with_times
from inspector.page.unit_pictures import UnitPictureFiles
from inspector.page.unit_routes import Found, UnitSource, Wanted, unit_routes
from inspector.reviews.counting import Share, count
from inspector.reviews.standing import KeptReview, ReviewBook, standing

log = structlog.get_logger("page")

SECONDS_PER_HOUR = 3600
NO_CODE = ""
"""The label of a review that is not about a defect with a code."""
_STEP_MINUTES = ((1, 1), (8, 5), (24, 15))
"""Up to this many hours, a point of the series covers this many minutes."""


class ShownPictures(PictureKeeper):
    """Shows the unit's picture to viewers, then passes it to the keeper."""

    def __init__(self, keeper: PictureKeeper, feeds: Mapping[CameraId, PreviewFeed]) -> None:
        self._keeper = keeper
        self._feeds = feeds

    async def keep(self, picture: UnitPicture) -> Evidence | None:
        """Copy the unit out of the frame if there is a viewer; then do as the keeper does."""
        feed = self._feeds[picture.frame.ref.camera_id]
        if feed.is_watched:
            try:
                feed.snapshot(picture.event_id, await asyncio.to_thread(_cut, picture))
            except Exception:
                # One picture for people is lost; the verdict goes on.
                log.exception("a unit could not be shown", camera=picture.frame.ref.camera_id)
        return await self._keeper.keep(picture)


def _cut(picture: UnitPicture) -> Image:
    frame = picture.frame
    if frame.ref.outline is None:
        return frame.lease.image.copy()
    return cut_upright(frame.lease.image, frame.ref.outline)


class OperatorPage(UnitSource):
    """Everything the page shows that is not in the service itself. Event loop only."""

    def __init__(
        self,
        terms: PageTerms,
        journal: Journal,
        door: EventDoor,
        builder: EventBuilder,
        metrics: Metrics,
        *,
        shelf: ProductShelf,
    ) -> None:
        self._shelf = shelf
        self._terms = terms
        self._journal = journal
        self._door = door
        self._builder = builder
        self._metrics = metrics
        self._archive = Archive(terms.journal_folder)
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="preview")
        self.feeds = {
            c: PreviewFeed(self._encoder, metrics.preview_pictures.labels(c).inc)
            for c in terms.cameras
        }
        self._state = StationState(
            terms.cameras,
            keeps_evidence=terms.keeps_evidence,
            reads_triggers=terms.reads_triggers,
            embeds_triton=terms.embeds_triton,
        )
        self._pictures = UnitPictureFiles(terms.evidence_folder)

    @property
    def eyes(self) -> Mapping[CameraId, Preview]:
        """The preview of each camera."""
        return self.feeds

    def routes(self, status: Callable[[], Mapping[str, Any]]) -> list[BaseRoute]:
        """The routes of the page."""
        return [
            *unit_routes(self, self._pictures),
            *shelf_routes(self._shelf, self, self._pictures),
            *preview_routes(self.feeds, status),
        ]

    def close(self) -> None:
        """End the threads. Blocks for a moment."""
        self._encoder.shutdown(wait=True, cancel_futures=True)
        self._archive.close()

    # What happens.

    def on_verdict(self, group: EventGroup) -> None:
        """A unit was decided; never raises."""
        unit, verdict = group.unit, group.verdict
        if unit is None or verdict is None:
            return
        try:
            self._state.deadlines.add(in_time=verdict.body["deadline_met"])
            self.feeds[unit.ref.camera_id].decided(unit.ref.index, verdict.body)
        except Exception:
            # People do not see this verdict; it is published all the same.
            log.exception("a verdict could not be shown", camera=unit.ref.camera_id)

    def on_fault(self, fault: Fault, *, raised: bool) -> None:
        """Note that something broke or works again; `tell` follows once the faults are updated."""
        self._state.on_fault(fault, raised=raised)

    def tell(self, status: Mapping[str, Any]) -> None:
        """Show the station's new state to viewers."""
        for feed in self.feeds.values():
            feed.tell(status)

    def completed(self, status: Mapping[str, Any], *, running: bool) -> dict[str, Any]:
        """The service's status with what the page shows besides."""
        return {
            **status,
            "faults": with_times(status["faults"], self._state),
            "parts": self._state.parts(
                running=running,
                awaited=[(a["kind"], a["subject"]) for a in status["awaited"]],
                pending=self._journal.main.pending_count,
                oldest_s=self._journal.main.oldest_pending_age_s,
            ),
            "cameras": list(self._terms.cameras),
            "codes": list(self._terms.codes),
            "needs_token": self._terms.needs_token,
            "job": self._shelf.job(),
        }

    # Answers to requests.

    async def units(self, wanted: Wanted) -> Found:
        """A page of units, from the journal."""
        page = await self._archive.units(
            UnitQuery(
                limit=wanted.limit,
                before_seq=wanted.before_seq,
                result=wanted.result,
                code=wanted.code,
                camera=wanted.camera,
                text=wanted.text,
                product=wanted.product,
                order=wanted.order,
                since=wanted.since,
                until=wanted.until,
                kept_for=wanted.kept_for,
                reviewed=wanted.reviewed,
            )
        )
        return Found(
            units=[_numbered(row) for row in page.units], next_before_seq=page.next_before_seq
        )

    async def unit(self, event_id: str) -> Mapping[str, Any] | None:
        """One unit event, from the journal."""
        row = await self._archive.unit(event_id)
        return None if row is None else _numbered(row)

    async def reviews(self, event_ids: list[str]) -> Mapping[str, Sequence[KeptReview]]:
        """The reviews that apply, from the journal."""
        found = await self._archive.reviews_of(event_ids)
        return {event_id: standing(reviews) for event_id, reviews in found.items()}

    async def history(self, event_id: str) -> Sequence[KeptReview]:
        """All reviews of a unit, from the journal."""
        return (await self._archive.reviews_of([event_id]))[event_id]

    async def codes(self, event: Mapping[str, Any]) -> Sequence[str]:
        """The codes of its product, as it is now; the station's if the product is gone."""
        product = event.get("product")
        return (product and await self._shelf.codes(product["name"])) or self._terms.codes

    async def review(self, review: Review) -> None:
        """Put it into the journal, from where it is published like every event."""
        if not await self._door.put(self._builder.review(review)):
            raise RetryableError("the station stops: the review was not kept")
        self._metrics.reviews.labels(review.judgement).inc()
        for code in review.codes or (NO_CODE,):
            self._metrics.reviewed_defects.labels(review.judgement, review.unit_result, code).inc()

    async def figures(self, hours: int) -> dict[str, Any]:
        """The shift and the day so far, and the last hours as a series."""
        now = datetime.now().astimezone()
        starts = self._terms.shift_starts
        shift, day = shift_start(now, starts, local_time), day_start(now, local_time)
        step = next(step for most, step in _STEP_MINUTES if hours <= most)
        to_s = time.time()

        def counted(figures: Figures, book: ReviewBook) -> dict[str, Any]:
            series = figures.series(to_s - hours * SECONDS_PER_HOUR, to_s, step)
            return {
                "now": now.isoformat(timespec="seconds"),
                "shift": _period(shift, to_s, figures, book),
                "day": _period(day, to_s, figures, book),
                "review_counts": _review_counts(book, 0.0),
                "step_minutes": step,
                "series": _columns(series),
            }

        return await self._archive.figures(counted)


def _numbered(row: StoredEvent) -> dict[str, Any]:
    return {**orjson.loads(row.body), "seq": row.seq}


def _period(begin: datetime, to_s: float, figures: Figures, book: ReviewBook) -> dict[str, Any]:
    begin_s = begin.timestamp()
    totals = figures.totals(begin_s, to_s)
    held = [one for unit in book.held(begin_s) for one in unit if one.seen_s >= begin_s]
    said = [one.judgement for one in held]
    return {
        "from": begin.isoformat(timespec="minutes"),
        "units": totals.units,
        "pass_share": totals.pass_share,
        "results": totals.results,
        "codes": totals.codes,
        "late": totals.late,
        "median_ms": totals.median_ms,
        "p95_ms": totals.p95_ms,
        "reviews": {j.value: said.count(j) for j in Judgement if j is not Judgement.WITHDRAWN},
        "review_counts": _review_counts(book, begin_s),
    }


def _review_counts(book: ReviewBook, since_s: float) -> dict[str, Any]:
    """How often the verdicts on units that were reviewed since then are wrong."""
    counted = count(book.held(since_s))
    passed, failed = counted.passed, counted.failed
    return {
        "passed": {
            "reviewed": passed.reviewed,
            "escapes": passed.escapes,
            "interval": passed.share.interval,
            "unsure": passed.unsure,
            "codes": {
                code: {"escapes": n, "interval": Share(n, passed.reviewed).interval}
                for code, n in passed.codes.most_common()
            },
            "by_picture": {
                name: {"reviewed": s.base, "escapes": s.hits, "interval": s.interval}
                for name, s in passed.by_picture.items()
            },
        },
        "failed": {
            "reviewed": failed.reviewed,
            "false_calls": failed.false_calls,
            "interval": failed.share.interval,
            "unsure": failed.unsure,
            "also_missed": failed.also_missed,
            "codes": {
                code: {"reviewed": s.base, "false_calls": s.hits, "interval": s.interval}
                for code, s in failed.codes.items()
            },
        },
    }


def _columns(series: list[tuple[int, Totals]]) -> dict[str, list[Any]]:
    """The series as charts need it: a list per line instead of a record per point."""
    totals = [t for _, t in series]
    return {
        "at": [at for at, _ in series],
        "passed": [t.results.get("PASSED", 0) for t in totals],
        "failed": [t.results.get("FAILED", 0) for t in totals],
        "other": [
            t.units - t.results.get("PASSED", 0) - t.results.get("FAILED", 0) for t in totals
        ],
        "median_ms": [t.median_ms for t in totals],
        "p95_ms": [t.p95_ms for t in totals],
    }
