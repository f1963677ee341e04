"""Connections of the HTTP side: a bounded number, each with time limits.

A port scanner, a leaking agent or a person with a laptop may open any number of connections and
send nothing, or half a request. They cost a bounded number of descriptors and hardly any time.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Never, Protocol, cast

import h11
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

log = structlog.get_logger("http")

POLL_INTERVAL_S = 1.0
ACCEPTS_AT_ONCE = 16
ACCEPT_PAUSE_S = 0.02
"""The pause after accepting that many at once: 800 per second leave the event loop to the line."""
BACKLOG = 4096
"""Connections that come faster wait in the kernel, at no cost, instead of being refused."""
NO_DESCRIPTOR_PAUSE_S = 1.0
QUIET_AFTER_S = 60.0
KEPT_FOR_REQUESTS = 64
"""The share of connections that viewers of live pictures leave to others."""
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a connection may stay in a phase, in seconds."""

    request_s: float = 10.0
    """From its first moment, or the last answer, until its request is complete: head and body."""
    answer_s: float = 60.0
    """From the request until its answer is ready."""
    unread_s: float = 30.0
    """Until the other side has received what was sent."""
    closing_s: float = 5.0

    def of(self, phase: str) -> float:
        """The limit for one of the phases of a connection."""
        return float(getattr(self, f"{phase}_s", float("inf")))


class Connection(Protocol):
    """What the book knows of a connection."""

    transport: asyncio.Transport

    @property
    def phase(self) -> str:
        """request, answer, unread, closing or viewing."""

    @property
    def asked(self) -> int:
        """Requests that were answered on it."""


@dataclass(slots=True)
class _Waiting:
    state: tuple[str, int]
    since_s: float


