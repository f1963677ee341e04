"""Two stations at two Tritons: each goes on at the other one when its own is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.line import (
    BOARD_REGION,
    PICTURE,
    Line,
    Scrape,
    await_end,
    measured,
    wait_for,
)
from tests.kit.line_events import assert_accounted, entries
from tests.kit.processes import descendants
from tests.kit.redis_server import RedisServer
from tests.kit.triton_server import MODEL_REPOSITORY
from tests.kit.watching import free_port

CAMERA = {"source": "sim:?fps=4&seed=3", "size": PICTURE, "region": BOARD_REGION}
PATIENT = {"max_age_ms": 15_000.0, "lane_capacity": 16}
"""A busy machine makes frames old, which is not what this is about."""


class MortalTriton:
    """`inspector triton`, in a session of its own, so that a signal ends all of it at once."""

    def __init__(self, folder: Path) -> None:
        grpc, http, metrics = free_port(), free_port(), free_port()
        self.grpc_url = f"127.0.0.1:{grpc}"
        self.metrics_url = f"http://127.0.0.1:{metrics}/metrics"
        self._ready_url = f"http://127.0.0.1:{http}/v2/health/ready"
        ports = ("--grpc-port", str(grpc), "--http-port", str(http), "--metrics-port", str(metrics))
        repository = ("--repository", str(MODEL_REPOSITORY))
        self._log = (folder / "mortal.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inspector", "triton", *repository, *ports],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_ready(self) -> None:
        wait_for(self._is_ready, within_s=60, what="the other Triton")

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, Path(self._log.name).read_text()
        try:
            with urlopen(self._ready_url, timeout=5) as response:
                return int(response.status) == HTTPStatus.OK
        except OSError:
            return False

    def kill(self) -> None:
        if self._process.poll() is None:
            below = list(descendants(self._process.pid))
            for pid in (self._process.pid, *below):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            await_end(below)
        self._log.close()


def inferences(triton: EmbeddedTriton | MortalTriton) -> float:
    with urlopen(triton.metrics_url, timeout=10) as response:
        text = response.read().decode()
    return Scrape(text).total("nv_inference_request_success", model="pcb_inspection")


def test_stations_are_spread_over_two_tritons_and_outlive_one(
    tmp_path: Path, triton: EmbeddedTriton, redis_server: RedisServer
) -> None:
    with contextlib.ExitStack() as stack:
        mortal = MortalTriton(tmp_path)
        stack.callback(mortal.kill)
        mortal.wait_ready()
        other_redis = stack.enter_context(
            RedisServer(redis_server.binary, tmp_path / "other-redis")
        )
        both = {
            "first": (mortal.grpc_url, triton.grpc_url, redis_server),
            "second": (triton.grpc_url, mortal.grpc_url, other_redis),
        }
        lines: dict[str, Line] = {}
        for name, (preferred, spare, redis) in both.items():
            folder = tmp_path / name
            folder.mkdir()
            # gRPC's own list of addresses: the first that answers.
            url = f"ipv4:{preferred},{spare}"
            line = Line(
                folder,
                cameras={"top": CAMERA},
                triton=url,
                redis_url=redis.url,
                batching=PATIENT,
                inspection={"deadline_ms": 20_000.0},
            )
            lines[name] = stack.enter_context(line)
        for line in lines.values():
            line.wait_ready()
        before = {server: inferences(server) for server in (mortal, triton)}
        for server, count in before.items():
            wait_for(
                lambda server=server, count=count: inferences(server) >= count + 5,  # type: ignore[misc]
                within_s=30,
                what="both Tritons at work",
            )

        mortal.kill()
        inspected = {name: line.scrape().frames().inspected for name, line in lines.items()}
        for name, line in lines.items():
            wait_for(
                lambda line=line, name=name: (  # type: ignore[misc]
                    line.scrape().frames().inspected >= inspected[name] + 12
                ),
                within_s=60,
                what=f"station {name} goes on",
            )
            line.stop()
        for name, (_, _, redis) in both.items():
            with contextlib.closing(redis.client()) as client:
                units = entries(client, "units")
            assert_accounted(units, lines[name].said("stopped")["captured"])
            reasons = {unit.event["reason"] for unit in units}
            assert reasons <= {None, "model_unavailable", "inference_failed", "shutting_down"}
            lost = sum(not unit.is_inspected for unit in units)
            measured(f"station {name}: units, of them not inspected", (len(units), lost))
