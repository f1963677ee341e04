"""Runs a real Triton server as a child of this process, for machines without one.

The same model repository runs here and in NVIDIA's container; here on the CPU.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing, suppress
from pathlib import Path

import structlog
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from inspector.core.errors import ConfigurationError, FatalError, InferenceUnavailableError
from inspector.embedded.triton.environment import (
    EmbeddedEnvironment,
    Report,
    prepare_environment,
)
from inspector.embedded.triton.graph_cache import as_one_graph
from inspector.embedded.triton.log import failure_reason, parse_log_line
from inspector.embedded.triton.process import (
    ADVISED_SHARED_MEMORY_BYTES,
    HOST,
    STOP_TIMEOUT_S,
    TritonPorts,
    exit_text,
    has_ended,
    kill_group,
    models_that_end,
    new_memory_prefix,
    remove_traces_of_dead_owners,
    server_process,
    shared_memory_bytes,
    wait_end,
)
from inspector.embedded.triton.served_repository import ServedRepository
from inspector.inference.connection import CHANNEL_OPTIONS

READY_POLL_S = 0.1
# After a server ran this long, the next restart has the shortest delay again.
STABLE_AFTER_S = 30.0
FIRST_RESTART_DELAY_S = 0.2
LONGEST_RESTART_DELAY_S = 10.0

log = structlog.get_logger("triton")

# gRPC's own defaults wait a second and more between two attempts to connect.
_CHANNEL_OPTIONS = [
    *CHANNEL_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class EmbeddedTriton:
    """A Triton server that lives as long as `run` does. Event loop only.

    The ports are chosen at once and kept over restarts, so the URLs stay valid.
    """

    name = "triton"

    def __init__(
        self,
        repository: Path,
        *,
        ports: TritonPorts | None = None,
        report: Report = lambda _text: None,
        cache: Path | None = None,
        models: Sequence[str] | None = None,
        taught: Path | None = None,
        one_graph: bool = True,
    ) -> None:
        """Choose the ports; nothing is started yet.

        With `one_graph`, an ensemble of ONNX models is served as one graph, which answers the same
        bit for bit with fewer copies (decision 0006).

        `taught` is a second repository, of models that are loaded when a client asks for them; it
        is made if it does not exist. It has no effect if `models` is None.

        `models` are loaded at the start, each with the steps it needs, and others of the repository
        when a client asks for them; None: all of them are loaded at the start.

        Raises:
            ConfigurationError: an explicit port is in use.

        """
        self._repository = repository
        self._ports = (ports or TritonPorts()).chosen()
        self._report = report
        self._cache = cache
        self._models = models
        self._taught = None if models is None else taught
        self._memory_prefix = new_memory_prefix()
        self._one_graph = one_graph
        self._served = ServedRepository(repository, self._memory_prefix)
        self._errors: deque[str] = deque(maxlen=50)
        self._process: Process | None = None
        self._doing = "not started"
        self._failure: type[FatalError | InferenceUnavailableError] | None = None
        self._settled = asyncio.Event()  # it is ready, or it has failed for good
        self._ready_at_s: float | None = None
        self._lost_model = ""

    @property
    def grpc_url(self) -> str:
        """Host and port, in tritonclient's form."""
        return f"{HOST}:{self._ports.grpc}"

    @property
    def http_url(self) -> str:
        """The address of the KServe HTTP API."""
        return f"http://{HOST}:{self._ports.http}"

    @property
    def metrics_url(self) -> str:
        """Triton's own Prometheus metrics."""
        return f"http://{HOST}:{self._ports.metrics}/metrics"

    @property
    def process_id(self) -> int | None:
        """The running server, or None between two runs."""
        return self._process.pid if self._process else None

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once every model that is loaded at the start is ready.

        Raises:
            ConfigurationError: the server refused to start; carries Triton's own reason.
            FatalError: its files could not be installed.
            InferenceUnavailableError: it is not ready in time, or was stopped.

        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            raise InferenceUnavailableError(
                f"the embedded Triton is not ready after {timeout_s:g} s: {self._doing}"
            ) from None
        if self._failure is not None:
            raise self._failure(self._doing)

    async def run(self) -> None:
        """Keep the server running until cancelled; the first run installs it.

        A server that dies is started again for ever, with growing delays, and so is one of whose
        models the process died: it would refuse every batch, and call itself ready. One that
        refuses its very first start is not: its input is wrong.

        Raises:
            ConfigurationError: as for `wait_ready`.
            FatalError: as for `wait_ready`.

        """
        try:
            await self._install_and_supervise()
        except FatalError as failed:
            self._fail(type(failed), str(failed))
            raise
        finally:
            self._served.remove()
            if self._failure is None:
                self._fail(InferenceUnavailableError, "the embedded Triton was stopped")

    async def _install_and_supervise(self) -> None:
        self._doing = "being installed"
        environment = await prepare_environment(self._report, cache=self._cache)
        self._check_repository()
        if self._taught is not None:
            self._taught.mkdir(parents=True, exist_ok=True)
        _warn_of_small_shared_memory()
        delay_s = FIRST_RESTART_DELAY_S
        deaths, ever_ready = 0, False
        while True:
            self._ready_at_s = None
            exit_code = await self._live_once(environment)
            lived_s = self._seconds_since_ready()
            ever_ready = ever_ready or lived_s is not None
            reason = failure_reason(self._errors) or exit_text(exit_code)
            if self._lost_model:
                reason = f"the process of its model {self._lost_model} ended"
            if not ever_ready and exit_code >= 0:
                raise ConfigurationError(f"the embedded Triton refused to start: {reason}")
            self._doing = f"it ended ({reason}) and is being restarted"
            deaths = 1 if lived_s is not None else deaths + 1
            if deaths == 1:
                log.warning("triton_died", reason=reason, exit=exit_text(exit_code))
            if lived_s is not None and lived_s >= STABLE_AFTER_S:
                delay_s = FIRST_RESTART_DELAY_S
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, LONGEST_RESTART_DELAY_S)

    async def _live_once(self, environment: EmbeddedEnvironment) -> int:
        """Run one server process to its end; returns its exit code, negative for a signal."""
        self._errors.clear()
        self._lost_model = ""
        self._doing = "loading its models"
        remove_traces_of_dead_owners()
        running = server_process(
            environment,
            await self._lay_repository(environment),
            self._ports,
            self._memory_prefix,
            models=self._models,
            taught=self._taught,
        )
        try:
            async with running as process, asyncio.TaskGroup() as group:
                self._process = process
                guard = group.create_task(self._guard(process), name="triton/guard")
                pump = group.create_task(self._pump_log(process), name="triton/log")
                follower = group.create_task(self._served.follow(), name="triton/repository")
                exit_code = await wait_end(process)
                self._settled.clear()
                guard.cancel()
                follower.cancel()
                with suppress(TimeoutError):
                    # Its last lines matter; a Python model that outlives the server does not.
                    await asyncio.wait_for(pump, STOP_TIMEOUT_S)
        finally:
            self._process = None
        return exit_code

    async def _lay_repository(self, environment: EmbeddedEnvironment) -> Path:
        """Return what the server reads: the repository, or a folder of links to its models."""
        if not self._one_graph:
            return self._repository
        graphs = await as_one_graph(environment, self._repository, cache=self._cache)
        if not graphs:
            return self._repository
        try:
            await asyncio.to_thread(self._served.lay, graphs)
        except OSError as refused:
            log.warning("ensembles_in_steps", reason=str(refused))
            return self._repository
        return self._served.folder

    async def _guard(self, process: Process) -> None:
        """Report when it is ready; from then on end it as soon as one of its models has died."""
        await self._announce_ready()
        async with aclosing(models_that_end(process.pid)) as ending:
            async for ended in ending:
                if has_ended(process.pid):
                    return  # the model's end only followed
                if await self._is_counted_on(ended.model):
                    self._lost_model = ended.instance
                    self._settled.clear()
                    kill_group(process)
                    return

    async def _is_counted_on(self, model: str) -> bool:
        """Whether the server calls a model ready whose process has ended."""
        async with InferenceServerClient(self.grpc_url, channel_args=_CHANNEL_OPTIONS) as client:
            try:
                return bool(await client.is_model_ready(model))
            except InferenceServerException:  # whatever listens there, it does not answer
                return True

    async def _announce_ready(self) -> None:
        """Wait until the server reports that every model is ready."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        async with InferenceServerClient(self.grpc_url, channel_args=_CHANNEL_OPTIONS) as client:
            while not await _is_ready(client):  # noqa: ASYNC110 - no event crosses processes
                await asyncio.sleep(READY_POLL_S)
        self._ready_at_s = loop.time()
        self._doing = "ready"
        self._errors.clear()  # these complaints will not be the reason for a later end
        self._settled.set()
        log.info("triton_ready", url=self.grpc_url, seconds=round(self._ready_at_s - started_s, 1))

    async def _pump_log(self, process: Process) -> None:
        """Turn the server's lines into log lines of ours, and keep its complaints."""
        lines = process.stdout
        assert lines is not None  # noqa: S101 - it was started with a pipe
        while True:
            try:
                raw = await lines.readline()
            except ValueError:  # longer than LONGEST_LOG_LINE_BYTES; readline has dropped it
                continue
            if not raw:
                return
            text = raw.decode(errors="replace")
            line = parse_log_line(text.replace(str(self._served.folder), str(self._repository)))
            if line is None:
                continue
            if line.level == "error":
                self._errors.append(line.message)
            getattr(log, line.level)(line.message, source=line.where or "output")

    def _check_repository(self) -> None:
        if not self._repository.is_dir():
            raise ConfigurationError(
                f"inference.repository: {self._repository} is no folder; "
                "expected a model repository"
            )
        if not any(self._repository.glob("*/*")):
            raise ConfigurationError(
                f"inference.repository: {self._repository} has no model in it; expected folders "
                "that hold config.pbtxt and 1/"
            )

    def _seconds_since_ready(self) -> float | None:
        if self._ready_at_s is None:
            return None
        return asyncio.get_running_loop().time() - self._ready_at_s

    def _fail(self, failure: type[FatalError | InferenceUnavailableError], sentence: str) -> None:
        self._failure, self._doing = failure, sentence
        self._settled.set()


async def _is_ready(client: InferenceServerClient) -> bool:
    try:
        return bool(await client.is_server_ready())
    except InferenceServerException:  # not listening yet
        return False


def _warn_of_small_shared_memory() -> None:
    size_bytes = shared_memory_bytes()
    if size_bytes < ADVISED_SHARED_MEMORY_BYTES:
        log.warning(
            "shared_memory_small",
            found_mb=size_bytes >> 20,
            advised_mb=ADVISED_SHARED_MEMORY_BYTES >> 20,
            hint="large batches will be refused; in Docker, use --shm-size",
        )
