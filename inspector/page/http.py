"""The HTTP side: the operator's page, metrics, health, status."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from inspector.core.errors import ConfigurationError
from inspector.core.plain_text import as_json
from inspector.ops.descriptors import MOST_CONNECTIONS
from inspector.page.access import Guard, login_routes
from inspector.page.connections import (
    BACKLOG,
    ConnectionBook,
    GuardedHttp,
    GuardedState,
    GuardedWebSocket,
    Listener,
    OnceInAWhile,
    Patience,
)
from inspector.page.static_files import StaticFiles
from inspector.settings.sections import HttpSettings

_LOGGERS = ("uvicorn.error", "asyncio")
MAX_WEBSOCKET_BYTES = 1024
"""The limit for a message from a viewer, which only ever says "next"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSources:
    """Sources of the answers; each is called per request, on the event loop."""

    metrics: Callable[[], bytes]
    health: Callable[[], tuple[bool, dict[str, Any]]]
    readiness: Callable[[], tuple[bool, dict[str, Any]]]
    status: Callable[[], dict[str, Any]]


def build_app(views: StatusSources, token: str | None, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The page, the routes, and `more`.

    With a token, only /healthz and /readyz answer without it, and the form to log in.
    """

    async def metrics(_request: Request) -> Response:
        return Response(views.metrics(), media_type=CONTENT_TYPE_LATEST)

    async def health(_request: Request) -> Response:
        return _verdict(*views.health())

    async def readiness(_request: Request) -> Response:
        return _verdict(*views.readiness())

    async def status(_request: Request) -> Response:
        return _json(views.status())

    files = StaticFiles()
    routes: list[BaseRoute] = [
        *files.routes(),
        Route("/metrics", metrics),
        Route("/healthz", health),
        Route("/readyz", readiness),
        Route("/api/status", status),
        *more,
    ]
    if token is not None:
        routes += login_routes(token, lambda request: files.answer(request, "login.html"))
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)])


def _json(content: object, status_code: int = 200) -> Response:
    return Response(as_json(content), status_code, media_type="application/json")


def _verdict(good: bool, detail: dict[str, Any]) -> Response:  # noqa: FBT001 - from a pair
    return _json(detail, 200 if good else 503)


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


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        opened = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        # At once: of two processes that bind at the same moment, one is refused here.
        opened.listen(BACKLOG)
        stack.pop_all()
        return opened


def _ignore(_why: str) -> None:
    """Do not count closed connections."""


class HttpServer(uvicorn.Server):
    """uvicorn beside the pipeline: its own socket, bounded connections, no signal handlers."""

    def __init__(
        self,
        app: Starlette,
        settings: HttpSettings,
        *,
        connections: int = MOST_CONNECTIONS,
        on_closed: Callable[[str], None] = _ignore,
        patience: Patience | None = None,
    ) -> None:
        """Bind at once; `on_closed` hears why a connection was closed: `full` or `late`.

        Raises:
            ConfigurationError: the address cannot be used.

        """
        self._listener: Listener | None = None
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                http=GuardedHttp,
                ws=GuardedWebSocket,
                ws_max_size=MAX_WEBSOCKET_BYTES,
                ws_per_message_deflate=False,  # JPEGs cannot be compressed further
            )
        )
        self.book = ConnectionBook(connections, on_closed=on_closed, patience=patience)
        self.server_state = GuardedState(self.book)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            self._socket = _listening(settings.host, settings.port)
        except OSError as error:
            raise ConfigurationError(_refusal(host, settings.port, error)) from error
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM to the supervisor."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen ourselves: see Listener."""
        del sockets
        await self.lifespan.startup()
        self.servers = []

        def make_protocol() -> asyncio.Protocol:
            return GuardedHttp(self.config, self.server_state, self.lifespan.state)

        self._listener = Listener(self._socket, self.book, make_protocol)
        self.started = True

    async def run_until_cancelled(self) -> None:
        """Serve; closes the socket, and connections that clients keep open, in the end."""
        once = OnceInAWhile()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(once)
        checking = asyncio.create_task(self.book.check_for_ever(), name="http/patience")
        try:
            await self.serve(sockets=[self._socket])
        finally:
            checking.cancel()
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(once)
            if self._listener is not None:
                self._listener.close()
            # uvicorn does this only when it ends by itself.
            for connection in list(self.server_state.connections):
                connection.shutdown()
            for task in list(self.server_state.tasks):  # viewers of live pictures
                task.cancel()
            self._socket.close()
            await asyncio.sleep(0)  # the loop closes the connections that were shut down
