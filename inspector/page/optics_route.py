"""`/api/optics`: the optical state of the cameras, compared with usual values, and its history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inspector.page.answers import json_answer


def optics_route(shown: Callable[[], Sequence[Mapping[str, Any]]]) -> Route:
    """`shown`: every camera with its measures. Event loop only."""

    async def optics(_request: Request) -> Response:
        return json_answer({"cameras": shown()})

    return Route("/api/optics", optics)
