"""Real parts that many tests talk to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.redis_server import RedisServer
from tests.kit.triton_server import embedded_triton_in_background


@pytest.fixture(scope="session")
def triton() -> Iterator[EmbeddedTriton]:
    """One server for all tests that only ask it; who kills or freezes one starts their own."""
    with embedded_triton_in_background() as server:
        yield server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """The system's redis-server, empty and running."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with RedisServer(binary, tmp_path / "redis") as server:
        yield server
