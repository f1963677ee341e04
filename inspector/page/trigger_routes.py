"""Triggers over HTTP: for a PLC or an MES that does not speak Redis."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Protocol

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from inspector.triggers.external.messages import TriggerOutcome, TriggerReceipt

MAX_BODY_BYTES = 4096
_STATUS = {
    TriggerOutcome.ACCEPTED: 202,
    TriggerOutcome.MALFORMED: 400,
    TriggerOutcome.UNKNOWN_CAMERA: 404,
    TriggerOutcome.NOT_EXTERNAL: 409,
    TriggerOutcome.DOUBLED: 409,
    TriggerOutcome.REFUSED: 503,
}


class Desk(Protocol):
    """Takes triggers. Event loop only."""

    def submit(self, fields: Mapping[str, object]) -> TriggerReceipt:
        """A trigger that was received just now."""


def trigger_routes(desk: Desk) -> list[Route]:
    """`POST /api/trigger` with `{"unit_id": …, "at": …, "camera": …}`, the latter two optional.

    202 with the unit's number, or another status and one line of text. The application's token is
    asked for as everywhere; the body must say that it is JSON, so that no page of another site
    can make a browser trigger units here unasked.
    """

    async def trigger(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return _line(415, f"Content-Type is {kind[:64]!r}, expected application/json")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return _line(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        try:
            fields = orjson.loads(body.removeprefix(codecs.BOM_UTF8))  # RFC 8259, 8.1
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict):
            return _line(400, 'the body is no JSON object, expected {"unit_id": "…"}')
        receipt = desk.submit(fields)
        status = _STATUS[receipt.outcome]
        if receipt.outcome is not TriggerOutcome.ACCEPTED:
            return _line(status, receipt.problem)
        told = {"unit_id": receipt.unit_id, "camera": receipt.camera, "number": receipt.number}
        return Response(orjson.dumps(told), status, media_type="application/json")

    return [Route("/api/trigger", trigger, methods=["POST"])]


def _line(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)
