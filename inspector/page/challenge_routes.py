"""`/api/challenge`: which known parts are due, and the progress of a challenge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inspector.page.answers import json_answer


class ChallengeSource(Protocol):
    """The known parts of the station. Event loop only."""

    def status(self) -> Mapping[str, Any]:
        """`sets` of the product in force, what is `running`, and the `last` one that ended."""


def challenge_routes(source: ChallengeSource) -> list[Route]:
    """The route; commands go to `/api/commands`."""

    async def challenge(_request: Request) -> Response:
        return json_answer(source.status())

    return [Route("/api/challenge", challenge)]
