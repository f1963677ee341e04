"""`/api/units` and what belongs to it: the journal's units, their pictures, second looks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inspector.core.errors import RetryableError
from inspector.core.records import Judgement, Result, Review
from inspector.page.answers import (
    BadRequestError,
    Endpoint,
    gone,
    json_answer,
    json_object,
    line,
)
from inspector.page.briefs import brief
from inspector.page.unit_pictures import UnitPictureFiles

MAX_LIMIT = 200
MAX_BODY_BYTES = 1024
MAX_TEXT = 128
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which units."""

    limit: int
    before_seq: int | None
    result: str | None
    code: str | None
    camera: str | None
    text: str | None
    product: str | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Unit events with their `seq`, and from where on there are older ones."""

    units: Sequence[Mapping[str, Any]]
    next_before_seq: int | None


class UnitSource(Protocol):
    """Where units come from. Event loop only; RetryableError where it cannot be read now."""

    async def units(self, wanted: Wanted) -> Found:
        """A page of units."""

    async def unit(self, event_id: str) -> Mapping[str, Any] | None:
        """One unit event; None where there is none, or none any more."""

    async def reviews(self, event_ids: list[str]) -> Mapping[str, list[dict[str, Any]]]:
        """The latest second looks, by unit event."""

    async def review(self, review: Review) -> None:
        """Keep a second look; returns once it is on the disk."""

    async def figures(self, hours: int) -> dict[str, Any]:
        """Shift, day, and a series over the last hours."""


def unit_routes(source: UnitSource, pictures: UnitPictureFiles) -> list[Route]:
    """The routes. What cannot be read is 400, what is not there 404, a journal in trouble 503."""

    async def units(request: Request) -> Response:
        found = await source.units(_wanted(request.query_params))
        reviews = await source.reviews([u["id"] for u in found.units])
        return json_answer(
            {
                "units": [
                    {**brief(u), "seq": u["seq"], "reviews": reviews.get(u["id"], [])}
                    for u in found.units
                ],
                "next": found.next_before_seq,
            }
        )

    async def unit(request: Request) -> Response:
        event = await unit_event(source, request)
        if event is None:
            return gone("unit")
        reviews = await source.reviews([event["id"]])
        return json_answer(
            {"unit": brief(event), "event": event, "reviews": reviews.get(event["id"], [])}
        )

    async def image(request: Request) -> Response:
        event = await unit_event(source, request)
        if event is None or not event["evidence"]:
            return gone("picture")
        uri = event["evidence"][0]["uri"]
        # What a unit's event names never changes; it may only go.
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        if "thumb" in request.query_params:
            small = await pictures.thumb(uri)
            content = None if small is None else small.jpeg
            if small is not None:
                headers["Picture-Width"] = str(small.width_px)
                headers["Picture-Height"] = str(small.height_px)
        else:
            content = await pictures.picture(uri)
        if content is None:
            return gone("picture")
        return Response(content, media_type="image/jpeg", headers=headers)

    async def figures(request: Request) -> Response:
        hours = _number(request.query_params, "hours", 8, 1, 24)
        return json_answer(await source.figures(hours))

    return [
        Route("/api/units", _guarded(units)),
        Route("/api/units/{id}", _guarded(unit)),
        Route("/api/units/{id}/image", _guarded(image)),
        Route("/api/units/{id}/reviews", _guarded(_review_of(source)), methods=["POST"]),
        Route("/api/figures", _guarded(figures)),
    ]


def _review_of(source: UnitSource) -> Endpoint:
    async def review(request: Request) -> Response:
        event = await unit_event(source, request)
        if event is None:
            return gone("unit")
        if event["result"] != Result.FAILED:
            return line(409, f"the unit is {event['result']}: only a FAILED one claims a defect")
        said = await json_object(request, MAX_BODY_BYTES, expected='{"judgement": "…"}')
        await source.review(_judged(event, said))
        reviews = await source.reviews([event["id"]])
        return json_answer({"reviews": reviews.get(event["id"], [])}, 201)

    return review


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadRequestError as error:
            return line(400, str(error))
        except RetryableError as error:
            return line(503, str(error))

    return answer


async def unit_event(source: UnitSource, request: Request) -> Mapping[str, Any] | None:
    """The event that the address names; None where there is none, or none any more."""
    event_id = request.path_params["id"]
    return await source.unit(event_id) if _ULID.fullmatch(event_id) else None


def _wanted(query: Mapping[str, str]) -> Wanted:
    result = query.get("result") or None
    if result is not None and result not in set(Result):
        raise BadRequestError(f"result is {result[:40]!r}, expected one of {', '.join(Result)}")
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
    )


def _number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and least <= int(text) <= most):  # noqa: PLR2004 - of 2**53
        raise BadRequestError(f"{name} is {text[:40]!r}, expected a number from {least} to {most}")
    return int(text)


def _judged(event: Mapping[str, Any], said: Mapping[str, Any]) -> Review:
    judgement, defect_id = said.get("judgement"), said.get("defect_id")
    if judgement not in set(Judgement):
        expected = " or ".join(Judgement)
        raise BadRequestError(f"judgement is {str(judgement)[:40]!r}, expected {expected}")
    codes = {d["id"]: d["code"] for d in event["defects"]}
    if defect_id is not None and defect_id not in codes:
        raise BadRequestError("defect_id is none of this unit's defects")
    return Review(
        unit_event_id=event["id"],
        unit_id=event["unit"]["id"],
        camera=event["camera"],
        judgement=Judgement(judgement),
        defect_id=defect_id,
        code=None if defect_id is None else codes[defect_id],
    )
