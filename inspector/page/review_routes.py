"""`POST /api/units/{id}/reviews`: what a person who reviews a unit may say about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from inspector.core.plain_text import plain
from inspector.core.records import Judgement, KeptFor, Result, Review
from inspector.page.answers import (
    BadRequestError,
    Endpoint,
    Said,
    gone,
    json_answer,
    json_said,
    line,
)
from inspector.page.unit_pictures import UnitPictureFiles
from inspector.reviews.standing import KeptReview, standing

MAX_BODY_BYTES = 4096
MAX_COMMENT, MAX_NAME = 300, 64
MIN_SIDE_PX = 1.0
_EXPECTED = '{"judgement": "…"}'

Size = tuple[int, int]
"""Width and height of a picture."""


class ReviewSaid(Said):
    """The body of a request to review a unit."""

    judgement: Judgement
    comment: Annotated[str, Field(max_length=MAX_COMMENT)] | None = None
    by: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    defect_id: str | None = None
    code: str | None = None
    bbox_px: Annotated[list[float], Field(min_length=4, max_length=4)] | None = None
    """Left, top, width and height, on the unit's picture."""
    takes_back: str | None = None
    """The id of a review."""


class RefusedError(ValueError):
    """It can be read, but it contradicts the unit or an earlier review of it."""


def review_endpoint(
    unit_event: Callable[[Request], Awaitable[Mapping[str, Any] | None]],
    reviews_of: Callable[[str], Awaitable[Sequence[KeptReview]]],
    codes_of: Callable[[Mapping[str, Any]], Awaitable[Sequence[str]]],
    keep: Callable[[Review], Awaitable[None]],
    pictures: UnitPictureFiles,
) -> Endpoint:
    """The route: 400 if it cannot be read, 404 for no such unit, 409 if it does not fit it."""

    async def review(request: Request) -> Response:
        event = await unit_event(request)
        if event is None:
            return gone("unit")
        said = await json_said(request, MAX_BODY_BYTES, ReviewSaid, expected=_EXPECTED)
        size = None
        if said.bbox_px is not None and event["evidence"]:
            size = await pictures.size(event["evidence"][0]["uri"])
        try:
            said_now = review_said(
                event,
                said,
                reviews=await reviews_of(event["id"]),
                codes=await codes_of(event),
                size=size,
            )
        except RefusedError as refused:
            return line(409, str(refused))
        await keep(said_now)
        held = standing(await reviews_of(event["id"]))
        return json_answer({"reviews": [shown(one) for one in held]}, 201)

    return review


def shown(review: KeptReview) -> dict[str, Any]:
    """A review as the page and programs get it."""
    return {
        "id": review.id,
        "defect_id": review.defect_id,
        "judgement": review.judgement.value,
        "time": review.time,
        "code": review.code,
        "bbox_px": review.bbox_px,
        "comment": review.comment,
        "by": review.by,
        "takes_back": review.takes_back,
    }


def review_said(
    event: Mapping[str, Any],
    said: ReviewSaid,
    *,
    reviews: Sequence[KeptReview],
    codes: Sequence[str],
    size: Size | None,
) -> Review:
    """The review, checked against the unit.

    `codes` are those that the unit's product knows, `size` is that of its picture.

    Raises:
        BadRequestError: it cannot be read.
        RefusedError: it does not fit the unit.

    """
    judgement = said.judgement
    common = {
        "unit_event_id": event["id"],
        "unit_id": event["unit"]["id"],
        "camera": event["camera"],
        "judgement": judgement,
        "comment": plain(said.comment or "").strip(),
        "by": plain(said.by or "").strip(),
        "unit_result": Result(event["result"]),
        "kept_for": _kept_for(event),
    }
    if judgement is Judgement.WITHDRAWN:
        return Review(**common, **_taken_back(said, standing(reviews)))
    if judgement is Judgement.MISSED:
        return Review(**common, **_missed(event, said, codes, size))
    _require_a_call(event, judgement, standing(reviews))
    return Review(**common, **_called(event, said))


