"""One process of the embedded Triton: its ports, its start and end, its traces in shared memory."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, Signals

from inspector.core.errors import ConfigurationError
from inspector.embedded.triton.environment import EmbeddedEnvironment
from inspector.embedded.triton.served_repository import left_behind

_NO_TELEMETRY = {"ORT_DISABLE_TELEMETRY": "1"}
"""The onnxruntime wheel (1.32, Linux) contains the address of its maker's event collector and keeps
a database in the home folder unless this is set; `disable_telemetry_events()` does not stop
that."""

_TENSORS = ("input", "output")

HOST = "127.0.0.1"
# Triton looks once a second whether its models are gone, so it needs about two to end well.
EXIT_TIMEOUT_S = 3
STOP_TIMEOUT_S = 5.0
# How long a model that was loaded later may go unmonitored.
MODELS_LOADED_S = 1.0
LONGEST_LOG_LINE_BYTES = 1 << 20
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is, on every Linux
STUB = "triton_python_backend_stub"
# Seen: 150 MB for the models of this repository and batches of 8. A Docker container has 64 MB.
ADVISED_SHARED_MEMORY_BYTES = 256 << 20

# Runs in the child and then becomes the server. Our own code between fork and exec (preexec_fn)
# could deadlock on a lock that another thread holds; this cannot. From then on Triton dies with
# us, whatever kills us, and its children, one per Python model instance, watch it and follow.
# The kernel means the *thread* that started the child: it must live as long as the server should.
_LAUNCHER = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone already")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonPorts:
    """Ports on loopback; 0 lets `chosen` take a free one."""

    grpc: int = 0
    http: int = 0
    metrics: int = 0

    def chosen(self) -> TritonPorts:
        """The same with every 0 replaced.

        Raises:
            ConfigurationError: a port is in use.

        """
        with ExitStack() as held:  # all at once, so that no two get the same port
            return TritonPorts(
                grpc=_held_port(held, "gRPC", self.grpc),
                http=_held_port(held, "HTTP", self.http),
                metrics=_held_port(held, "metrics", self.metrics),
            )


def _held_port(held: ExitStack, purpose: str, port: int) -> int:
    candidate = held.enter_context(socket.socket())
    # As the server does: connections that ended a moment ago do not make a port taken.
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((HOST, port))
    except OSError as refused:
        raise ConfigurationError(
            f"{purpose} port {port} of the embedded Triton cannot be used on {HOST}: "
            f"{refused.strerror}; choose another one, or 0 for any free one"
        ) from refused
    chosen: int = candidate.getsockname()[1]
    return chosen


@asynccontextmanager
async def server_process(
    environment: EmbeddedEnvironment,
    repository: Path,
    ports: TritonPorts,
    memory_prefix: str,
    *,
    models: Sequence[str] | None = None,
    taught: Path | None = None,
) -> AsyncIterator[Process]:
    """Run a Triton server whose output arrives on `stdout`; on leaving, it and its children end.

    It loads `models`, each with the steps it needs, and others when a client asks; None: all of the
    repository, and no others. It dies with the calling thread, and so with this process.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), str(environment.server)),
        f"--model-repository={repository}",
        *(() if taught is None else (f"--model-repository={taught}",)),
        f"--backend-directory={environment.backends}",
        *(f"--grpc-address={HOST}", f"--grpc-port={ports.grpc}"),
        *(f"--http-address={HOST}", f"--http-port={ports.http}"),
        *(f"--metrics-address={HOST}", f"--metrics-port={ports.metrics}"),
        *_loading(models),
        *_completing(repository),
        "--strict-readiness=true",
        f"--exit-timeout-secs={EXIT_TIMEOUT_S}",
        f"--backend-config=python,shm-region-prefix-name={memory_prefix}",
        env={**os.environ, **environment.variables, **_NO_TELEMETRY},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        # Ctrl-C at the terminal is handled by us; and one signal reaches all its children.
        start_new_session=True,
        limit=LONGEST_LOG_LINE_BYTES,
    )
    try:
        yield process
    finally:
        await _end(process)
        _remove_memory(memory_prefix)


def _loading(models: Sequence[str] | None) -> list[str]:
    if models is None:
        return []
    return ["--model-control-mode=explicit", *(f"--load-model={name}" for name in models)]


def _completing(repository: Path) -> list[str]:
    """Let models complete their configuration only if one of them needs it.

    For each model Triton starts a process that asks, and ends it: half of the server's start.
    """
    files = repository.glob("*/*/model.py")
    asks = any(b"auto_complete_config" in file.read_bytes() for file in files)
    graphs = repository.glob("*/*/model.onnx")
    asks = asks or any(not _names_tensors(graph.parents[1] / "config.pbtxt") for graph in graphs)
    return [] if asks else ["--disable-auto-complete-config"]


def _names_tensors(config: Path) -> bool:
    """Whether a configuration exists and lists inputs and outputs."""
    try:
        text = config.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    lines = [line.partition("#")[0] for line in text.splitlines()]
    return all(re.search(rf"\b{kind}\s*:?\s*[\[{{]", "\n".join(lines)) for kind in _TENSORS)


