"""Connections that say nothing, or half of something: a bounded number, for a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from inspector.embedded.triton.server import EmbeddedTriton
from inspector.ops.descriptors import (
    FEWEST_CONNECTIONS,
    MOST_CONNECTIONS,
    connections_of_http,
)
from inspector.page.connections import (
    KEPT_FOR_REQUESTS,
    ConnectionBook,
    Listener,
    OnceInAWhile,
    Patience,
)
from inspector.page.http import HttpServer, build_app
from inspector.settings.sections import HttpSettings
from tests.integration.test_http import Station
from tests.kit.line import Line, wait_for
from tests.kit.line_events import entries
from tests.kit.redis_server import RedisServer

LIMIT = 40
TOKEN = "a-token"
PICTURE = b"x" * 4_000_000
ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Site:
    """The server in a loop of its own, and what it closed."""

    def __init__(self, address: tuple[str, int], server: HttpServer) -> None:
        self.address = address
        self.server = server
        self.closed: Counter[str] = Counter()

    def connect(self, *, receive_bytes: int | None = None) -> socket.socket:
        connection = socket.socket()
        if receive_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(10)
        connection.connect(self.address)
        return connection

    def answers(self) -> bool:
        with self.connect() as connection:
            connection.sendall(ASK)
            return connection.recv(100).startswith(b"HTTP/1.1 200")


@contextmanager
def serving(
    patience: Patience | None = None, *, limit: int = LIMIT, token: str | None = None
) -> Iterator[Site]:
    up: Future[Site] = Future()
    end: Future[None] = Future()

    async def viewer(viewing: WebSocket) -> None:
        await viewing.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await viewing.receive_bytes()
                await viewing.send_bytes(PICTURE)

    async def serve() -> None:
        app = build_app(Station().views(), token, more=[WebSocketRoute("/view", viewer)])
        closed: Counter[str] = Counter()
        server = HttpServer(
            app,
            HttpSettings(port=0),
            connections=limit,
            on_closed=lambda why: closed.update([why]),
            patience=patience,
        )
        site = Site(("127.0.0.1", int(server.url.rpartition(":")[2])), server)
        site.closed = closed
        running = asyncio.create_task(server.run_until_cancelled())
        up.set_result(site)
        await asyncio.wrap_future(end)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="http")
    thread.start()
    try:
        yield up.result(10)
    finally:
        end.set_result(None)
        thread.join(10)
    assert not thread.is_alive()


def is_closed(connection: socket.socket) -> bool:
    """Waits for it, as long as the connection's time-out lasts."""
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_any_number_of_silent_connections_leaves_room_for_one_that_asks(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving() as site, ExitStack() as held:
        silent = [held.enter_context(site.connect()) for _ in range(5 * LIMIT)]
        assert site.answers()
        wait_for(
            lambda: site.closed["full"] >= 4 * LIMIT, within_s=10, what="the oldest are closed"
        )
        assert len(site.server.book) <= LIMIT
        assert is_closed(silent[0])
        for _ in range(20):
            assert site.answers()
    assert "Traceback" not in caplog.text
    said = capfd.readouterr()
    assert (said.out + said.err).count("too many http connections, some are closed") == 1


IMPATIENT = Patience(request_s=0.5, unread_s=0.5, closing_s=0.5)
HEAD = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
UNFINISHED = {
    "not a byte": b"",
    "half a line": b"GET /hea",
    "headers without an end": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\r\n",
    "half a body": HEAD + b"\r\ntoken=",
    "a handshake without an end": b"GET /view HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n",
    "TLS, which nobody speaks here": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a request, and half of another": ASK + b"GET /heal",
}


@pytest.mark.parametrize("sent", UNFINISHED)
def test_a_request_that_does_not_end_is_closed(sent: str) -> None:
    with serving(IMPATIENT, token=TOKEN) as site, site.connect() as connection:
        connection.sendall(UNFINISHED[sent])
        assert is_closed(connection)
        wait_for(lambda: not len(site.server.book), within_s=10, what="it is forgotten")


def test_a_request_that_comes_byte_by_byte_has_no_more_time_than_another() -> None:
    with serving(IMPATIENT) as site, site.connect() as connection:
        connection.settimeout(0.05)

        def drip() -> bool:
            try:
                connection.sendall(b"G" if not site.closed else b"E")
                connection.recv(1)
            except TimeoutError:
                return False
            except OSError:
                return True
            return True

        wait_for(drip, within_s=20, what="it is closed though something comes all the time")
        assert site.closed == {"late": 1}


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    with serving(IMPATIENT) as site, site.connect(receive_bytes=2048) as connection:
        path = b"/static/vendor/uPlot.iife.min.js"
        many = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with contextlib.suppress(OSError):
            connection.sendall(many * 200)
        wait_for(lambda: site.closed["late"] == 1, within_s=20, what="it is closed")
        wait_for(lambda: not len(site.server.book), within_s=10, what="it is forgotten")


def test_a_viewer_that_stops_reading_is_closed() -> None:
    with serving(IMPATIENT) as site, site.connect(receive_bytes=2048) as stuck:
        stuck.sendall(
            b"GET /view HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert stuck.recv(12) == b"HTTP/1.1 101"
        stuck.sendall(b"\x82\x84\0\0\0\0next")
        wait_for(lambda: site.closed["late"] == 1, within_s=20, what="it is closed")


class Held:
    """A connection as the book sees it."""

    def __init__(self, book: ConnectionBook, phase: str = "request") -> None:
        self.phase = phase
        self.asked = 0
        self.aborted = False
        self.transport: Any = self
        book.opened(self)

    def abort(self) -> None:
        self.aborted = True


def book_of(closed: list[str]) -> ConnectionBook:
    return ConnectionBook(4, on_closed=closed.append, patience=Patience(request_s=10, unread_s=30))


def test_who_asks_again_and_again_or_takes_slowly_what_is_sent_is_not_closed() -> None:
    closed: list[str] = []
    book = book_of(closed)
    asking, taking = Held(book), Held(book, "unread")
    silent, stuck, viewing = Held(book), Held(book, "unread"), Held(book, "viewing")
    for second in range(120):
        book.check(float(second))
        if second % 8 == 0:
            asking.asked += 1
            taking.asked += 1
        assert silent.aborted == (second >= 10)
        assert stuck.aborted == (second >= 30)
    assert [h.aborted for h in (asking, taking, viewing)] == [False, False, False]
    assert closed == ["late", "late"]


def test_room_is_made_by_the_oldest_that_never_asked_and_never_by_one_at_work() -> None:
    closed: list[str] = []
    book = book_of(closed)
    page, working, first, second = Held(book), Held(book, "answer"), Held(book), Held(book)
    page.asked = 5
    order = []
    for _ in range(3):
        assert book.make_room()
        order.append([h.aborted for h in (page, first, second)])
    assert order == [[False, True, False], [False, True, True], [True, True, True]]
    assert not book.make_room()
    assert not working.aborted
    assert closed == ["full"] * 3


def test_viewers_leave_room_for_everybody_else() -> None:
    limit = KEPT_FOR_REQUESTS + 8
    with serving(limit=limit) as site, ExitStack() as viewers:
        url = f"ws://127.0.0.1:{site.address[1]}/view"
        room = max(limit // 2, limit - KEPT_FOR_REQUESTS)
        for _ in range(room):
            viewers.enter_context(connect(url))
        with pytest.raises(InvalidStatus) as refused, connect(url):
            pass
        assert refused.value.response.status_code == 503
        assert site.answers()


def test_a_login_that_is_cut_off_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    with serving(token=TOKEN) as site:
        with site.connect() as connection:
            connection.sendall(HEAD + b"\r\ntoken=")
        wait_for(lambda: not len(site.server.book), within_s=10, what="it is gone")
        assert site.answers()
    assert "Traceback" not in caplog.text
    assert "ASGI" not in caplog.text


class NoDescriptor:
    """A listening socket of a process that has no descriptor left for what comes."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.tried = 0
        self.failed = asyncio.Event()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - its signature
        self._listening.setblocking(flag)

    def fileno(self) -> int:
        return self._listening.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        self.tried += 1
        self.failed.set()
        raise OSError(errno.EMFILE, "Too many open files")


def test_without_a_descriptor_left_accepting_rests() -> None:
    async def main(listening: socket.socket) -> int:
        failing = NoDescriptor(listening)
        book = ConnectionBook(8, on_closed=lambda _why: None)
        listener = Listener(failing, book, asyncio.Protocol)  # type: ignore[arg-type]
        with socket.create_connection(listening.getsockname()):
            await asyncio.wait_for(failing.failed.wait(), 10)
            for _ in range(200):
                await asyncio.sleep(0)
        listener.close()
        return failing.tried

    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert asyncio.run(main(listening)) == 1


def test_the_same_words_are_logged_once_a_minute() -> None:
    now_s = [0.0]
    once = OnceInAWhile(now_s=lambda: now_s[0])

    def said(words: str) -> bool:
        return once.filter(logging.LogRecord("x", 30, "x", 1, words, None, None))

    assert [said("one"), said("one"), said("two")] == [True, False, True]
    now_s[0] = 61.0
    assert said("one")


def test_the_line_keeps_descriptors_of_its_own() -> None:
    assert connections_of_http(65_536, cameras=4) == MOST_CONNECTIONS
    assert connections_of_http(1024, cameras=1) == MOST_CONNECTIONS
    assert connections_of_http(512, cameras=4) == 128
    assert connections_of_http(64, cameras=1) == FEWEST_CONNECTIONS


def test_eleven_hundred_idle_connections_change_no_verdict(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    """With systemd's limits; before, nine of ten units were not inspected."""
    line = Line(
        tmp_path,
        cameras={"top": {"source": "sim:?view=strobe&takt_s=0.5&seed=5", "size": "640x640"}},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        prefix=["bash", "-c", 'ulimit -Sn 1024; "$@"; exit $?', "bash"],
    )
    with line, ExitStack() as held, contextlib.closing(redis_server.client()) as client:
        line.wait_ready()
        host, _, port = line.address.rpartition(":")

        def units() -> int:
            return client.xlen("inspector:{test.one.aoi}:units")

        for _ in range(1100):
            held.enter_context(socket.create_connection((host, int(port)), 5))
        before = units()
        wait_for(lambda: units() >= before + 20, within_s=60, what="twenty more units")
        assert line.get("/readyz")[0] == 200
        scrape = line.scrape()
        assert scrape.total("inspector_http_connections_closed_total") >= 1100 - MOST_CONNECTIONS
        # The first units may come before the model is there.
        results = Counter(e.event["result"] for e in list(entries(client, "units"))[before:])
        assert results["NOT_INSPECTED"] == results["ERROR"] == 0, results
        said = Counter(entry["event"] for entry in line.log())
        assert said["too many http connections, some are closed"] == 1
        assert sum(said.values()) < 40, said
        assert "Traceback" not in line.log_tail()
        line.stop()
