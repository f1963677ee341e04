"""A real Triton whose models are loaded and unloaded on command."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

from inspector.embedded.triton.environment import prepare_environment
from inspector.embedded.triton.process import TritonPorts
from tests.kit.line import wait_for

HOST = "127.0.0.1"


class ControlledTriton:
    """Every model of the repository is loaded at first; runs inside a `with`."""

    def __init__(self, repository: Path, log: Path, *options: str) -> None:
        self._options = options
        self._repository = repository
        self._log = log
        self._ports = TritonPorts().chosen()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def grpc_url(self) -> str:
        return f"{HOST}:{self._ports.grpc}"

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def http_address(self) -> str:
        return f"{HOST}:{self._ports.http}"

    def __enter__(self) -> Self:
        environment = asyncio.run(prepare_environment())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(environment.server),
                    f"--model-repository={self._repository}",
                    f"--backend-directory={environment.backends}",
                    *(f"--grpc-address={HOST}", f"--grpc-port={self._ports.grpc}"),
                    *(f"--http-address={HOST}", f"--http-port={self._ports.http}"),
                    *(f"--metrics-address={HOST}", f"--metrics-port={self._ports.metrics}"),
                    *("--model-control-mode=explicit", "--load-model=*", *self._options),
                    "--exit-timeout-secs=3",
                    f"--backend-config=python,shm-region-prefix-name=inspector-drill-{os.getpid()}",
                ],
                env=os.environ | dict(environment.variables) | {"ORT_DISABLE_TELEMETRY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # Of the server as a whole: strict readiness is not there while any model is broken.
        path = "/v2/health/live" if self._options else "/v2/health/ready"
        wait_for(lambda: self._ask("GET", path), within_s=120, what="Triton is ready")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for left in Path("/dev/shm").glob(f"inspector-drill-{os.getpid()}*"):
            left.unlink(missing_ok=True)

    def load(self, model: str) -> None:
        """Load or re-load; returns once it is served."""
        assert self._ask("POST", f"/v2/repository/models/{model}/load"), model

    def unload(self, model: str) -> None:
        """Returns once it is not served any more."""
        assert self._ask("POST", f"/v2/repository/models/{model}/unload"), model

    def _ask(self, method: str, path: str) -> bool:
        connection = HTTPConnection(HOST, self._ports.http, timeout=30)
        try:
            connection.request(method, path, body=b"{}" if method == "POST" else None)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