class ConnectionBook:
    """The open connections, oldest first. Event loop only."""

    def __init__(
        self, limit: int, *, on_closed: Callable[[str], None], patience: Patience | None = None
    ) -> None:
        """`on_closed` hears `full` or `late` for each connection that is closed or refused."""
        self.limit = limit
        self._on_closed = on_closed
        self._patience = patience or Patience()
        self._open: dict[asyncio.Transport, Connection] = {}
        self._waiting: dict[asyncio.Transport, _Waiting] = {}
        self._crowded_s: float | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def has_room_for_viewer(self) -> bool:
        """Whether one more may stay for good."""
        viewing = sum(c.phase == "viewing" for c in self._open.values())
        return viewing < max(self.limit // 2, self.limit - KEPT_FOR_REQUESTS)

    def opened(self, connection: Connection) -> None:
        """Add a connection; call it again for one that becomes a WebSocket."""
        self._open[connection.transport] = connection

    def closed(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        if self._open.get(connection.transport) is connection:
            del self._open[connection.transport]
            self._waiting.pop(connection.transport, None)

    def make_room(self) -> bool:
        """Close the oldest without a request, those that never made one first; False: none."""
        idle = [c for c in self._open.values() if c.phase == "request"]
        if not idle:
            return False
        self._abort(min(idle, key=lambda c: c.asked > 0), "full")
        return True

    def crowded(self, cause: str) -> None:
        """Log that there was no room, once until there has been room for a while."""
        if self._crowded_s is None:
            log.warning("too many http connections, some are closed", cause=cause, limit=self.limit)
        self._crowded_s = time.monotonic()

    def refused(self) -> None:
        """Count one that was closed as it came."""
        self._on_closed("full")

    async def check_for_ever(self) -> Never:
        """Close connections that take too long, until cancelled."""
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            self.check(time.monotonic())

    def check(self, now_s: float) -> None:
        """Close connections that have been in their phase for too long."""
        for transport, connection in list(self._open.items()):
            state = connection.phase, connection.asked
            waiting = self._waiting.get(transport)
            if waiting is None or waiting.state != state:
                self._waiting[transport] = _Waiting(state, now_s)
            elif now_s - waiting.since_s >= self._patience.of(state[0]):
                self._abort(connection, "late")
        if self._crowded_s is not None and now_s - self._crowded_s > QUIET_AFTER_S:
            self._crowded_s = None
            log.info("there is room for http connections again")

    def _abort(self, connection: Connection, why: str) -> None:
        self.closed(connection)
        self._on_closed(why)
        connection.transport.abort()


class GuardedState(ServerState):
    """uvicorn's, with the book."""

    def __init__(self, book: ConnectionBook) -> None:
        super().__init__()
        self.book = book


class GuardedHttp(H11Protocol):
    """uvicorn's protocol, whose connections are in the book."""

    asked = 0

    def __init__(self, config: Config, server_state: ServerState, *more: Any, **named: Any) -> None:
        self._book = cast("GuardedState", server_state).book
        super().__init__(config, server_state, *more, **named)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._book.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._book.closed(self)

    @property
    def phase(self) -> str:
        """What it waits for."""
        if self.transport.is_closing():
            return "closing"
        if self.transport.get_write_buffer_size():
            return "unread"
        return "request" if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) else "answer"

    def on_response_complete(self) -> None:
        """Count an answered request."""
        self.asked += 1
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Let it become a viewer where there is room."""
        if self._book.has_room_for_viewer:
            super().handle_websocket_upgrade(event)
            return
        self._book.crowded("too many look at live pictures")
        self._book.refused()
        self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n")
        self.transport.close()


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, whose connections are in the book."""

    asked = 0

    def __init__(self, config: Config, server_state: ServerState, *more: Any, **named: Any) -> None:
        self._book = cast("GuardedState", server_state).book
        super().__init__(config, server_state, *more, **named)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._book.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._book.closed(self)

    def send_receive_event_to_app(self) -> None:
        """Handle a message: a client that sends some also receives, however slowly."""
        self.asked += 1
        super().send_receive_event_to_app()

    @property
    def phase(self) -> str:
        """What it waits for."""
        if self.transport.is_closing() or self.close_sent:
            return "closing"
        if self.transport.get_write_buffer_size():
            return "unread"
        return "viewing" if self.handshake_complete else "answer"


class Listener:
    """Accepts connections for a protocol, at a bounded pace; uvicorn's own would not.

    asyncio's server, where no descriptor is left, calls accept(2) two thousand times in a row and
    logs a traceback for each. Event loop only.
    """

    def __init__(
        self,
        listening: socket.socket,
        book: ConnectionBook,
        make_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """Listen from now on, until closed."""
        self._socket = listening
        self._socket.setblocking(False)
        self._book = book
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._socket.fileno())
        if self._pause is not None:
            self._pause.cancel()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _rest(self, pause_s: float) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._pause = self._loop.call_later(pause_s, self._listen)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    self._book.crowded(f"none can be accepted: {error.strerror}")
                    self._book.make_room()
                self._rest(NO_DESCRIPTOR_PAUSE_S)
                return
            self._take(accepted)
        self._rest(ACCEPT_PAUSE_S)

    def _take(self, accepted: socket.socket) -> None:
        if len(self._book) + len(self._serving) >= self._book.limit:
            self._book.crowded("more are open than are kept")
            if not self._book.make_room():
                self._book.refused()
                accepted.close()
                return
        accepted.setblocking(False)
        serving = self._loop.create_task(self._serve(accepted), name="http/accept")
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, accepted)
        except OSError:  # it is gone already
            accepted.close()


class OnceInAWhile(logging.Filter):
    """Lets the same log line through once a minute, because clients decide how often it occurs."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._said_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it now."""
        now_s, words = self._now_s(), str(record.msg)[:200]
        if now_s - self._said_s.get(words, float("-inf")) < QUIET_AFTER_S:
            return False
        if len(self._said_s) > 100:  # noqa: PLR2004 - uvicorn and asyncio know fewer sentences
            self._said_s.clear()
        self._said_s[words] = now_s
        return True
