"""Triggers over HTTP: for a PLC or an MES without Redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inspector.page.answers import BadRequestError, json_object, line
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


class TakesTriggers(Protocol):
    """Takes triggers. Event loop only."""

    def submit(self, fields: Mapping[str, object]) -> TriggerReceipt:
        """A trigger that was received just now."""


def trigger_routes(receiver: TakesTriggers) -> list[Route]:
    """`POST /api/trigger` with `{"unit_id": …, "at": …, "camera": …}`, the latter two optional.

    202 with the unit's number, or another status and one line of text. The application's token is
    asked for as everywhere.
    """

    async def trigger(request: Request) -> Response:
        try:
            fields = await json_object(request, MAX_BODY_BYTES, expected='{"unit_id": "…"}')
        except BadRequestError as error:
            return line(error.status, str(error))
        receipt = receiver.submit(fields)
        status = _STATUS[receipt.outcome]
        if receipt.outcome is not TriggerOutcome.ACCEPTED:
            return line(status, receipt.problem)
        told = {"unit_id": receipt.unit_id, "camera": receipt.camera, "number": receipt.number}
        return Response(orjson.dumps(told), status, media_type="application/json")

    return [Route("/api/trigger", trigger, methods=["POST"])]