def _kept_for(event: Mapping[str, Any]) -> KeptFor | None:
    """Why the picture was kept. Older events do not say it: PASSED units were samples then."""
    if not event["evidence"]:
        return None
    of_before = KeptFor.SAMPLE if event["result"] == Result.PASSED else KeptFor.VERDICT
    return KeptFor(event["evidence"][0].get("kept_for", of_before))


def _require_a_call(
    event: Mapping[str, Any], judgement: Judgement, held: Sequence[KeptReview]
) -> None:
    result = event["result"]
    if judgement is Judgement.FALSE_CALL and result != Result.FAILED:
        raise RefusedError(f"the unit is {result}: only a FAILED one claims a defect")
    if judgement is Judgement.CONFIRMED and result not in (Result.PASSED, Result.FAILED):
        raise RefusedError(f"the unit is {result}: there is no verdict to confirm")
    if result == Result.PASSED and any(one.judgement is Judgement.MISSED for one in held):
        raise RefusedError("a missed defect is marked on the unit: take that back first")


def _called(event: Mapping[str, Any], said: ReviewSaid) -> dict[str, Any]:
    defect_id = said.defect_id
    codes = {d["id"]: d["code"] for d in event["defects"]}
    if defect_id is not None and defect_id not in codes:
        raise BadRequestError("defect_id is none of this unit's defects")
    if said.bbox_px is not None:
        raise BadRequestError("bbox_px is for MISSED: a defect that was called has its place")
    if defect_id is None:
        return {"defect_id": None, "code": None, "codes": tuple(codes.values())}
    return {"defect_id": defect_id, "code": codes[defect_id], "codes": (codes[defect_id],)}


def _missed(
    event: Mapping[str, Any],
    said: ReviewSaid,
    codes: Sequence[str],
    size: Size | None,
) -> dict[str, Any]:
    if said.defect_id is not None:
        raise BadRequestError("defect_id is for what was called; what was missed has none")
    code = said.code
    if code is not None and code not in codes:
        raise BadRequestError(f"code is {code[:40]!r}, expected one of {', '.join(codes)}")
    box = said.bbox_px
    if box is not None and not event["evidence"]:
        raise RefusedError("no picture of the unit was kept on which a box could lie")
    if box is not None and size is None:
        raise RefusedError("the unit's picture is no longer there: no box can be drawn on it")
    return {
        "defect_id": None,
        "code": code,
        "codes": () if code is None else (code,),
        "bbox_px": None if box is None or size is None else _box(box, size),
    }


def _box(box: Sequence[float], size: Size) -> tuple[float, float, float, float]:
    """A box within a picture of that size, to a tenth of a pixel; any other is refused."""
    x, y, width, height = (round(n, 1) for n in box)
    if width < MIN_SIDE_PX or height < MIN_SIDE_PX:
        raise BadRequestError(f"bbox_px is {width:g} x {height:g} pixels, expected 1 x 1 or more")
    right, bottom = round(x + width, 1), round(y + height, 1)
    if x < 0 or y < 0 or right > size[0] or bottom > size[1]:
        raise BadRequestError(
            f"bbox_px reaches from {x:g}, {y:g} to {right:g}, {bottom:g}, "
            f"expected within the picture, {size[0]} x {size[1]}"
        )
    return x, y, width, height


def _taken_back(said: ReviewSaid, held: Sequence[KeptReview]) -> dict[str, Any]:
    wanted = said.takes_back
    if wanted is None:
        raise BadRequestError("takes_back is missing, expected the id of the review to take back")
    review = next((one for one in held if one.id == wanted), None)
    if review is None:
        raise RefusedError("that review no longer applies: there is a newer one")
    return {
        "takes_back": review.id,
        "defect_id": review.defect_id,
        "code": review.code,
        "codes": review.codes,
        "bbox_px": review.bbox_px,
    }
