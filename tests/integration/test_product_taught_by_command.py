"""`inspector product teach`, `approve` and `rollback` on a station that runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from inspector.products.store import ProductStore
from tests.kit.inspector_command import inspector
from tests.kit.line import Line, wait_for
from tests.kit.line_events import entries
from tests.kit.redis_server import RedisServer

CAMERA = {
    "source": "sim:?speed=20&gap=200&seed=8&quirks=4&variation=1&defect_rate=0",
    "size": "1280x720",
    "trigger": "presence",
}


@pytest.fixture
def line(tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer) -> Iterator[Line]:
    products = tmp_path / "state" / "products"
    products.mkdir(parents=True)
    (products / "a.toml").write_text('revision = "C"\n')
    with Line(
        tmp_path,
        cameras={"top": CAMERA},
        triton=triton.grpc_url,
        redis_url=redis_server.url,
        evidence={"enabled": False},
    ) as line:
        line.wait_ready()
        yield line
        line.stop()


def test_a_station_that_runs_is_taught_by_command(
    line: Line, tmp_path: Path, redis_server: RedisServer
) -> None:
    def product(*arguments: str) -> Any:
        return inspector("product", *arguments, "--config", line.config, cwd=tmp_path)

    taught = product("teach", "a", "--units", "3", "--by", "anna")
    assert (taught.returncode, taught.stderr) == (0, "")
    assert taught.stdout.startswith("a is taught from unit ")
    store = ProductStore(tmp_path / "state" / "products")
    wait_for(lambda: store.reference_numbers("a"), within_s=60, what="a reference")
    assert store.approvals("a").in_force is None
    approved = product("approve", "a")
    assert approved.stdout == "reference a/1 is in force, and the service knows\n"
    approval = store.approvals("a").of(1)
    assert approval is not None

    with contextlib.closing(redis_server.client()) as client:

        def compared() -> bool:
            units = (entry.event for entry in entries(client, "units"))
            return any((unit["reference"] or {}).get("id") == "a/1" for unit in units)

        wait_for(compared, within_s=60, what="a unit that is compared with the reference")
        named = {c.event["command"]: c.event["by"] for c in entries(client, "changes")}
    assert named["teach"] == "http: anna"
    listed = product("list")
    assert "top inspecting" in listed.stdout.splitlines()[1]
    refused = product("rollback", "a")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("inspector: a has no earlier reference")
