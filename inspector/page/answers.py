"""What the routes of the page have in common: how they read a body, and how they answer."""

from __future__ import annotations

import codecs
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from inspector.core.plain_text import as_json

Endpoint = Callable[[Request], Awaitable[Response]]


class BadRequestError(ValueError):
    """What was asked for cannot be read; says what was found and what was expected."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        """Of HTTP, for routes that tell a wrong type or size from wrong content."""


async def json_object(request: Request, limit_bytes: int, *, expected: str) -> dict[str, Any]:
    """The body, which must say that it is JSON: no form of another site can send that.

    Raises:
        BadRequestError: it is something else, or larger.

    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadRequestError(
            f"Content-Type is {kind[:64]!r}, expected application/json", status=415
        )
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise BadRequestError(f"the body is larger than {limit_bytes} bytes", status=413)
    try:
        content = orjson.loads(body.removeprefix(codecs.BOM_UTF8))  # RFC 8259, 8.1
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise BadRequestError(f"the body is no JSON object, expected {expected}")
    return content


def json_answer(content: object, status: int = 200) -> Response:
    """JSON that no browser keeps."""
    headers = {"Cache-Control": "no-store"}
    return Response(as_json(content), status, headers, "application/json")


def line(status: int, text: str) -> Response:
    """One line of text."""
    return PlainTextResponse(text + "\n", status)


def gone(what: str) -> Response:
    """404."""
    return line(404, f"there is no such {what}, or no longer")
