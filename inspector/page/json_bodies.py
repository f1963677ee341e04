"""What others send us over HTTP: a small JSON object, and from no page of another site."""

from __future__ import annotations

import codecs
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

MAX_BODY_BYTES = 4096


async def json_object(request: Request, *, example: str) -> dict[str, Any] | Response:
    """The object in the request's body, or the answer that refuses it.

    The body must say that it is JSON, so that no page of another site can make a browser send one
    here unasked.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return line(415, f"Content-Type is {kind[:64]!r}, expected application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return line(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        fields = orjson.loads(body.removeprefix(codecs.BOM_UTF8))  # RFC 8259, 8.1
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        return line(400, f"the body is no JSON object, expected {example}")
    return fields


def line(status: int, text: str) -> Response:
    """An answer of one line."""
    return PlainTextResponse(text + "\n", status)
