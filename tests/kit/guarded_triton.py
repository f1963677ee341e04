"""A real Triton that speaks TLS only and answers nobody without a token."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inspector.embedded.triton.environment import prepare_environment
from inspector.embedded.triton.process import STUB
from tests.kit.line import wait_for
from tests.kit.processes import descendants
from tests.kit.rtsp_server import make_certificate

HEADER = "triton-grpc-protocol-inspection"
REPOSITORY = Path(__file__).parents[2] / "benchmarks" / "model_repository"
TOKEN = "canary-triton-token"
# All of Triton's gRPC protocols; "inspection" becomes part of the header's name.
RESTRICTED = (
    "health,metadata,inference,shared-memory,model-config,model-repository,statistics,trace"
    f":inspection={TOKEN}"
)


@dataclass(frozen=True)
class GuardedTriton:
    """Where it listens, and the certificate to trust."""

    url: str
    ca: Path


@contextmanager
def guarded_triton(folder: Path) -> Iterator[GuardedTriton]:
    """A server with one model that sees nothing; its files go into the folder."""
    make_certificate(folder)
    environment = asyncio.run(prepare_environment())
    models = folder / "models"
    models.mkdir()
    (models / "null_inspection").symlink_to(REPOSITORY / "null_inspection")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(str(environment.server), f"--model-repository={models}"),
        f"--backend-directory={environment.backends}",
        *("--grpc-address=127.0.0.1", f"--grpc-port={port}"),
        *("--allow-http=false", "--allow-metrics=false", "--exit-timeout-secs=3"),
        *("--grpc-use-ssl=true", f"--grpc-server-cert={folder / 'cert.pem'}"),
        *(f"--grpc-server-key={folder / 'key.pem'}", f"--grpc-restricted-protocol={RESTRICTED}"),
        f"--backend-config=python,shm-region-prefix-name=inspector-test-{os.getpid()}-",
    ]
    log = folder / "triton.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment.variables}, stdout=output, stderr=output
        )
    try:
        wait_for(
            lambda: b"Started GRPCInferenceService" in log.read_bytes() or process.poll(),
            within_s=90,
            what="Triton serves",
        )
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        yield GuardedTriton(url=f"127.0.0.1:{port}", ca=folder / "cert.pem")
    finally:
        stubs = [pid for pid, name in descendants(process.pid).items() if name in STUB]
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in stubs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        for left in Path("/dev/shm").glob(f"inspector-test-{os.getpid()}-*"):
            left.unlink()
