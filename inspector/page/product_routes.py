"""Commands over HTTP: for an MES or people without Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inspector.core.changes import Change
from inspector.page.answers import BadRequestError, json_object, line
from inspector.products.commands import Request as Command
from inspector.products.commands import read_request

BY = "http"
MAX_BODY_BYTES = 4096


class TakesCommands(Protocol):
    """Answers commands. Event loop only."""

    async def submit(self, request: Command, *, by: str) -> Change | None:
        """The answer, once it is on its way to the journal; None: none is given now."""


def product_routes(commands: TakesCommands) -> list[Route]:
    """`POST /api/commands` with the fields of a command, as in the stream of commands.

    `POST /api/product` takes them too; there it is `set_product` without `command`.
    200 with what holds from which unit on, or another status and one line of text. The
    application's token is asked for as everywhere.
    """

    async def product(request: Request) -> Response:
        return await answer(request, '{"product": "…"}', {"command": "set_product"})

    async def any_command(request: Request) -> Response:
        return await answer(request, '{"command": "…"}', {})

    async def answer(request: Request, expected: str, usual: Mapping[str, str]) -> Response:
        try:
            fields = await json_object(request, MAX_BODY_BYTES, expected=expected)
        except BadRequestError as error:
            return line(error.status, str(error))
        command = read_request({**usual, **fields})
        if command.command is None:
            return line(400, command.problem)
        # The client may disconnect; a command that has begun is completed.
        change = await asyncio.shield(asyncio.ensure_future(commands.submit(command, by=BY)))
        if change is None:
            return line(503, "the station takes no commands now")
        if not change.accepted:
            return line(409, change.problem)
        job = change.job
        told = {
            "command": change.command,
            "product": {"name": job.recipe.product, "revision": job.recipe.revision},
            "state": job.state.value,
            "effective": dict(change.effective),
        }
        return Response(orjson.dumps(told), media_type="application/json")

    return [
        Route("/api/commands", any_command, methods=["POST"]),
        Route("/api/product", product, methods=["POST"]),
    ]
