"""`/api/units` and what belongs to it: the journal's units, their pictures and reviews."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inspector.core.errors import RetryableError
from inspector.core.records import KeptFor, Result, Review
from inspector.page.answers import (
    BadRequestError,
    Endpoint,
    gone,
    json_answer,
    line,
)
from inspector.page.briefs import brief
from inspector.page.review_routes import review_endpoint, shown
from inspector.page.sheet import sheet_of
from inspector.page.unit_pictures import UnitPictureFiles
from inspector.reviews.standing import KeptReview, standing

MAX_LIMIT = 200
MAX_TEXT = 128
CSV_ROWS, CSV_PAGES = 5000, 100
"""Limits of a sheet: how many units, found in how many steps."""
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A query for units."""

    limit: int
    before_seq: int | None
    result: str | None
    code: str | None
    camera: str | None
    text: str | None
    product: str | None = None
    order: str | None = None
    since: str | None = None
    until: str | None = None
    kept_for: str | None = None
    reviewed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Unit events with their `seq`, and where older ones begin."""

    units: Sequence[Mapping[str, Any]]
    next_before_seq: int | None


class UnitSource(Protocol):
    """The source of units. Event loop only; RetryableError if it cannot be read now."""

    async def units(self, wanted: Wanted) -> Found:
        """A page of units."""

    async def unit(self, event_id: str) -> Mapping[str, Any] | None:
        """One unit event; None where there is none, or none any more."""

    async def reviews(self, event_ids: list[str]) -> Mapping[str, Sequence[KeptReview]]:
        """The reviews that apply, by unit event."""

    async def history(self, event_id: str) -> Sequence[KeptReview]:
        """All reviews of a unit, oldest first, also those that no longer apply."""

    async def codes(self, event: Mapping[str, Any]) -> Sequence[str]:
        """The codes that a defect of this unit may have."""

    async def review(self, review: Review) -> None:
        """Keep a review; returns once it is on the disk."""

    async def figures(self, hours: int) -> dict[str, Any]:
        """Shift, day, and a series over the last hours."""


def unit_routes(source: UnitSource, pictures: UnitPictureFiles) -> list[Route]:
    """The routes: 400 for an unreadable request, 404 if not found, 503 if the journal fails."""

    async def units(request: Request) -> Response:
        found = await source.units(_wanted(request.query_params))
        reviews = await source.reviews([unit["id"] for unit in found.units])
        listed = [_listed(unit, reviews.get(unit["id"], ())) for unit in found.units]
        return json_answer({"units": listed, "next": found.next_before_seq})

    async def sheet(request: Request) -> Response:
        content = await csv_of(source, _wanted({**request.query_params, "limit": str(MAX_LIMIT)}))
        headers = {"Content-Disposition": 'attachment; filename="units.csv"'}
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)

    async def unit(request: Request) -> Response:
        event = await unit_event(source, request)
        if event is None:
            return gone("unit")
        history = await source.history(event["id"])
        return json_answer(
            {
                "unit": brief(event),
                "event": event,
                "reviews": [shown(one) for one in standing(history)],
                "history": [shown(one) for one in history],
                "codes": list(await source.codes(event)),
            }
        )

    async def image(request: Request) -> Response:
        event = await unit_event(source, request)
        if event is None or not event["evidence"]:
            return gone("picture")
        return await _picture(
            pictures, event["evidence"][0]["uri"], small="thumb" in request.query_params
        )

    review = review_endpoint(
        lambda request: unit_event(source, request),
        source.history,
        source.codes,
        source.review,
        pictures,
    )

    async def figures(request: Request) -> Response:
        hours = _number(request.query_params, "hours", 8, 1, 24)
        return json_answer(await source.figures(hours))

    return [
        Route("/api/units", _guarded(units)),
        Route("/api/units.csv", _guarded(sheet)),
        Route("/api/units/{id}", _guarded(unit)),
        Route("/api/units/{id}/image", _guarded(image)),
        Route("/api/units/{id}/reviews", _guarded(review), methods=["POST"]),
        Route("/api/figures", _guarded(figures)),
    ]


def _listed(event: Mapping[str, Any], reviews: Sequence[KeptReview]) -> dict[str, Any]:
    return {**brief(event), "seq": event["seq"], "reviews": [shown(one) for one in reviews]}


async def _picture(pictures: UnitPictureFiles, uri: str, *, small: bool) -> Response:
    # A picture named in a unit's event never changes; it can only be deleted.
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    if small:
        thumb = await pictures.thumb(uri)
        content = None if thumb is None else thumb.jpeg
        if thumb is not None:
            headers["Picture-Width"] = str(thumb.width_px)
            headers["Picture-Height"] = str(thumb.height_px)
    else:
        content = await pictures.picture(uri)
    if content is None:
        return gone("picture")
    return Response(content, media_type="image/jpeg", headers=headers)


async def csv_of(source: UnitSource, wanted: Wanted) -> bytes:
    """The newest units of this query as a sheet, up to its limits."""
    rows: list[Mapping[str, Any]] = []
    reviews: dict[str, Sequence[KeptReview]] = {}
    for _ in range(CSV_PAGES):
        found = await source.units(wanted)
        rows += found.units
        reviews.update(await source.reviews([unit["id"] for unit in found.units]))
        if found.next_before_seq is None or len(rows) >= CSV_ROWS:
            break
        wanted = replace(wanted, before_seq=found.next_before_seq)
    return sheet_of(rows[:CSV_ROWS], reviews)


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadRequestError as error:
            return line(error.status, str(error))
        except RetryableError as error:
            return line(503, str(error))

    return answer


async def unit_event(source: UnitSource, request: Request) -> Mapping[str, Any] | None:
    """The event that the address names; None where there is none, or none any more."""
    event_id = request.path_params["id"]
    return await source.unit(event_id) if _ULID.fullmatch(event_id) else None


def _wanted(query: Mapping[str, str]) -> Wanted:
    result = _one_of(query, "result", list(Result))
    text = (query.get("text") or "").strip()[:MAX_TEXT]
    before = query.get("before")
    return Wanted(
        limit=_number(query, "limit", 50, 1, MAX_LIMIT),
        before_seq=None if not before else _number(query, "before", 1, 1, 2**53),
        result=result,
        code=(query.get("code") or "")[:MAX_TEXT] or None,
        camera=(query.get("camera") or "")[:MAX_TEXT] or None,
        text=text or None,
        product=(query.get("product") or "")[:MAX_TEXT] or None,
        order=(query.get("order") or "")[:MAX_TEXT] or None,
        since=_moment(query, "since"),
        until=_moment(query, "until"),
        kept_for=_one_of(query, "kept_for", list(KeptFor)),
        reviewed={None: None, "yes": True, "no": False}[_one_of(query, "reviewed", ["yes", "no"])],
    )


def _one_of(query: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    text = query.get(name) or None
    if text is not None and text not in known:
        raise BadRequestError(f"{name} is {text[:40]!r}, expected one of {', '.join(known)}")
    return text


def _moment(query: Mapping[str, str], name: str) -> str | None:
    """A time as events say it."""
    text = query.get(name)
    if not text:
        return None
    refused = BadRequestError(
        f"{name} is {text[:40]!r}, expected a time with its offset, as 2026-11-30T06:00:00+01:00"
    )
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in an address
        told = moment.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError) as error:
        raise refused from error
    if moment.tzinfo is None:
        raise refused
    return told


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and least <= int(text) <= most):  # noqa: PLR2004 - of 2**53
        raise BadRequestError(f"{name} is {text[:40]!r}, expected a number from {least} to {most}")
    return int(text)