async def wait_end(process: Process) -> int:
    """Return the exit code as soon as the server itself has ended; its children end with it.

    `Process.wait` alone also waits until nobody holds the server's output any more, and a Python
    model whose server was killed can hold it for ever: it sleeps on a lock in shared memory that
    the dead server never releases (seen in about half of the kills under load).
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    with suppress(ProcessLookupError):  # it has ended, and was already reaped
        watched = os.pidfd_open(process.pid)
        loop.add_reader(watched, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(watched)
            os.close(watched)
    kill_group(process)
    return await process.wait()


@dataclass(frozen=True, slots=True)
class ModelProcess:
    """A process of the server that holds one instance of a model."""

    model: str
    instance: str


async def models_that_end(server_pid: int) -> AsyncGenerator[ModelProcess]:
    """Yield each model process that has ended, unless another took its place.

    The server goes on without it and calls itself and its models ready (2.51): every batch fails
    from then on, and nothing starts the process again. One whose model could not be loaded ends
    too; the server does not call that model ready. Models that are loaded later are seen within
    a second. To be closed (`aclosing`).
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Queue[tuple[int, ModelProcess]] = asyncio.Queue()
    watched: dict[int, int] = {}  # descriptors by process id

    def tell(pid: int, process: ModelProcess) -> None:
        loop.remove_reader(watched[pid])
        ended.put_nowait((pid, process))

    try:
        while True:
            running = _model_processes(server_pid)
            for pid in running.keys() - watched.keys():
                with suppress(ProcessLookupError):  # a model that could not be loaded
                    watched[pid] = os.pidfd_open(pid)
                    loop.add_reader(watched[pid], tell, pid, running[pid])
            with suppress(TimeoutError):
                async with asyncio.timeout(MODELS_LOADED_S):
                    pid, process = await ended.get()
                os.close(watched.pop(pid))
                if process not in _model_processes(server_pid).values():
                    yield process
    finally:
        for descriptor in watched.values():
            loop.remove_reader(descriptor)
            os.close(descriptor)


def has_ended(pid: int) -> bool:
    """Whether a process has ended, or is dead and not yet reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def _model_processes(server_pid: int) -> dict[int, ModelProcess]:
    """The server's running children that hold models, by process id."""
    found: dict[int, ModelProcess] = {}
    for children in Path(f"/proc/{server_pid}/task").glob("*/children"):
        with suppress(OSError):
            for pid in map(int, children.read_text().split()):
                program, *arguments = _command_line(pid)
                if Path(program).name != STUB or len(arguments) <= 1 or has_ended(pid):
                    continue
                # Its file, …, parent's pid, backend's folder, a number, the instance, its runtime.
                model, instance = Path(arguments[0]).parents[1].name, arguments[-2]
                # One with only the name of its model just asks for the model's configuration, and
                # ends.
                if instance != model:
                    found[pid] = ModelProcess(model, instance)
    return found


def _command_line(pid: int) -> list[str]:
    return (
        Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").strip("\0").split("\0")
    )


async def _end(process: Process) -> None:
    try:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await wait_end(process)
    finally:
        kill_group(process)
    await process.wait()


def kill_group(process: Process) -> None:
    """End the server and its models at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, SIGKILL)


def exit_text(exit_code: int) -> str:
    """The way a process ended, in words."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    return f"killed by {Signals(-exit_code).name}"


# The Python backend keeps its tensors in /dev/shm under a name that we choose, so that servers do
# not collide and what a killed one left can be told from what a living one uses. Process ids mean
# something only inside their namespace, and containers may share /dev/shm: hence the namespace.


def new_memory_prefix() -> str:
    """A name for one server's shared memory, which shows whether its owner still runs."""
    return f"{_namespace_prefix()}{os.getpid()}-{secrets.token_hex(4)}-"


def remove_traces_of_dead_owners() -> None:
    """Remove what servers left whose owners were killed before they could clean up.

    That is memory, the processes of Python models that sleep in it (see `wait_end`), and folders of
    links to models.
    """
    for stub in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            program, *arguments = _command_line(int(stub.parent.name))
            if Path(program).name == STUB and any(map(_is_of_dead_owner, arguments)):
                os.kill(int(stub.parent.name), SIGKILL)
    for file in SHARED_MEMORY.glob(f"{_namespace_prefix()}*"):
        if _is_of_dead_owner(file.name):
            _remove_memory(file.name)
    for path in left_behind(_namespace_prefix()):
        if _is_of_dead_owner(path.name):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_of_dead_owner(memory_name: str) -> bool:
    prefix = _namespace_prefix()
    owner = memory_name.removeprefix(prefix).partition("-")[0]
    return (
        memory_name.startswith(prefix) and owner.isdecimal() and not Path(f"/proc/{owner}").exists()
    )


def _remove_memory(prefix: str) -> None:
    for file in SHARED_MEMORY.glob(f"{prefix}*"):
        with suppress(FileNotFoundError, PermissionError):
            file.unlink()


def shared_memory_bytes() -> int:
    """The size of /dev/shm; 0 if it does not exist."""
    return shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else 0


def _namespace_prefix() -> str:
    return f"inspector-triton-{Path('/proc/self/ns/pid').stat().st_ino}-"
