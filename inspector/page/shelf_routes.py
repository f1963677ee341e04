"""`/api/products`, `/api/teaching`: the station's job, and what it knows about its products."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inspector.core.errors import ConfigurationError, RetryableError
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
from inspector.page.unit_routes import UnitSource, unit_event

MAX_ZONES_BYTES = 262_144
_EXPECTED = '{"zones": [{"name": …, "polygon": [[x, y], …]}]}'
_UNIT_PICTURE = re.compile(r"(\d{1,9})\.jpg")
_FOR_A_DAY = {"Cache-Control": "private, max-age=86400, immutable"}
"""A version never changes, and its number is not given twice."""
_PICTURES = {"mean.png": "image/png", "deviation.png": "image/png"}


class ZoneDrawn(Said):
    """A part of the unit as somebody drew it; whether it fits the product is not checked yet."""

    name: str
    polygon: tuple[tuple[float, float], ...]
    """Corners in pixels."""
    ignore: bool = False
    thresholds: dict[str, float] = Field(default_factory=dict)
    """From 0 to 1, by code."""


class ZonesSaid(Said):
    """All zones of a product."""

    zones: tuple[ZoneDrawn, ...]


class ProductSource(Protocol):
    """What the station knows about its products. Event loop only.

    ConfigurationError if something of a product is wrong, RetryableError if it cannot be read now;
    each with a line for people.
    """

    def job(self) -> Mapping[str, Any]:
        """What is being made: `product`, `revision`, `order`, `lot`, `state`, `reference`, …."""

    async def products(self) -> Sequence[Mapping[str, Any]]:
        """Every product, by name: `name`, `revision`, `reference`, `problem`."""

    async def product(self, name: str) -> Mapping[str, Any] | None:
        """One product with its references and zones; None: there is none of this name."""

    async def picture(self, name: str, number: int, picture: str) -> bytes | None:
        """`mean.png`, `deviation.png` or a unit's `<number>.jpg`; None: it is not there."""

    def teaching(self) -> Mapping[str, Any] | None:
        """What is being taught, unit by unit; None: nothing."""

    async def reference_on(self, reference_id: str, picture_jpeg: bytes) -> bytes | None:
        """The reference as a JPEG, laid where a unit lies in its picture; None: not there."""

    async def draw_zones(self, name: str, zones: Sequence[ZoneDrawn]) -> Mapping[str, Any]:
        """Put these in place of a product's zones: its next revision."""


def shelf_routes(
    source: ProductSource, units: UnitSource, pictures: UnitPictureFiles
) -> list[Route]:
    """The routes: 400 for an unreadable request, 404 for an unknown name, 409 for a refusal."""

    async def products(_request: Request) -> Response:
        return json_answer({"job": source.job(), "products": await source.products()})

    async def product(request: Request) -> Response:
        found = await source.product(request.path_params["name"])
        return gone("product") if found is None else json_answer(found)

    async def teaching(_request: Request) -> Response:
        return json_answer({"teaching": source.teaching()})

    async def zones(request: Request) -> Response:
        said = await json_said(request, MAX_ZONES_BYTES, ZonesSaid, expected=_EXPECTED)
        return json_answer(await source.draw_zones(request.path_params["name"], said.zones))

    return [
        Route("/api/units/{id}/reference", _guarded(_beside(source, units, pictures))),
        Route("/api/products", _guarded(products)),
        # A product's name may hold slashes: the longer paths come first.
        Route("/api/products/{name:path}/zones", _guarded(zones), methods=["PUT"]),
        Route(
            "/api/products/{name:path}/reference/{number:int}/{picture}",
            _guarded(_picture_of(source)),
        ),
        Route("/api/products/{name:path}", _guarded(product)),
        Route("/api/teaching", _guarded(teaching)),
    ]


def _picture_of(source: ProductSource) -> Endpoint:
    async def picture(request: Request) -> Response:
        name, number, which = (request.path_params[k] for k in ("name", "number", "picture"))
        if which not in _PICTURES and not _UNIT_PICTURE.fullmatch(which):
            return gone("picture")
        content = await source.picture(name, number, which)
        if content is None:
            return gone("picture")
        media_type = _PICTURES.get(which, "image/jpeg")
        return Response(content, media_type=media_type, headers=_FOR_A_DAY)

    return picture


def _beside(source: ProductSource, units: UnitSource, pictures: UnitPictureFiles) -> Endpoint:
    async def beside(request: Request) -> Response:
        event = await unit_event(units, request)
        if event is None or not event["evidence"] or not event.get("reference"):
            return gone("reference")
        picture = await pictures.picture(event["evidence"][0]["uri"])
        if picture is None:
            return gone("picture")
        laid = await source.reference_on(event["reference"]["id"], picture)
        if laid is None:
            return gone("reference")
        return Response(laid, media_type="image/jpeg", headers=_FOR_A_DAY)

    return beside


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadRequestError as error:
            return line(error.status, str(error))
        except ConfigurationError as error:
            return line(409, "; ".join(error.problems))
        except RetryableError as error:
            return line(503, str(error))

    return answer
