"""The HTTP side: metrics, health, status. Read-only; never touches the pipeline."""

from __future__ import annotations

import asyncio
import errno
import html
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inspector.errors import ConfigurationError
from inspector.sections import HttpSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What there is to show; each is called per request, on the event loop."""

    metrics: Callable[[], bytes]
    health: Callable[[], tuple[bool, dict[str, Any]]]
    readiness: Callable[[], tuple[bool, dict[str, Any]]]
    status: Callable[[], dict[str, Any]]


def build_app(views: Views, token: str | None, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The routes, and `more`; with a token, only /healthz and /readyz answer without it."""

    async def metrics(_request: Request) -> Response:
        return Response(views.metrics(), media_type=CONTENT_TYPE_LATEST)

    async def health(_request: Request) -> Response:
        return _verdict(*views.health())

    async def readiness(_request: Request) -> Response:
        return _verdict(*views.readiness())

    async def status(_request: Request) -> Response:
        return _json(views.status())

    async def index(_request: Request) -> Response:
        return Response(_index_page(views.status()), media_type="text/html")

    routes = [
        Route("/", index),
        Route("/metrics", metrics),
        Route("/healthz", health),
        Route("/readyz", readiness),
        Route("/api/status", status),
        *more,
    ]
    middleware = [Middleware(_RequireToken, token=token)] if token else []
    return Starlette(routes=routes, middleware=middleware)


def _json(content: object, status_code: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code, media_type="application/json")


def _verdict(good: bool, detail: dict[str, Any]) -> Response:  # noqa: FBT001 - from a pair
    return _json(detail, 200 if good else 503)


def _index_page(status: dict[str, Any]) -> str:
    """Where to look; the state itself is for programs."""
    station = html.escape(status["station"])
    links = "".join(
        f'<li><a href="{path}">{path}</a>: {what}</li>'
        for path, what in (
            ("/api/status", "state, as JSON"),
            ("/metrics", "for Prometheus"),
            ("/healthz", "200 while verdicts make progress"),
            ("/readyz", "200 while units can be inspected"),
        )
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{station}</title>'
        f"<h1>inspector, station {station}</h1><ul>{links}</ul></html>"
    )


class _RequireToken:
    """Lets a request in that carries `Authorization: Bearer <token>`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 instead of the application where the token is wrong."""
        if scope["type"] == "http" and scope["path"] not in ("/healthz", "/readyz"):
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not secrets.compare_digest(given, self._expected):
                refusal = PlainTextResponse(
                    "a token is needed\n", 401, headers={"WWW-Authenticate": "Bearer"}
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        return (
            f"http.port: cannot listen on {host}:{port}: {error.strerror}; "
            "expected a free port of 1024 or more, or 0 for any"
        )
    return (
        f"http.host: cannot listen on {host}:{port}: {error.strerror}; "
        "expected an address of this machine"
    )


class HttpServer(uvicorn.Server):
    """uvicorn beside the pipeline: its own socket, and no signal handlers of its own."""

    def __init__(self, app: Starlette, settings: HttpSettings) -> None:
        """Bind at once.

        Raises:
            ConfigurationError: the address cannot be used.

        """
        super().__init__(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
        )
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            self._socket.bind((settings.host, settings.port))
            # Now, so that of two that bind in the same moment one is refused here.
            self._socket.listen()
        except OSError as error:
            self._socket.close()
            raise ConfigurationError(_refusal(host, settings.port, error)) from error
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM to the supervisor."""
        yield

    async def run_until_cancelled(self) -> None:
        """Serve; closes the socket, and connections that clients keep open, in the end."""
        try:
            await self.serve(sockets=[self._socket])
        finally:
            # uvicorn does this only when it ends by itself.
            for server in getattr(self, "servers", ()):
                server.close()
            for connection in list(self.server_state.connections):
                connection.shutdown()
            self._socket.close()
            await asyncio.sleep(0)  # the loop closes what was shut down
