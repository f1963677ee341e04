"""What the routes of the page have in common: how they read a body, and how they answer."""

from __future__ import annotations

import codecs
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from inspector.core.plain_text import as_json
from inspector.settings.wording import sentence

Endpoint = Callable[[Request], Awaitable[Response]]


class BadRequestError(ValueError):
    """The request cannot be read; says what was found and what was expected."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status: a wrong type or size differs from wrong content."""


class Said(BaseModel):
    """The body of a request: exact types; fields that nobody knows are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


_EXPECTED_JSON = {
    "dict_type": "a JSON object",
    "model_type": "a JSON object",
    "tuple_type": "a list",
}
"""Where settings speak of sections and keys."""
_Said = TypeVar("_Said", bound=Said)


async def json_object(request: Request, limit_bytes: int, *, expected: str) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        BadRequestError: it is something else, or larger.

    """
    body = await _json_body(request, limit_bytes)
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise _not_an_object(expected)
    return content


async def json_said(
    request: Request, limit_bytes: int, kind: type[_Said], *, expected: str
) -> _Said:
    """The body as a JSON object of this kind.

    Raises:
        BadRequestError: it is something else, or larger.

    """
    return read_said(await _json_body(request, limit_bytes), kind, expected=expected)


def read_said(body: bytes, kind: type[_Said], *, expected: str) -> _Said:
    """What such a body says; `expected` is an example of one.

    Raises:
        BadRequestError: it is something else; names the field, what was found and expected.

    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False)
    if not first["loc"]:
        raise _not_an_object(expected)
    where = [str(part + 1) if isinstance(part, int) else part for part in first["loc"]]
    raise BadRequestError(f"{'.'.join(where)}: {_problem(first, where, kind)}")


def _problem(detail: ErrorDetails, where: list[str], kind: type[Said]) -> str:
    if detail["type"] == "missing":
        return "missing"
    if detail["type"] not in _EXPECTED_JSON:
        return sentence(detail, where, kind)
    return f"found {repr(detail['input'])[:40]}; expected {_EXPECTED_JSON[detail['type']]}"


def _not_an_object(expected: str) -> BadRequestError:
    return BadRequestError(f"the body is no JSON object, expected {expected}")


async def _json_body(request: Request, limit_bytes: int) -> bytes:
    """The body, which must say that it is JSON: no form of another site can send that."""
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
    return body.removeprefix(codecs.BOM_UTF8)  # RFC 8259, 8.1


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
